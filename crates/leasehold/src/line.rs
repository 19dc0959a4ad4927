//! One place in the store's line per client and name.
//!
//! Tasks of one client that wait for the same lock line up here, in order; only
//! the head of them talks to the engine. So a thousand tasks are one waiter to
//! the store, and none overtakes another.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use leasehold_core::{HeldBy, LockName};

/// The lines of a client, one per name that somebody is asking for.
#[derive(Default)]
pub(crate) struct Lines(Mutex<All>);

#[derive(Default)]
struct All {
    last_id: u64,
    lines: HashMap<LockName, Line>,
}

struct Line {
    head: u64,
    /// Behind the head; ids grow, so the order of keys is that of arrival.
    waiting: BTreeMap<u64, Option<Waker>>,
    /// Who held the lock when the head last asked.
    holders: Vec<HeldBy>,
}

/// A place in a line; left on drop, whoever is next moves up.
pub(crate) struct Place<'a> {
    lines: &'a Lines,
    name: &'a LockName,
    id: u64,
}

impl Lines {
    /// Takes the last place in the line of `name`.
    pub(crate) fn enter<'a>(&'a self, name: &'a LockName) -> Place<'a> {
        let mut all = self.all();
        all.last_id += 1;
        let id = all.last_id;
        match all.lines.get_mut(name) {
            Some(line) => {
                line.waiting.insert(id, None);
            }
            None => {
                let line = Line {
                    head: id,
                    waiting: BTreeMap::new(),
                    holders: Vec::new(),
                };
                all.lines.insert(name.clone(), line);
            }
        }
        Place {
            lines: self,
            name,
            id,
        }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Resolves when this place is the head.
    pub(crate) async fn turn(&self) {
        poll_fn(|context| {
            let mut all = self.lines.all();
            let waker = match all.lines.get_mut(self.name) {
                Some(line) if line.head != self.id => line.waiting.get_mut(&self.id),
                _ => return Poll::Ready(()),
            };
            let old = waker.and_then(|waker| waker.replace(context.waker().clone()));
            drop(all);
            drop(old);
            Poll::Pending
        })
        .await;
    }

    /// Notes who holds the lock.
    pub(crate) fn note(&self, holders: &[HeldBy]) {
        if let Some(line) = self.lines.all().lines.get_mut(self.name) {
            holders.clone_into(&mut line.holders);
        }
    }

    /// Who held the lock when the head last asked.
    pub(crate) fn holders(&self) -> Vec<HeldBy> {
        let all = self.lines.all();
        all.lines
            .get(self.name)
            .map_or_else(Vec::new, |line| line.holders.clone())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut all = self.lines.all();
        let Some(line) = all.lines.get_mut(self.name) else {
            return;
        };
        if line.head != self.id {
            let own = line.waiting.remove(&self.id);
            drop(all);
            drop(own);
            return;
        }
        let next = line.waiting.pop_first();
        match &next {
            Some((id, _)) => line.head = *id,
            None => drop(all.lines.remove(self.name)),
        }
        drop(all);
        if let Some((_, Some(waker))) = next {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::Context;

    fn is_head(place: &Place<'_>) -> bool {
        let turn = pin!(place.turn());
        turn.poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn places_move_up_in_order_and_names_do_not_mix() {
        let lines = Lines::default();
        let (x, y) = (LockName::new("x").unwrap(), LockName::new("y").unwrap());
        let first = lines.enter(&x);
        let second = lines.enter(&x);
        let third = lines.enter(&x);
        let other = lines.enter(&y);
        assert!(is_head(&first) && !is_head(&second) && !is_head(&third) && is_head(&other));
        drop(second);
        assert!(is_head(&first) && !is_head(&third));
        drop(first);
        assert!(is_head(&third));
        drop((third, other));
        assert!(lines.all().lines.is_empty());
    }
}
