//! The contract every kind of store fulfils.
//!
//! An engine is asked one thing at a time and answers what is true now; it does
//! not retry, renew or wait for its caller's sake. Renewal, waiting, deadlines
//! and clean-up are driven by the library, the same way for every engine.

mod capabilities;
mod reply;
mod request;

pub use capabilities::{Capabilities, Wakeup};
pub use reply::{Acquired, Broken, Extended, Granted, Queued, Released};
pub use request::{AcquireRequest, BreakRequest, ExtendRequest, Lifetime};

use std::future::Future;
use std::pin::Pin;

use crate::{Error, LockName, LockStatus, Nonce};

/// A boxed future, so that [`Engine`] stays object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A kind of store, connected.
///
/// # What every engine promises
///
/// * Tokens, ownership and exclusion as C1, C3 and C4 say.
/// * An answer is what happened. A request whose outcome is not known is
///   [`Error::Indeterminate`], never a refusal.
/// * **Order.** A [`release`](Engine::release) called after an
///   [`acquire`](Engine::acquire) of the same nonce takes effect after it, even
///   if the acquire's future was dropped half-way. Callers rely on that: after a
///   failed or dropped acquire they release the nonce, and nothing stays held.
/// * Every future may be polled on any runtime, or on none, and dropped at any
///   await.
pub trait Engine: Send + Sync + 'static {
    /// The kind, as in the URL: `local`, `redis` …
    fn kind(&self) -> &'static str;

    /// What this engine can do. Does not change while it is open.
    fn capabilities(&self) -> Capabilities;

    /// Takes the lock, or a place in its line if the request says to queue.
    ///
    /// Repeating a request with the same nonce is how a waiter refreshes its
    /// place, claims a lock handed over to it, and settles an unknown outcome: if
    /// the nonce already has the grant, the answer is that grant, counted from
    /// this request on unless the answer gives a deadline
    /// ([`Granted::until`]).
    ///
    /// # Errors
    ///
    /// A busy lock is an answer, not an error. On [`Error::Indeterminate`] the
    /// nonce may hold the lock or a place in the line. Dropping the future is the
    /// same; release the nonce then.
    fn acquire<'a>(&'a self, request: &'a AcquireRequest)
    -> BoxFuture<'a, Result<Acquired, Error>>;

    /// Prolongs a grant: its TTL counts from this request on. It is never made
    /// shorter, since the holder may rely on an earlier answer.
    ///
    /// Never creates and never revives a grant (C4).
    ///
    /// # Errors
    ///
    /// On [`Error::Indeterminate`] the grant may end at the old or the new time;
    /// the holder keeps its old deadline. Safe to drop at any await.
    fn extend<'a>(&'a self, request: &'a ExtendRequest) -> BoxFuture<'a, Result<Extended, Error>>;

    /// Gives back the grant of this nonce, or its place in the line.
    ///
    /// # Errors
    ///
    /// On [`Error::Indeterminate`] the lock may stay held until TTL + grace. An
    /// engine carries a release out even if its future is dropped after the first
    /// poll.
    fn release<'a>(
        &'a self,
        name: &'a LockName,
        nonce: Nonce,
    ) -> BoxFuture<'a, Result<Released, Error>>;

    /// Resolves when it is worth asking again for the place in the line that
    /// `nonce` has: the lock was handed over to it, or a holder died.
    ///
    /// A hint that came after the last [`Acquired::Queued`] answer for this nonce
    /// resolves at once, so none falls between the answer and this call. A hint
    /// may be wrong or missing; callers bound the wait by
    /// [`Queued::recheck_after`].
    fn hint<'a>(&'a self, name: &'a LockName, nonce: Nonce) -> BoxFuture<'a, ()>;

    /// The lock as it stands; a name never locked is a free lock.
    ///
    /// # Errors
    ///
    /// Changes nothing, whatever happens.
    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<LockStatus, Error>>;

    /// The locks held or waited for whose names start with `prefix`, by name.
    ///
    /// # Errors
    ///
    /// Changes nothing, whatever happens.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<LockStatus>, Error>>;

    /// Ends every grant of a lock by force, raises its floor above their tokens,
    /// and hands the lock to the next in line.
    ///
    /// # Errors
    ///
    /// On [`Error::Indeterminate`] the grants may be ended or not; inspect the
    /// lock and break it again if need be.
    fn break_lock<'a>(&'a self, request: &'a BreakRequest) -> BoxFuture<'a, Result<Broken, Error>>;

    /// Resolves when something may have changed among the locks whose names start
    /// with `prefix` since the last call on this engine, or after a short while at
    /// the latest. A hint: list and compare (see [`changes`](crate::changes)).
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] where the engine cannot watch.
    fn changed<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    /// A file that keeps this client's leases alive for as long as any process has
    /// it open, on engines that tell a client's death by its open files; `None` on
    /// others, and before the first lease.
    ///
    /// Whoever must do something between the death of this process and the next
    /// grant holds a copy until it is done. The TTL counts all the same.
    #[cfg(unix)]
    fn lifeline(&self) -> Option<std::os::fd::OwnedFd> {
        None
    }
}
