//! A client.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{
    Broken, Capabilities, Change, Engine, Error, Extended, LockStatus, Nonce, Owner, Released,
};
use pollster::block_on;

use super::{AllOf, LockRequest};
use crate::Builder;

/// One client of a store; see [`Locks`](crate::Locks).
#[derive(Clone, Debug)]
pub struct Locks(crate::Locks);

impl From<crate::Locks> for Locks {
    fn from(locks: crate::Locks) -> Self {
        Self(locks)
    }
}

impl Locks {
    /// Settings for a client; connect with
    /// [`connect_blocking`](Builder::connect_blocking).
    pub fn builder() -> Builder {
        crate::Locks::builder()
    }

    /// The same client, for async code.
    #[must_use]
    pub const fn as_async(&self) -> &crate::Locks {
        &self.0
    }

    /// Asks for a lock, waiting for it if it is busy. Take it with
    /// [`lock`](LockRequest::lock).
    pub fn lock(&self, name: impl AsRef<str>) -> LockRequest {
        LockRequest(self.0.lock(name))
    }

    /// Asks for a lock if it is free.
    pub fn try_lock(&self, name: impl AsRef<str>) -> LockRequest {
        LockRequest(self.0.try_lock(name))
    }

    /// Asks for several locks, all or none; see
    /// [`Locks::all_of`](crate::Locks::all_of).
    pub fn all_of<I, S>(&self, names: I) -> AllOf
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        AllOf(self.0.all_of(names))
    }

    /// A lock as it stands.
    ///
    /// # Errors
    ///
    /// As for [`Locks::inspect`](crate::Locks::inspect).
    pub fn inspect(&self, name: &str) -> Result<LockStatus, Error> {
        block_on(self.0.inspect(name))
    }

    /// The locks held or waited for whose names start with `prefix`, by name.
    ///
    /// # Errors
    ///
    /// As for [`Locks::list`](crate::Locks::list).
    pub fn list(&self, prefix: &str) -> Result<Vec<LockStatus>, Error> {
        block_on(self.0.list(prefix))
    }

    /// Ends every grant of a lock by force.
    ///
    /// # Errors
    ///
    /// As for [`Locks::break_lock`](crate::Locks::break_lock).
    pub fn break_lock(&self, name: &str, reason: &str) -> Result<Broken, Error> {
        block_on(self.0.break_lock(name, reason))
    }

    /// As [`Locks::break_by_force`](crate::Locks::break_by_force).
    ///
    /// # Errors
    ///
    /// As for [`Locks::break_by_force`](crate::Locks::break_by_force).
    pub fn break_by_force(&self, name: &str, reason: &str) -> Result<Broken, Error> {
        block_on(self.0.break_by_force(name, reason))
    }

    /// Watches the locks whose names start with `prefix`.
    pub fn watch(&self, prefix: &str) -> Watch {
        Watch(self.0.watch(prefix))
    }

    /// Prolongs a kept lease by its nonce.
    ///
    /// # Errors
    ///
    /// As for [`Locks::extend`](crate::Locks::extend).
    pub fn extend(&self, name: &str, nonce: Nonce, ttl: Duration) -> Result<Extended, Error> {
        block_on(self.0.extend(name, nonce, ttl))
    }

    /// Releases a kept lease by its nonce.
    ///
    /// # Errors
    ///
    /// As for [`Locks::release`](crate::Locks::release).
    pub fn release(&self, name: &str, nonce: Nonce) -> Result<Released, Error> {
        block_on(self.0.release(name, nonce))
    }

    /// The engine beneath.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        self.0.engine()
    }

    /// What the engine can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    /// The label of this client's leases.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        self.0.owner()
    }

    /// Waits until every release that goes on in the background has run; see
    /// [`Locks::close`](crate::Locks::close).
    pub fn close(self) {
        block_on(self.0.close());
    }
}

/// What happens to the locks of a prefix; see [`Watch`](crate::Watch).
pub struct Watch(crate::Watch);

impl Watch {
    /// The locks as they stood at the first look.
    ///
    /// # Errors
    ///
    /// As for [`Watch::initial`](crate::Watch::initial).
    pub fn initial(&mut self) -> Result<Vec<LockStatus>, Error> {
        block_on(self.0.initial())
    }

    /// The next change.
    ///
    /// # Errors
    ///
    /// As for [`Watch::next`](crate::Watch::next).
    // The iterator that the name suggests would have no end and give `Option`s.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Change, Error> {
        block_on(self.0.next())
    }
}
