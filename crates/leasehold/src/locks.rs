//! A client: what locks are asked of.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leasehold_core::{
    BreakRequest, Broken, Capabilities, Engine, Error, ExtendRequest, Extended, LockName,
    LockStatus, Nonce, Owner, Released, Ttl,
};

use crate::driver::Driver;
use crate::line::Lines;
use crate::{AllOf, Builder, Event, LockRequest, Watch};

/// One client of a store. Cloning is cheap, and clones are the same client.
///
/// When the last clone and the last lease are gone, the background thread carries
/// out what it still owes and ends.
#[derive(Clone)]
pub struct Locks {
    client: Arc<Client>,
}

/// What the clones and the leases of a client share.
pub(crate) struct Client {
    pub(crate) driver: Arc<Driver>,
    pub(crate) lines: Lines,
    pub(crate) owner: Owner,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.close();
    }
}

impl Locks {
    pub(crate) fn new(driver: Arc<Driver>, owner: Owner) -> Self {
        let client = Arc::new(Client {
            driver,
            lines: Lines::default(),
            owner,
        });
        Self { client }
    }

    /// Settings for a client: engine, owner, observer, clock.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Asks for a lock, waiting for it if it is busy. Await the request.
    ///
    /// ```
    /// # fn main() -> Result<(), leasehold::Error> { pollster::block_on(async {
    /// use std::time::Duration;
    ///
    /// let locks = leasehold::connect("memory:").await?;
    /// let lease = locks.lock("invoices/2026-11").wait(Duration::from_secs(10)).await?;
    /// println!("token {}", lease.token());
    /// lease.release().await?;
    /// # Ok(()) }) }
    /// ```
    pub fn lock(&self, name: impl AsRef<str>) -> LockRequest {
        LockRequest::new(Arc::clone(&self.client), name.as_ref())
    }

    /// Asks for a lock if it is free: [`lock`](Self::lock) with
    /// [`no_wait`](LockRequest::no_wait).
    pub fn try_lock(&self, name: impl AsRef<str>) -> LockRequest {
        self.lock(name).no_wait()
    }

    /// Asks for several locks, all or none.
    ///
    /// They are taken in the order of their names, whatever order they are given
    /// in, so that two callers who want overlapping sets cannot block each other
    /// for ever.
    pub fn all_of<I, S>(&self, names: I) -> AllOf
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        AllOf::new(Arc::clone(&self.client), names)
    }

    /// A lock as it stands.
    ///
    /// # Errors
    ///
    /// Changes nothing, whatever happens.
    pub async fn inspect(&self, name: &str) -> Result<LockStatus, Error> {
        self.engine().inspect(&LockName::new(name)?).await
    }

    /// The locks held or waited for whose names start with `prefix`, by name.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the engine cannot list. Changes nothing, whatever
    /// happens.
    pub async fn list(&self, prefix: &str) -> Result<Vec<LockStatus>, Error> {
        self.needs(self.capabilities().list, "listing of locks")?;
        self.engine().list(prefix).await
    }

    /// Ends every grant of a lock by force and raises its floor, so that the ended
    /// tokens are dead. The next in line gets the lock.
    ///
    /// The work that the lock protected may still be going on: its holder learns of
    /// the loss at its next renewal, and a fenced resource refuses it from the next
    /// grant on. `reason` is kept with the lock for others to read.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] without a reason. On [`Error::Indeterminate`] the grants
    /// may be ended or not; doing it again does no harm.
    ///
    /// A lock that another kind of client holds (a plain Redlock client, say) is left
    /// alone; see [`break_by_force`](Self::break_by_force).
    pub async fn break_lock(&self, name: &str, reason: &str) -> Result<Broken, Error> {
        self.end_all(name, reason, false).await
    }

    /// [`break_lock`](Self::break_lock), and deletes what another kind of client
    /// holds as well. Such a client has no token that could be made void: stop it
    /// first, or two may work at once.
    ///
    /// # Errors
    ///
    /// As for [`break_lock`](Self::break_lock).
    pub async fn break_by_force(&self, name: &str, reason: &str) -> Result<Broken, Error> {
        self.end_all(name, reason, true).await
    }

    async fn end_all(&self, name: &str, reason: &str, force: bool) -> Result<Broken, Error> {
        let name = LockName::new(name)?;
        if reason.trim().is_empty() {
            return Err(Error::invalid(
                "reason",
                reason.escape_debug().to_string(),
                "say why the lock is broken; it is recorded with the lock",
            ));
        }
        self.needs(self.capabilities().break_lock, "breaking of locks")?;
        let request = BreakRequest {
            name,
            by: self.client.owner.clone(),
            reason: reason.to_owned(),
            unix_seconds: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            force,
        };
        let broken = self.engine().break_lock(&request).await?;
        for ended in &broken.ended {
            self.client.driver.tell(&Event::Broken {
                name: request.name.clone(),
                token: ended.token,
                nonce: ended.nonce,
                by: request.by.clone(),
                reason: request.reason.clone(),
            });
        }
        Ok(broken)
    }

    /// Watches the locks whose names start with `prefix`.
    pub fn watch(&self, prefix: &str) -> Watch {
        Watch::new(Arc::clone(&self.client), prefix)
    }

    /// Prolongs a lease that was [kept](crate::Lease::keep), by its nonce: it ends
    /// `ttl` from now.
    ///
    /// # Errors
    ///
    /// On [`Error::Indeterminate`] it ends at the old time or the new. A lease that
    /// is over is an answer, not an error.
    pub async fn extend(&self, name: &str, nonce: Nonce, ttl: Duration) -> Result<Extended, Error> {
        let request = ExtendRequest {
            name: LockName::new(name)?,
            nonce,
            ttl: Ttl::new(ttl)?,
        };
        self.engine().extend(&request).await
    }

    /// Releases a lease that was [kept](crate::Lease::keep), by its nonce.
    ///
    /// # Errors
    ///
    /// On [`Error::Indeterminate`] the lock may stay held until TTL + grace; doing
    /// it again does no harm. A lease that is over is an answer, not an error.
    pub async fn release(&self, name: &str, nonce: Nonce) -> Result<Released, Error> {
        self.engine().release(&LockName::new(name)?, nonce).await
    }

    /// The engine beneath.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.client.driver.engine
    }

    /// What the engine can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.engine().capabilities()
    }

    /// The label of this client's leases.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.client.owner
    }

    /// Waits until every release that goes on in the background has run: those of
    /// leases dropped so far and of requests that failed or were cancelled. For 10
    /// s at most, if the store does not answer.
    ///
    /// Leases still held stay held, and so do other clones of this client.
    pub async fn close(self) {
        self.client.driver.clean().await;
    }

    fn needs(&self, can: bool, feature: &'static str) -> Result<(), Error> {
        if can {
            return Ok(());
        }
        Err(Error::unsupported(
            self.engine().kind(),
            feature,
            "choose an engine that has it",
        ))
    }
}

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locks")
            .field("engine", &self.engine().kind())
            .field("owner", self.owner())
            .finish_non_exhaustive()
    }
}
