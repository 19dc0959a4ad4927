//! The one clock of a history.

use rustix::time::{ClockId, clock_gettime};

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
/// Elsewhere there is no `CLOCK_BOOTTIME`.
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Now, in microseconds of `CLOCK_BOOTTIME` (`CLOCK_MONOTONIC` where there is none):
/// one clock for all processes of a machine, so that times that different workers
/// have read can be compared.
#[must_use]
pub fn now_us() -> u64 {
    let now = clock_gettime(CLOCK);
    // Neither clock is ever negative.
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds * 1_000_000 + nanos / 1_000
}

#[cfg(test)]
mod tests {
    use super::now_us;

    #[test]
    fn does_not_go_back() {
        let first = now_us();
        assert!(first > 0 && now_us() >= first);
    }
}
