//! The local engine keeps the contract, among the processes of one machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use leasehold_conformance::{Extras, Fixture, Store};
use leasehold_core::{AcquireRequest, Engine, Error, Lifetime, LockName, Mode, Nonce, Ttl};
use leasehold_local::{LocalEngine, LocalOptions};
use tempfile::TempDir;

fn main() {
    leasehold_conformance::main(Local);
}

struct Local;

impl Fixture for Local {
    fn store(&self) -> Result<Box<dyn Store>, Error> {
        let folder = tempfile::tempdir()
            .map_err(|error| Error::unavailable("local", error.to_string(), "make room in /tmp"))?;
        Ok(Box::new(File {
            folder,
            boots: AtomicU32::new(0),
        }))
    }

    fn open_address(&self, address: &str) -> Result<Arc<dyn Engine>, Error> {
        Ok(Arc::new(LocalEngine::open(LocalOptions::new(address))?))
    }
}

/// A database in a folder of its own.
struct File {
    folder: TempDir,
    boots: AtomicU32,
}

impl File {
    fn path(&self) -> PathBuf {
        Path::join(self.folder.path(), "locks.db")
    }

    fn options(&self) -> LocalOptions {
        let options = LocalOptions::new(self.path());
        match self.boots.load(Ordering::Relaxed) {
            0 => options,
            boots => options.boot_id(format!("boot-{boots}")),
        }
    }
}

impl Store for File {
    fn client(&self) -> Result<Arc<dyn Engine>, Error> {
        Ok(Arc::new(LocalEngine::open(self.options())?))
    }

    fn extras(&self) -> Extras {
        Extras {
            reopen: true,
            collect_idle: true,
        }
    }

    fn reopen(&self) -> Result<(), Error> {
        // The machine starts anew, which is more than another process would see.
        self.boots.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn collect_idle(&self) -> Result<(), Error> {
        // Each client looks at some names now and then, after a write.
        let client = LocalEngine::open(self.options().collect_after(Duration::ZERO))?;
        let name = LockName::new("conformance: collect")?;
        for number in 0..200_u8 {
            let request = AcquireRequest {
                name: name.clone(),
                nonce: Nonce::from_bytes([number; 16]),
                owner: "collector".into(),
                mode: Mode::Exclusive,
                ttl: Ttl::MAX,
                grace: Duration::ZERO,
                lifetime: Lifetime::Process,
                queue: None,
            };
            pollster::block_on(client.acquire(&request))?;
            pollster::block_on(client.release(&name, request.nonce))?;
        }
        Ok(())
    }

    fn address(&self) -> Option<String> {
        self.path().to_str().map(str::to_owned)
    }
}
