//! The clock that instants are kept on: it counts suspended time.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
/// Counts suspended time on macOS; elsewhere it is the nearest there is.
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Time since some fixed moment, suspended time included.
pub(crate) fn now() -> Duration {
    let now = clock_gettime(CLOCK);
    // Neither clock is ever negative.
    Duration::new(
        now.tv_sec.try_into().unwrap_or_default(),
        now.tv_nsec.try_into().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::now;

    #[test]
    fn does_not_go_back() {
        let first = now();
        let second = now();
        assert!(second >= first, "{second:?} is before {first:?}");
        assert!(!first.is_zero());
    }
}
