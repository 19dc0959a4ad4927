//! Requests.

use std::future::IntoFuture;
use std::time::Duration;

use leasehold_core::{Error, Owner, Queued};
use pollster::block_on;

use super::{Lease, Leases};

/// A request for one lock; see [`LockRequest`](crate::LockRequest). Nothing
/// happens until [`lock`](Self::lock).
#[must_use = "nothing happens until lock() is called"]
pub struct LockRequest(pub(super) crate::LockRequest);

/// A request for several locks; see [`AllOf`](crate::AllOf). Nothing happens
/// until [`lock`](Self::lock).
#[must_use = "nothing happens until lock() is called"]
pub struct AllOf(pub(super) crate::AllOf);

/// The options, all passed on.
macro_rules! forwarded {
    ($to:ident) => {
        #[doc = concat!("See [`", stringify!($to), "::ttl`](crate::", stringify!($to), "::ttl).")]
        pub fn ttl(self, ttl: Duration) -> Self {
            Self(self.0.ttl(ttl))
        }

        #[doc = concat!("See [`", stringify!($to), "::grace`](crate::", stringify!($to), "::grace).")]
        pub fn grace(self, grace: Duration) -> Self {
            Self(self.0.grace(grace))
        }

        #[doc = concat!("See [`", stringify!($to), "::wait`](crate::", stringify!($to), "::wait).")]
        pub fn wait(self, limit: Duration) -> Self {
            Self(self.0.wait(limit))
        }

        #[doc = concat!("See [`", stringify!($to), "::no_wait`](crate::", stringify!($to), "::no_wait).")]
        pub fn no_wait(self) -> Self {
            Self(self.0.no_wait())
        }

        #[doc = concat!("See [`", stringify!($to), "::shared`](crate::", stringify!($to), "::shared).")]
        pub fn shared(self) -> Self {
            Self(self.0.shared())
        }

        #[doc = concat!("See [`", stringify!($to), "::permits`](crate::", stringify!($to), "::permits).")]
        pub fn permits(self, n: u32) -> Self {
            Self(self.0.permits(n))
        }

        #[doc = concat!("See [`", stringify!($to), "::owner`](crate::", stringify!($to), "::owner).")]
        pub fn owner(self, owner: impl Into<Owner>) -> Self {
            Self(self.0.owner(owner))
        }

        #[doc = concat!("See [`", stringify!($to), "::renew`](crate::", stringify!($to), "::renew).")]
        pub fn renew(self, renew: bool) -> Self {
            Self(self.0.renew(renew))
        }

        #[doc = concat!("See [`", stringify!($to), "::max_hold`](crate::", stringify!($to), "::max_hold).")]
        pub fn max_hold(self, limit: Duration) -> Self {
            Self(self.0.max_hold(limit))
        }

        #[doc = concat!("See [`", stringify!($to), "::detached`](crate::", stringify!($to), "::detached).")]
        pub fn detached(self) -> Self {
            Self(self.0.detached())
        }

        #[doc = concat!("See [`", stringify!($to), "::on_wait`](crate::", stringify!($to), "::on_wait).")]
        pub fn on_wait(self, told: impl FnMut(&Queued) + Send + 'static) -> Self {
            Self(self.0.on_wait(told))
        }
    };
}

impl LockRequest {
    forwarded!(LockRequest);

    /// Takes the lock.
    ///
    /// # Errors
    ///
    /// As for [`LockRequest`](crate::LockRequest).
    pub fn lock(self) -> Result<Lease, Error> {
        block_on(self.0.into_future()).map(Lease::from)
    }
}

impl AllOf {
    forwarded!(AllOf);

    /// Takes all of the locks.
    ///
    /// # Errors
    ///
    /// As for [`AllOf`](crate::AllOf).
    pub fn lock(self) -> Result<Leases, Error> {
        block_on(self.0.into_future()).map(Leases::from)
    }
}
