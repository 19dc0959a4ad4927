//! The client's own clock.

use std::time::Duration;

use leasehold_core::Instant;
use rustix::time::{ClockId, clock_gettime};

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

/// Resolves at `at`; never without.
pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep(at.saturating_since(now())).await,
        None => std::future::pending().await,
    }
}
