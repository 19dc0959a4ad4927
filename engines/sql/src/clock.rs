//! The client's own clock.

use leasehold_core::Instant;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Counts the time that the machine was suspended (C2).
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
/// Counts the time that the machine was suspended, on macOS.
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Now, on the client's own clock.
pub(crate) fn now() -> Instant {
    let now = clock_gettime(CLOCK);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
    Instant::from_start(Duration::new(seconds, nanos))
}
