//! Leases.

use std::time::Duration;

use leasehold_core::{Deadline, Error, LockName, Loss, Mode, Nonce, Owner, Released, Token, Ttl};
use pollster::block_on;

use crate::Kept;

/// How long a drop waits for the store.
const DROP: Duration = Duration::from_secs(5);

/// A lease; see [`Lease`](crate::Lease).
///
/// Dropping it releases the lock before it returns, within 5 s; if the store does
/// not answer by then, the release goes on in the background.
#[derive(Debug)]
#[must_use = "a lease is released when it is dropped"]
pub struct Lease {
    /// Taken out only by what consumes the lease.
    lease: Option<crate::Lease>,
}

impl From<crate::Lease> for Lease {
    fn from(lease: crate::Lease) -> Self {
        Self { lease: Some(lease) }
    }
}

impl Lease {
    /// The same lease, for async code.
    pub fn as_async(&self) -> &crate::Lease {
        let Some(lease) = &self.lease else {
            unreachable!("only what consumes the lease takes it out");
        };
        lease
    }

    /// The same lease, for async code. Dropping it releases it in the background.
    pub fn into_async(mut self) -> crate::Lease {
        let Some(lease) = self.lease.take() else {
            unreachable!("only what consumes the lease takes it out");
        };
        lease
    }

    /// See [`Lease::token`](crate::Lease::token).
    #[must_use]
    pub fn token(&self) -> Token {
        self.as_async().token()
    }

    /// See [`Lease::name`](crate::Lease::name).
    #[must_use]
    pub fn name(&self) -> &LockName {
        self.as_async().name()
    }

    /// See [`Lease::nonce`](crate::Lease::nonce).
    #[must_use]
    pub fn nonce(&self) -> Nonce {
        self.as_async().nonce()
    }

    /// See [`Lease::mode`](crate::Lease::mode).
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.as_async().mode()
    }

    /// See [`Lease::owner`](crate::Lease::owner).
    #[must_use]
    pub fn owner(&self) -> &Owner {
        self.as_async().owner()
    }

    /// See [`Lease::ttl`](crate::Lease::ttl).
    #[must_use]
    pub fn ttl(&self) -> Ttl {
        self.as_async().ttl()
    }

    /// See [`Lease::deadline`](crate::Lease::deadline).
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.as_async().deadline()
    }

    /// See [`Lease::remaining`](crate::Lease::remaining).
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.as_async().remaining()
    }

    /// See [`Lease::is_valid`](crate::Lease::is_valid).
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.as_async().is_valid()
    }

    /// See [`Lease::is_lost`](crate::Lease::is_lost).
    #[must_use]
    pub fn is_lost(&self) -> Option<Loss> {
        self.as_async().is_lost()
    }

    /// Waits for the loss of the lease, for `limit` at most; `None` if it is still
    /// valid then.
    #[must_use]
    pub fn wait_lost(&self, limit: Duration) -> Option<Loss> {
        let lease = self.as_async();
        let driver = &lease.client().driver;
        let limit = driver.now().saturating_add(limit);
        block_on(driver.within(Some(limit), lease.lost()))
    }

    /// Prolongs the lease now; see [`Lease::extend`](crate::Lease::extend).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn extend(&self, ttl: Duration) -> Result<Deadline, Error> {
        block_on(self.as_async().extend(ttl))
    }

    /// Gives the lock back; see [`Lease::release`](crate::Lease::release).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn release(self) -> Result<Released, Error> {
        block_on(self.into_async().release())
    }

    /// Stops looking after the lease without releasing it; see
    /// [`Lease::keep`](crate::Lease::keep).
    #[must_use = "the nonce is needed to release it"]
    pub fn keep(self) -> Kept {
        self.into_async().keep()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            let driver = std::sync::Arc::clone(&lease.client().driver);
            let limit = driver.now().saturating_add(DROP);
            // An error, too, leaves the rest to the background.
            let _ = block_on(driver.within(Some(limit), lease.release()));
        }
    }
}

/// Several leases; see [`Leases`](crate::Leases).
///
/// Dropping them releases them in the background.
#[derive(Debug)]
#[must_use = "leases are released when they are dropped"]
pub struct Leases(crate::Leases);

impl From<crate::Leases> for Leases {
    fn from(leases: crate::Leases) -> Self {
        Self(leases)
    }
}

impl Leases {
    /// The same leases, for async code.
    pub const fn as_async(&self) -> &crate::Leases {
        &self.0
    }

    /// The lease of one of the locks; it has all that can be asked without waiting.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&crate::Lease> {
        self.0.get(name)
    }

    /// Whether all of them are valid now.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.0.is_valid()
    }

    /// How long all of them are valid without another renewal.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.remaining()
    }

    /// Gives all of them back; see [`Leases::release`](crate::Leases::release).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn release(self) -> Result<Released, Error> {
        block_on(self.0.release())
    }
}

impl IntoIterator for Leases {
    type Item = Lease;
    type IntoIter = std::iter::Map<std::vec::IntoIter<crate::Lease>, fn(crate::Lease) -> Lease>;

    fn into_iter(self) -> Self::IntoIter {
        self.0
            .into_iter()
            .map(Lease::from as fn(crate::Lease) -> Lease)
    }
}
