//! What the suite needs to know of an engine.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{Engine, Error};

/// How to get at an engine's stores.
pub trait Fixture: Send + Sync + 'static {
    /// A fresh, empty store, apart from all others: a new file, schema or prefix.
    /// Each case has one of its own, and drops it when it is done. Called from
    /// several threads at once.
    ///
    /// # Errors
    ///
    /// Every case fails with what is returned.
    fn store(&self) -> Result<Box<dyn Store>, Error>;

    /// Opens the store at an [address](Store::address) in another process.
    ///
    /// # Errors
    ///
    /// The case that started the process fails with what is returned.
    fn open_address(&self, address: &str) -> Result<Arc<dyn Engine>, Error> {
        Err(Error::invalid(
            "address",
            address,
            "implement Fixture::open_address for stores that have an address",
        ))
    }

    /// Calls `run`, in the runtime that the engine's futures need, if they need
    /// one. Everything the suite does on a thread is done inside.
    fn enter(&self, run: &mut dyn FnMut()) {
        run();
    }

    /// How fast things are expected to go.
    fn pace(&self) -> Pace {
        Pace::default()
    }
}

/// One store of an engine. Dropping it clears it away.
pub trait Store: Send + Sync {
    /// A new client of this store, as another process would have it, as far as
    /// that can be had within one. When it is dropped, its process may count as
    /// dead.
    ///
    /// # Errors
    ///
    /// The case fails with what is returned.
    fn client(&self) -> Result<Arc<dyn Engine>, Error>;

    /// What else can be done with it.
    fn extras(&self) -> Extras {
        Extras::default()
    }

    /// Closes the store and opens it anew, as after a restart of whatever keeps
    /// it, with its state. The clients from before were dropped.
    ///
    /// # Errors
    ///
    /// The case fails with what is returned.
    fn reopen(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Forgets idle names now, as the engine does by itself after some time.
    ///
    /// # Errors
    ///
    /// The case fails with what is returned.
    fn collect_idle(&self) -> Result<(), Error> {
        Ok(())
    }

    /// What [`Fixture::open_address`] needs to open this store in another process;
    /// `None` if that is not possible.
    fn address(&self) -> Option<String> {
        None
    }
}

/// What can be done with a store besides using it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// [`Store::reopen`] works.
    pub reopen: bool,
    /// [`Store::collect_idle`] works.
    pub collect_idle: bool,
}

/// How fast things are expected to go.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The TTL of a lease that is to run out. An engine whose store rounds TTLs up
    /// gives one that is not rounded.
    pub ttl: Duration,
    /// The grace of a lease that is to run out.
    pub grace: Duration,
    /// How often a waiter asks again that is to fall out of the line.
    pub interval: Duration,
    /// How long anything may take that must come to pass, on a busy machine. The
    /// TTL of leases that are not to run out is four times that.
    pub patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            ttl: Duration::from_millis(300),
            grace: Duration::from_millis(150),
            interval: Duration::from_millis(100),
            patience: Duration::from_secs(30),
        }
    }
}
