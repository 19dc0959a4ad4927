//! Futures polled by hand, on this thread, with bounds.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Wakes a thread, and remembers that it did.
struct Alarm {
    thread: Thread,
    rung: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Alarm {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            thread: thread::current(),
            rung: AtomicBool::new(false),
        })
    }

    /// Sleeps until it has rung since the last time; whether it did by then.
    fn sleep_until(&self, bound: Instant) -> bool {
        while !self.rung.swap(false, Ordering::SeqCst) {
            let left = bound.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            thread::park_timeout(left);
        }
        true
    }
}

/// Waits for a future; `None` if it is not ready within `bound`. It is dropped
/// then.
pub(crate) fn within<T>(bound: Duration, future: impl Future<Output = T>) -> Option<T> {
    at_most(u32::MAX, bound, future).ok()
}

/// Polls a future so many times, each after it asked for it or after `bound`, and
/// drops it. What it came to, if it was ready by then.
pub(crate) fn at_most<T>(
    polls: u32,
    bound: Duration,
    future: impl Future<Output = T>,
) -> Result<T, Unfinished> {
    let mut future = pin!(future);
    let alarm = Alarm::new();
    let waker = Waker::from(Arc::clone(&alarm));
    let until = Instant::now() + bound;
    for poll in 1..=polls {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(value);
        }
        // Dropped right after its last poll, not when it would go on.
        if poll < polls && !alarm.sleep_until(until) {
            break;
        }
    }
    Err(Unfinished)
}

/// A future was dropped before it was ready.
#[derive(Debug)]
pub(crate) struct Unfinished;
