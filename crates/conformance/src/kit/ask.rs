//! Acquire requests, as changes to an ordinary one.

use std::time::Duration;

use leasehold_core::{AcquireRequest, Lifetime, LockName, Mode, Nonce, Ttl};

use crate::Pace;

/// A fresh nonce.
pub(crate) fn nonce() -> Nonce {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    Nonce::from_bytes(bytes)
}

/// An ordinary request: exclusive, with a TTL that outlasts the case, not queueing.
pub(crate) fn ask(name: &str, pace: Pace) -> AcquireRequest {
    AcquireRequest {
        name: LockName::new(name).expect("a name that is allowed"),
        nonce: nonce(),
        owner: "conformance".into(),
        mode: Mode::Exclusive,
        ttl: Ttl::new(pace.patience * 4).expect("Pace::patience is at most 7 days"),
        grace: Duration::from_secs(2),
        lifetime: Lifetime::Process,
        queue: None,
    }
}

/// Changes to a request.
pub(crate) trait Ask: Sized {
    fn mode(self, mode: Mode) -> Self;
    fn owner(self, owner: &str) -> Self;
    fn detached(self) -> Self;
    /// With this TTL and grace.
    fn lasting(self, ttl: Duration, grace: Duration) -> Self;
    /// Takes a place in the line, and promises to ask again this often.
    fn queueing(self, interval: Duration) -> Self;
    /// The same for another lease.
    fn another(&self) -> Self;

    fn shared(self) -> Self {
        self.mode(Mode::Shared)
    }

    fn permit_of(self, n: u32) -> Self {
        self.mode(Mode::permit_of(n).expect("at least one permit"))
    }

    /// With a TTL and grace that are to run out.
    fn brief(self, pace: Pace) -> Self {
        self.lasting(pace.ttl, pace.grace)
    }

    /// Takes a place in the line that outlasts the case.
    fn patient(self, pace: Pace) -> Self {
        self.queueing(pace.patience * 2)
    }
}

impl Ask for AcquireRequest {
    fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    fn owner(self, owner: &str) -> Self {
        Self {
            owner: owner.into(),
            ..self
        }
    }

    fn detached(self) -> Self {
        Self {
            lifetime: Lifetime::Detached,
            ..self
        }
    }

    fn lasting(self, ttl: Duration, grace: Duration) -> Self {
        Self {
            ttl: Ttl::new(ttl).expect("a TTL that is allowed"),
            grace,
            ..self
        }
    }

    fn queueing(self, interval: Duration) -> Self {
        Self {
            queue: Some(interval),
            ..self
        }
    }

    fn another(&self) -> Self {
        Self {
            nonce: nonce(),
            ..self.clone()
        }
    }
}
