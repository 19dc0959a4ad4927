//! The holder's own clock (C2).

use std::time::Duration;

use leasehold_core::{BoxFuture, Instant};

/// The holder's own monotonic clock, by which deadlines are judged.
///
/// [`SystemClock`] is the one to use; a test brings
/// [`ManualClock`](crate::testing::ManualClock).
pub trait Clock: Send + Sync + 'static {
    /// The time now. Never goes back, and counts the time the machine was
    /// suspended.
    fn now(&self) -> Instant;

    /// Resolves when the clock has reached `at`; early is no harm, since whoever
    /// waits looks at the clock again.
    ///
    /// Polled on the client's background thread, inside a tokio runtime with its
    /// I/O and time drivers on. Cancel-safe.
    fn wait_until<'a>(&'a self, at: Instant) -> BoxFuture<'a, ()>;
}

/// The machine's clock: `CLOCK_BOOTTIME` on Linux, which goes on while the
/// machine is suspended, so that a deadline which passed meanwhile has passed on
/// waking up.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// How often [`SystemClock::wait_until`] looks at the clock where no timer of the
/// operating system counts suspended time, or none can be had.
const COARSE: Duration = Duration::from_millis(50);

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        #[cfg(target_os = "linux")]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        // Counts suspended time on macOS, whose CLOCK_MONOTONIC differs from Linux's.
        #[cfg(not(target_os = "linux"))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(CLOCK);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
        Instant::from_start(Duration::new(seconds, nanos))
    }

    fn wait_until<'a>(&'a self, at: Instant) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            #[cfg(target_os = "linux")]
            if timer::wait_until(at).await.is_ok() {
                return;
            }
            // Out of file descriptors, say. Deadlines must come all the same.
            loop {
                let left = at.saturating_since(self.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(COARSE)).await;
            }
        })
    }
}

#[cfg(target_os = "linux")]
mod timer {
    //! A timer that fires at once after a suspend which it should have fired in;
    //! timeouts of `epoll_wait` count running time only.

    use std::io;
    use std::os::fd::OwnedFd;

    use leasehold_core::Instant;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    pub(super) async fn wait_until(at: Instant) -> io::Result<()> {
        // Deprecated for types whose descriptor may change under it, in favour of an
        // unsafe function; that of an `OwnedFd` cannot.
        #[allow(deprecated)]
        let timer = AsyncFd::with_interest(armed(at)?, Interest::READABLE)?;
        timer.readable().await.map(drop)
    }

    fn armed(at: Instant) -> io::Result<OwnedFd> {
        let timer = timerfd_create(
            TimerfdClockId::Boottime,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        // Zero would disarm the timer.
        let since_start = at.since_start().max(std::time::Duration::from_nanos(1));
        let time = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: i64::try_from(since_start.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(since_start.subsec_nanos()),
            },
        };
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &time)?;
        Ok(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_reaches_the_moment() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let at = SystemClock.now().saturating_add(Duration::from_millis(20));
        runtime.block_on(SystemClock.wait_until(at));
        assert!(SystemClock.now() >= at);
        runtime.block_on(SystemClock.wait_until(Instant::from_start(Duration::ZERO)));
    }
}
