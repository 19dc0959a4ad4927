//! Time as the holder and the store see it.
//!
//! Two clocks, two types, so that they cannot be mixed: [`Instant`] is the
//! holder's own monotonic clock, [`StoreTime`] is the clock of whoever keeps the
//! state. Neither is a wall clock, and no value of one is ever compared with a
//! value of the other, or with another machine's (C2).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A moment on the holder's own monotonic clock, in nanoseconds since that
/// clock's start.
///
/// The clock must count the time the machine was suspended (`CLOCK_BOOTTIME` on
/// Linux); else a lease would outlive its deadline across a suspend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// A moment this long after the clock's start.
    #[must_use]
    pub fn from_start(since: Duration) -> Self {
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long after the clock's start.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment and `after` more; the end of time if that overflows.
    #[must_use]
    pub fn saturating_add(self, after: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

/// When the holder of a lease must have stopped, on its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline of a request that was about to be sent at `before_sending`:
    /// that plus the TTL, minus the margin (C2).
    ///
    /// `before_sending` must be read before the first byte leaves, since the
    /// store may have started to count at any moment after that.
    #[must_use]
    pub fn of(before_sending: Instant, ttl: Ttl) -> Self {
        Self(before_sending.saturating_add(ttl.validity()))
    }

    /// The moment itself.
    #[must_use]
    pub const fn at(self) -> Instant {
        self.0
    }

    /// The time left at `now`; zero from the deadline on.
    #[must_use]
    pub const fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_since(now)
    }

    /// Whether the deadline has come.
    #[must_use]
    pub fn has_passed(self, now: Instant) -> bool {
        now >= self.0
    }
}

/// How long a grant lasts unless it is extended.
///
/// From 20 ms, below which the margin and an ordinary scheduling delay eat up
/// the lease, to 30 days, above which a forgotten lock is as good as broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ttl(Duration);

impl Ttl {
    /// The shortest TTL: 20 ms.
    pub const MIN: Self = Self(Duration::from_millis(20));
    /// The longest TTL: 30 days.
    pub const MAX: Self = Self(Duration::from_secs(30 * 24 * 60 * 60));

    /// Checks the length and keeps it, to the microsecond.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] below 20 ms or above 30 days. Nothing was sent, so
    /// nothing is held.
    pub fn new(length: Duration) -> Result<Self, Error> {
        if length < Self::MIN.0 || length > Self::MAX.0 {
            return Err(Error::invalid(
                "ttl",
                format!("{length:?}"),
                "choose from 20ms to 30d; a lease is renewed while it is held, so 10s to 60s suits most work",
            ));
        }
        let micros = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
        Ok(Self(Duration::from_micros(micros)))
    }

    /// The length.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// What is taken off at the holder's side for clocks that run at different
    /// rates: 1 % of the TTL and 2 ms.
    #[must_use]
    pub fn margin(self) -> Duration {
        self.0 / 100 + Duration::from_millis(2)
    }

    /// How long the holder may believe in the lease: the TTL less the margin.
    #[must_use]
    pub fn validity(self) -> Duration {
        self.0.saturating_sub(self.margin())
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl TryFrom<Duration> for Ttl {
    type Error = Error;

    fn try_from(length: Duration) -> Result<Self, Error> {
        Self::new(length)
    }
}

/// A moment on the store's own clock, in microseconds since that clock's start.
///
/// Whoever reads a record reads this clock with it; a grant's age is the
/// difference of two such readings and nothing else. A store without a clock
/// lets each reader date a version at its first sight of it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct StoreTime(u64);

impl StoreTime {
    /// A moment this many microseconds after the clock's start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds after the clock's start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This moment and `after` more; the end of time if that overflows.
    #[must_use]
    pub fn saturating_add(self, after: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(after.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_the_ttl_less_the_margin() {
        let sent = Instant::from_start(Duration::from_secs(100));
        let ttl = Ttl::new(Duration::from_secs(10)).unwrap();
        let deadline = Deadline::of(sent, ttl);
        assert_eq!(deadline.remaining(sent), Duration::from_millis(9_898));
        assert!(!deadline.has_passed(sent));
        assert!(deadline.has_passed(deadline.at()));
        let late = sent.saturating_add(Duration::from_secs(60));
        assert_eq!(deadline.remaining(late), Duration::ZERO);
    }

    #[test]
    fn ttls_out_of_bounds_are_refused_by_name() {
        for bad in [
            Duration::ZERO,
            Duration::from_millis(1),
            Duration::from_secs(100 * 365 * 86_400),
        ] {
            let said = Ttl::new(bad).unwrap_err().to_string();
            assert!(
                said.contains("ttl") && said.contains("20ms to 30d"),
                "{said}"
            );
        }
        assert!(Ttl::new(Ttl::MIN.get()).is_ok() && Ttl::new(Ttl::MAX.get()).is_ok());
    }
}
