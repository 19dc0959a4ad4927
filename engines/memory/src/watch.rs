//! Telling watchers that something changed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// How often watchers look for what changed by time alone, such as an expiry.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// The tasks that watch a store.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    wakers: Mutex<Vec<Waker>>,
    ticks: AtomicU64,
}

impl Watchers {
    /// Wakes `waker` at the next change or tick.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    /// Wakes everybody registered.
    pub(crate) fn wake(&self) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = std::mem::take(&mut *wakers);
        // Outside the lock: a waker may run anything.
        drop(wakers);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Notes that a tick has passed, and wakes everybody.
    pub(crate) fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    pub(crate) fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::SeqCst)
    }
}
