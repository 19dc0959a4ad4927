//! The memory engine keeps the contract.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use leasehold_conformance::{Extras, Fixture, Store};
use leasehold_core::{Engine, Error};
use leasehold_memory::MemoryStore;

fn main() {
    leasehold_conformance::main(Memory);
}

struct Memory;

impl Fixture for Memory {
    fn store(&self) -> Result<Box<dyn Store>, Error> {
        Ok(Box::new(Kept {
            store: MemoryStore::new(),
            clients: AtomicU32::new(0),
        }))
    }
}

struct Kept {
    store: MemoryStore,
    clients: AtomicU32,
}

impl Store for Kept {
    fn client(&self) -> Result<Arc<dyn Engine>, Error> {
        let client = self.store.client();
        // Every other client is slow, so that its futures can be dropped half-way.
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        client.set_yields(number % 2 * 3);
        Ok(Arc::new(client))
    }

    fn extras(&self) -> Extras {
        Extras {
            collect_idle: true,
            ..Extras::default()
        }
    }

    fn collect_idle(&self) -> Result<(), Error> {
        self.store.collect_idle();
        Ok(())
    }
}
