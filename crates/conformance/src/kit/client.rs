//! A client whose futures are waited for, within bounds.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leasehold_core::{
    AcquireRequest, Acquired, BreakRequest, Broken, Engine, Error, ExtendRequest, Extended, HeldBy,
    LockName, LockStatus, Nonce, Queued, Released, Token, Ttl,
};

use super::drive;
use crate::{Pace, Store};

/// A client of a store. Whatever must not happen to it is a panic.
pub(crate) struct Client {
    pub(crate) engine: Arc<dyn Engine>,
    pace: Pace,
}

/// A grant that a client was given.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) name: LockName,
    pub(crate) nonce: Nonce,
    pub(crate) token: Token,
}

/// When a request was about to be sent, and what came of it.
pub(crate) fn sent<T>(send: impl FnOnce() -> T) -> (Instant, T) {
    (Instant::now(), send())
}

impl Client {
    pub(crate) fn of(store: &dyn Store, pace: Pace) -> Self {
        match store.client() {
            Ok(engine) => Self { engine, pace },
            Err(error) => panic!("no client of the store: {error}"),
        }
    }

    pub(crate) const fn new(engine: Arc<dyn Engine>, pace: Pace) -> Self {
        Self { engine, pace }
    }

    /// Waits for a future of this engine, as long as the pace allows.
    pub(crate) fn wait<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let bound = self.pace.patience;
        drive::within(bound, future)
            .unwrap_or_else(|| panic!("{what} was not over within {bound:?}"))
    }

    fn answer<T>(&self, what: &str, future: impl Future<Output = Result<T, Error>>) -> T {
        match self.wait(what, future) {
            Ok(answer) => answer,
            Err(error) => panic!("{what} failed: {error}"),
        }
    }

    pub(crate) fn try_acquire(&self, request: &AcquireRequest) -> Result<Acquired, Error> {
        self.wait("an acquire", self.engine.acquire(request))
    }

    pub(crate) fn acquire(&self, request: &AcquireRequest) -> Acquired {
        self.answer("an acquire", self.engine.acquire(request))
    }

    /// Acquires; the lock must be free for it.
    #[track_caller]
    pub(crate) fn grant(&self, request: &AcquireRequest) -> Lease {
        match self.acquire(request) {
            Acquired::Granted(granted) => Lease {
                name: request.name.clone(),
                nonce: request.nonce,
                token: granted.token,
            },
            other => panic!("{:?} must be granted, but: {other:?}", request.name),
        }
    }

    /// Acquires; the lock must be busy, and the request take a place in the line.
    #[track_caller]
    pub(crate) fn queue(&self, request: &AcquireRequest) -> Queued {
        match self.acquire(request) {
            Acquired::Queued(queued) => queued,
            other => panic!("{:?} must be queued for, but: {other:?}", request.name),
        }
    }

    /// Acquires without queueing; the lock must be busy.
    #[track_caller]
    pub(crate) fn busy(&self, request: &AcquireRequest) -> Vec<HeldBy> {
        match self.acquire(request) {
            Acquired::Busy(holders) => holders,
            other => panic!("{:?} must be busy, but: {other:?}", request.name),
        }
    }

    /// Waits for its turn as the library does: asks, waits for a hint or as long
    /// as it was told, asks again.
    pub(crate) fn turn(&self, request: &AcquireRequest) -> Lease {
        self.turn_within(self.pace.patience, request)
            .unwrap_or_else(|| {
                panic!(
                    "{:?} was not granted to a waiter within {:?}",
                    request.name, self.pace.patience
                )
            })
    }

    /// The same, for so long; `None` if it was neither hinted nor told to ask again
    /// by then.
    pub(crate) fn turn_within(&self, bound: Duration, request: &AcquireRequest) -> Option<Lease> {
        let interval = request.queue.expect("a request that queues");
        let until = Instant::now() + bound;
        loop {
            match self.acquire(request) {
                Acquired::Granted(granted) => {
                    return Some(Lease {
                        name: request.name.clone(),
                        nonce: request.nonce,
                        token: granted.token,
                    });
                }
                Acquired::Busy(_) => panic!("a queueing request was refused as busy"),
                Acquired::Queued(queued) => {
                    let left = until.saturating_duration_since(Instant::now());
                    let recheck = queued.recheck_after.min(interval);
                    let hint = self.engine.hint(&request.name, request.nonce);
                    let hinted = drive::within(recheck.min(left), hint).is_some();
                    // Not asked once more at the end: that would hide a wake-up
                    // that was lost.
                    if !hinted && recheck >= left {
                        return None;
                    }
                }
            }
        }
    }

    /// Waits for the hint alone.
    pub(crate) fn hint(&self, request: &AcquireRequest) {
        self.wait(
            "the wait for a hint",
            self.engine.hint(&request.name, request.nonce),
        );
    }

    pub(crate) fn extend_as(&self, name: &LockName, nonce: Nonce, ttl: Duration) -> Extended {
        let request = ExtendRequest {
            name: name.clone(),
            nonce,
            ttl: Ttl::new(ttl).expect("a TTL that is allowed"),
        };
        self.answer("an extend", self.engine.extend(&request))
    }

    /// Extends by a TTL that outlasts the case.
    pub(crate) fn extend(&self, lease: &Lease) -> Extended {
        self.extend_as(&lease.name, lease.nonce, self.pace.patience * 4)
    }

    pub(crate) fn release_as(&self, name: &LockName, nonce: Nonce) -> Released {
        self.answer("a release", self.engine.release(name, nonce))
    }

    pub(crate) fn release(&self, lease: &Lease) -> Released {
        self.release_as(&lease.name, lease.nonce)
    }

    /// Releases; the lease must have been held.
    #[track_caller]
    pub(crate) fn give_back(&self, lease: &Lease) {
        assert_eq!(
            self.release(lease),
            Released::Released,
            "the lease with token {} was lost unnoticed",
            lease.token
        );
    }

    pub(crate) fn inspect(&self, name: &str) -> LockStatus {
        let name = LockName::new(name).expect("a name that is allowed");
        self.answer("an inspect", self.engine.inspect(&name))
    }

    pub(crate) fn list(&self, prefix: &str) -> Vec<LockStatus> {
        self.answer("a list", self.engine.list(prefix))
    }

    pub(crate) fn break_lock(&self, name: &str, reason: &str) -> Broken {
        let request = BreakRequest {
            name: LockName::new(name).expect("a name that is allowed"),
            by: "operator".into(),
            reason: reason.to_owned(),
            unix_seconds: 1_700_000_000,
            force: false,
        };
        self.answer("a break", self.engine.break_lock(&request))
    }

    pub(crate) fn changed(&self, prefix: &str) {
        self.answer("the wait for a change", self.engine.changed(prefix));
    }
}
