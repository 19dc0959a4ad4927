//! Rows that this client wrote last, so that the next request for one need not read
//! it first.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use leasehold_core::record::Record;
use leasehold_core::{Instant, LockName};

use crate::row::Micros;

/// How many are remembered.
const MOST: usize = 20_000;

/// A row as this client left it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) record: Record,
    pub(crate) version: i64,
    pub(crate) era: String,
    pub(crate) written: Micros,
    /// A moment on the client's clock by which it was written.
    pub(crate) received: Instant,
}

impl Known {
    /// How old it is at least.
    ///
    /// Counted from after it was written, and a little slower than the clock goes:
    /// taken for too young, a grant lasts too long by as much as a message takes,
    /// which is harmless; taken for too old, it might end too soon.
    pub(crate) fn least_age(&self, now: Instant) -> Duration {
        let elapsed = now.saturating_since(self.received);
        elapsed - elapsed / 100
    }
}

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Memory(RefCell<HashMap<LockName, Known>>);

impl Memory {
    /// Takes what is known of a name.
    pub(crate) fn take(&self, name: &LockName) -> Option<Known> {
        self.0.borrow_mut().remove(name)
    }

    /// Remembers a row, if a request can go by it: one that nobody waits for, and
    /// that has one grant at most.
    pub(crate) fn keep(&self, name: &LockName, known: Known) {
        if !known.record.waiters.is_empty() || known.record.grants.len() > 1 {
            return;
        }
        let mut all = self.0.borrow_mut();
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(name.clone(), known);
    }
}
