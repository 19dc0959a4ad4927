//! How a lock is asked for.

use std::time::Duration;

use leasehold_core::{Capabilities, Error, Lifetime, Mode, Owner, Queued, Ttl};

/// The TTL of a lease, unless another is chosen.
pub(crate) const DEFAULT_TTL: Duration = Duration::from_secs(30);

/// Told when the place in the line or the holders change.
pub(crate) type OnWait = Box<dyn FnMut(&Queued) + Send>;

/// What the setters of a request collect.
pub(crate) struct Options {
    pub(crate) ttl: Duration,
    /// No longer than the TTL by default: within this process, work stops with the
    /// lease (`run`), so that a dead holder's lock need not wait longer.
    pub(crate) grace: Duration,
    pub(crate) wait: Wait,
    pub(crate) mode: Result<Mode, Error>,
    pub(crate) owner: Option<Owner>,
    pub(crate) renew: bool,
    pub(crate) max_hold: Option<Duration>,
    pub(crate) lifetime: Lifetime,
    pub(crate) on_wait: Option<OnWait>,
}

/// How long to wait for a busy lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    No,
    For(Duration),
    Forever,
}

/// Options that have been checked.
pub(crate) struct Terms {
    pub(crate) ttl: Ttl,
    pub(crate) grace: Duration,
    pub(crate) mode: Mode,
    pub(crate) owner: Owner,
    pub(crate) renew: bool,
    pub(crate) max_hold: Option<Duration>,
    pub(crate) lifetime: Lifetime,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ttl: DEFAULT_TTL,
            grace: Duration::ZERO,
            wait: Wait::Forever,
            mode: Ok(Mode::Exclusive),
            owner: None,
            renew: true,
            max_hold: None,
            lifetime: Lifetime::Process,
            on_wait: None,
        }
    }
}

impl Options {
    pub(crate) fn set_permits(&mut self, n: u32) {
        self.mode =
            Mode::permit_of(n).ok_or_else(|| Error::invalid("permits", "0", "give at least 1"));
    }

    pub(crate) fn set_wait(&mut self, limit: Duration) {
        // Nothing to wait for, so no place in the line to take and give back.
        self.wait = if limit.is_zero() {
            Wait::No
        } else {
            Wait::For(limit)
        };
    }

    /// Checks everything before anything is sent.
    pub(crate) fn check(
        &self,
        engine: &'static str,
        can: Capabilities,
        owner: &Owner,
    ) -> Result<Terms, Error> {
        let ttl = Ttl::new(self.ttl)?;
        if self.grace > Ttl::MAX.get() {
            return Err(Error::invalid(
                "grace",
                format!("{:?}", self.grace),
                "choose at most 30d; a few seconds are enough to stop work in",
            ));
        }
        if self.max_hold.is_some_and(|length| length.is_zero()) {
            return Err(Error::invalid(
                "max_hold",
                "0",
                "give the longest time to hold the lock for",
            ));
        }
        let mode = self.mode.clone()?;
        let remedy = "choose an engine that has it, or take the lock exclusively";
        match mode {
            Mode::Shared if !can.shared => {
                return Err(Error::unsupported(engine, "shared locks", remedy));
            }
            Mode::Permit(_) if !can.permits => {
                return Err(Error::unsupported(engine, "permits", remedy));
            }
            _ => {}
        }
        Ok(Terms {
            ttl,
            grace: self.grace,
            mode,
            owner: self.owner.clone().unwrap_or_else(|| owner.clone()),
            renew: self.renew,
            max_hold: self.max_hold,
            lifetime: self.lifetime,
        })
    }
}

/// The setters that every request has. The type must have a field `options`.
macro_rules! setters {
    () => {
        /// How long the lease lasts unless it is renewed: 20 ms to 30 days, 30 s by
        /// default. Renewal happens at a third of it.
        ///
        /// A crashed holder blocks others for as long as this on engines that
        /// cannot tell that it died; a holder cut off from the store for as long
        /// loses its lease.
        pub fn ttl(mut self, ttl: std::time::Duration) -> Self {
            self.options.ttl = ttl;
            self
        }

        /// How much longer than the TTL the store keeps the lock of a holder that
        /// lost its lease, so that it has time to stop. None by default; at most 30
        /// days.
        ///
        /// For work that cannot be stopped at once, such as another process.
        pub fn grace(mut self, grace: std::time::Duration) -> Self {
            self.options.grace = grace;
            self
        }

        /// Waits for a busy lock for this long at most, then fails with
        /// [`Error::TimedOut`](crate::Error::TimedOut). Without a limit by default;
        /// zero is the same as [`no_wait`](Self::no_wait).
        pub fn wait(mut self, limit: std::time::Duration) -> Self {
            self.options.set_wait(limit);
            self
        }

        /// Fails with [`Error::Contended`](crate::Error::Contended) if the lock is
        /// busy.
        pub fn no_wait(mut self) -> Self {
            self.options.wait = crate::options::Wait::No;
            self
        }

        /// Shares the lock with other shared holders. On an engine without shared
        /// locks, asking fails with
        /// [`Error::Unsupported`](crate::Error::Unsupported).
        pub fn shared(mut self) -> Self {
            self.options.mode = Ok(crate::Mode::Shared);
            self
        }

        /// Takes one of `n` permits (a semaphore). Everybody must name the same `n`
        /// for one lock. On an engine without permits, asking fails with
        /// [`Error::Unsupported`](crate::Error::Unsupported).
        pub fn permits(mut self, n: u32) -> Self {
            self.options.set_permits(n);
            self
        }

        /// The label that others see, for this lease only.
        pub fn owner(mut self, owner: impl Into<crate::Owner>) -> Self {
            self.options.owner = Some(owner.into());
            self
        }

        /// Whether the lease is renewed in the background; it is by default.
        pub fn renew(mut self, renew: bool) -> Self {
            self.options.renew = renew;
            self
        }

        /// The longest time to hold the lock for, however often it is renewed. Then
        /// it is lost with [`Loss::MaxHold`](crate::Loss::MaxHold) and not renewed
        /// any more: the lock is free once the lease is dropped or released, and if
        /// that was forgotten, after the rest of its TTL and the grace. No limit by
        /// default.
        pub fn max_hold(mut self, limit: std::time::Duration) -> Self {
            self.options.max_hold = Some(limit);
            self
        }

        /// The grant outlives this process: only its TTL, a release or a break end
        /// it. It can so be [kept](crate::Lease::keep) and passed on. Dropping the
        /// lease still releases it.
        pub fn detached(mut self) -> Self {
            self.options.lifetime = crate::Lifetime::Detached;
            self
        }

        /// Is told when this request begins to wait, and whenever its place in the
        /// line or the holders change. Must be quick.
        ///
        /// A task that waits behind another task of the same client for the same
        /// lock is told nothing until its turn to ask the store comes.
        pub fn on_wait(mut self, told: impl FnMut(&crate::Queued) + Send + 'static) -> Self {
            self.options.on_wait = Some(Box::new(told));
            self
        }
    };
}
pub(crate) use setters;
