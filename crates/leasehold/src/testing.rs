//! For tests: a clock that is moved by hand.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use leasehold_core::{BoxFuture, Instant};

use crate::Clock;

/// A [`Clock`] that stands still until it is [advanced](Self::advance).
///
/// A jump is what a holder sees that was suspended: it missed the time between.
#[derive(Debug)]
pub struct ManualClock(Mutex<State>);

#[derive(Debug)]
struct State {
    now: Instant,
    waiting: Vec<(Instant, Waker)>,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl ManualClock {
    /// A clock at one hour after its start.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(State {
            now: Instant::from_start(Duration::from_secs(3600)),
            waiting: Vec::new(),
        }))
    }

    /// Moves the clock and wakes whoever waited for a moment up to there.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.now = state.now.saturating_add(by);
        let now = state.now;
        let due: Vec<_> = state.waiting.extract_if(.., |(at, _)| *at <= now).collect();
        drop(state);
        for (_, waker) in due {
            waker.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.state().now
    }

    fn wait_until<'a>(&'a self, at: Instant) -> BoxFuture<'a, ()> {
        Box::pin(std::future::poll_fn(move |context| {
            let mut state = self.state();
            if state.now >= at {
                return Poll::Ready(());
            }
            let waker = context.waker();
            if !state
                .waiting
                .iter()
                .any(|(t, w)| *t == at && w.will_wake(waker))
            {
                state.waiting.push((at, waker.clone()));
            }
            Poll::Pending
        }))
    }
}
