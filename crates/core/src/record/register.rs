//! All that a store must offer to keep records.

use super::{Hint, Record};
use crate::{BoxFuture, Capabilities, Error, LockName, Nonce, SessionId, StoreTime, Token};

/// A store that can read a record and swap it for another, if nobody else did.
///
/// [`RegisterEngine`](super::RegisterEngine) makes an [`Engine`](crate::Engine)
/// of it.
///
/// # Order
///
/// A read that starts after a swap's future was dropped sees what the swap did,
/// or the swap never happens. A store that cannot take a request back keeps it
/// running in the background and lets the read wait for it.
pub trait Register: Send + Sync + 'static {
    /// What tells two writes of one record apart.
    type Version: Clone + Send + Sync;

    /// The kind of store, as in the URL.
    fn kind(&self) -> &'static str;

    /// What the engine made of it can do.
    fn capabilities(&self) -> Capabilities;

    /// The identity of this client, if the store can tell when it dies.
    fn session(&self) -> Option<SessionId>;

    /// Whether another client is known to be dead.
    fn is_dead(&self, session: SessionId) -> bool;

    /// The record of a name, or a new one for a name without.
    ///
    /// # Errors
    ///
    /// Changes nothing, whatever happens.
    fn read<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Reading<Self::Version>, Error>>;

    /// Writes `record` if the version is still `expected`.
    ///
    /// # Errors
    ///
    /// [`Error::Indeterminate`] if it may have been written; with any other error
    /// it was not and will not be.
    fn swap<'a>(
        &'a self,
        name: &'a LockName,
        expected: &'a Self::Version,
        record: &'a Record,
    ) -> BoxFuture<'a, Result<Swap, Error>>;

    /// The records whose names start with `prefix`, by name, and what a view of
    /// them needs.
    ///
    /// # Errors
    ///
    /// Changes nothing, whatever happens.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Listing<Self::Version>, Error>>;

    /// Wakes waiters, as far as the store can.
    fn wake(&self, name: &LockName, hints: &[Hint]);

    /// Starts to keep wake-ups for `nonce`; called before the store is asked.
    fn expect(&self, name: &LockName, nonce: Nonce);

    /// Stops keeping wake-ups for `nonce`.
    fn forget(&self, name: &LockName, nonce: Nonce);

    /// Resolves at a wake-up for `nonce`, or at once if one came since
    /// [`expect`](Self::expect).
    fn hinted<'a>(&'a self, name: &'a LockName, nonce: Nonce) -> BoxFuture<'a, ()>;

    /// Resolves when something may have changed under `prefix`.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] where the store cannot watch.
    fn changed<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), Error>>;
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Reading<V> {
    /// The record.
    pub record: Record,
    /// Which write of it this is.
    pub version: V,
    /// The store's clock at the reading. A grant's age is this less its date.
    pub now: StoreTime,
    /// The smallest value any next token in this store may take.
    pub floor: Token,
}

/// Records by name.
pub type Listing<V> = Vec<(LockName, Reading<V>)>;

/// What came of a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The record was written.
    Swapped,
    /// Somebody else wrote first; nothing changed.
    Conflict,
}
