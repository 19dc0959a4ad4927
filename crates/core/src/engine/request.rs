//! What an engine is asked.

use std::time::Duration;

use crate::{LockName, Mode, Nonce, Owner, Ttl};

/// What ends a grant besides its TTL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// The death of the process that asked, where the engine can tell.
    #[default]
    Process,
    /// Nothing: the grant may pass from process to process by its nonce.
    Detached,
}

/// Asks for a lock.
#[derive(Clone, Debug)]
pub struct AcquireRequest {
    /// The lock.
    pub name: LockName,
    /// The identity of the grant, fresh for every lease.
    pub nonce: Nonce,
    /// Who asks, for people.
    pub owner: Owner,
    /// How many may hold it at once.
    pub mode: Mode,
    /// How long the grant lasts unless extended.
    pub ttl: Ttl,
    /// How much longer than the TTL the store keeps the grant, so that a holder
    /// that lost it has time to stop.
    pub grace: Duration,
    /// What ends the grant besides its TTL.
    pub lifetime: Lifetime,
    /// Take a place in the line if the lock is busy; `None` to be refused.
    ///
    /// The waiter promises to repeat its request at least this often. One that
    /// has not for three times as long falls out of the line, and a lock handed
    /// over to it passes on.
    pub queue: Option<Duration>,
}

/// Asks to prolong a grant.
#[derive(Clone, Debug)]
pub struct ExtendRequest {
    /// The lock.
    pub name: LockName,
    /// The identity of the grant.
    pub nonce: Nonce,
    /// The TTL from this request on; the grant ends no sooner than before. The
    /// grace stays as it was.
    pub ttl: Ttl,
}

/// Asks to end every grant of a lock by force.
#[derive(Clone, Debug)]
pub struct BreakRequest {
    /// The lock.
    pub name: LockName,
    /// Who breaks it, for the record.
    pub by: Owner,
    /// Why, for the record.
    pub reason: String,
    /// The wall-clock time in seconds since the Unix epoch, for people to read;
    /// nothing is decided by it.
    pub unix_seconds: u64,
    /// End what another kind of client holds as well. It has no token that could be
    /// made void: unless that client is stopped first, two may work at once.
    pub force: bool,
}
