//! Tells watchers that something may have changed.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How often the store is looked at while somebody watches.
pub(crate) const LOOK: Duration = Duration::from_millis(25);
/// How long a watcher is left without an answer.
const AT_LATEST: Duration = Duration::from_secs(1);
/// How many prefixes are remembered between calls.
const PREFIXES: usize = 256;

/// The watchers of one client.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    state: Mutex<State>,
    watching: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// Grows with every change noticed.
    changes: u64,
    /// The store's version when last looked at.
    version: Option<i64>,
    /// Up to which change each prefix was told.
    told: HashMap<String, u64>,
    waiting: HashMap<u64, Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    waker: Option<Waker>,
}

/// Resolves at the next change, or after a second.
#[derive(Debug)]
pub(crate) struct Changed<'a> {
    watch: &'a Watch,
    prefix: &'a str,
    seen: u64,
    id: u64,
}

impl Watch {
    pub(crate) fn is_watched(&self) -> bool {
        self.watching.load(Ordering::SeqCst) > 0
    }

    /// Starts to wait; `None` if something changed since this prefix was told last,
    /// or it never was.
    pub(crate) fn wait<'a>(&'a self, prefix: &'a str) -> Option<Changed<'a>> {
        let mut state = self.state();
        let seen = state.changes;
        if state.told.get(prefix) != Some(&seen) {
            state.tell(prefix);
            return None;
        }
        let id = state.next;
        state.next += 1;
        let waiting = Waiting {
            since: Instant::now(),
            waker: None,
        };
        state.waiting.insert(id, waiting);
        self.watching.fetch_add(1, Ordering::SeqCst);
        Some(Changed {
            watch: self,
            prefix,
            seen,
            id,
        })
    }

    /// This client has written.
    pub(crate) fn changed(&self) {
        if self.is_watched() {
            self.wake(|state| {
                state.changes += 1;
                true
            });
        }
    }

    /// The store has this version now.
    pub(crate) fn saw(&self, version: i64) {
        self.wake(|state| {
            let changed = state.version.replace(version) != Some(version);
            state.changes += u64::from(changed);
            changed
        });
    }

    /// Wakes all watchers, or those who have waited long enough.
    fn wake(&self, note: impl FnOnce(&mut State) -> bool) {
        let wakers: Vec<Waker> = {
            let mut state = self.state();
            let all = note(&mut state);
            let waiting = state.waiting.values_mut();
            waiting
                .filter(|waiting| all || waiting.since.elapsed() >= AT_LATEST)
                .filter_map(|waiting| waiting.waker.take())
                .collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&mut self, prefix: &str) {
        if self.told.len() >= PREFIXES {
            self.told.clear();
        }
        self.told.insert(prefix.to_owned(), self.changes);
    }
}

impl Future for Changed<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.watch.state();
        let changed = state.changes != self.seen;
        let Some(waiting) = state.waiting.get_mut(&self.id) else {
            return Poll::Ready(());
        };
        if changed || waiting.since.elapsed() >= AT_LATEST {
            state.tell(self.prefix);
            return Poll::Ready(());
        }
        waiting.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Changed<'_> {
    fn drop(&mut self) {
        self.watch.state().waiting.remove(&self.id);
        self.watch.watching.fetch_sub(1, Ordering::SeqCst);
    }
}
