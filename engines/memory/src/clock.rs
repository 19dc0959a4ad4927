//! The store's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leasehold_core::StoreTime;
use rustix::time::{ClockId, clock_gettime};

/// Where a memory store takes its time from.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Clock {
    /// The machine's monotonic clock, which counts suspended time.
    #[default]
    Machine,
    /// A clock that stands still until a test moves it.
    Manual(ManualClock),
}

/// A clock that stands still until it is moved. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows its start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock on, to the microsecond. Wakes nobody: a waiter finds out
    /// when it asks again.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock {
    pub(crate) fn now(&self) -> StoreTime {
        StoreTime::from_micros(match self {
            Self::Manual(clock) => clock.0.load(Ordering::SeqCst),
            Self::Machine => {
                let now = clock_gettime(MACHINE);
                let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
                seconds * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000
            }
        })
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const MACHINE: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const MACHINE: ClockId = ClockId::Monotonic;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_by_hand_and_the_machines_by_itself() {
        let manual = ManualClock::new();
        let clock = Clock::Manual(manual.clone());
        assert_eq!(clock.now().as_micros(), 0);
        manual.advance(Duration::from_millis(3));
        assert_eq!(clock.now().as_micros(), 3_000);
        let before = Clock::Machine.now();
        assert!(before.as_micros() > 0 && Clock::Machine.now() >= before);
    }
}
