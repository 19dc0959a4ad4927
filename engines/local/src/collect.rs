//! Forgets names that nobody has used for a while, without forgetting their
//! tokens: those are folded into the store's floor in the same transaction.
//!
//! Nobody is in charge of it. Each client looks at a few records now and then
//! after a write, at more of them while there is something to be found.

use std::time::Duration;

use leasehold_core::LockName;
use leasehold_core::record::View;

use crate::clock;
use crate::sessions::Sessions;
use crate::store::{Store, StoredLock, value};

/// How many records are looked at in one go.
const CHUNK: usize = 32;
/// How many requests lie between two looks: at least so many, so that a look
/// sees more names than were made since the last one,
const BUSY: usize = 32;
/// and at most so many.
const QUIET: usize = 4096;

/// One client's share of the work.
#[derive(Debug)]
pub(crate) struct Collector {
    collect_after: Duration,
    interval: usize,
    left: usize,
    cursor: Option<i64>,
}

impl Collector {
    /// `dice` spreads the work among clients that live for a few requests only.
    pub(crate) fn new(collect_after: Duration, dice: u8) -> Self {
        Self {
            collect_after,
            interval: BUSY,
            left: 1 + usize::from(dice) % BUSY,
            cursor: None,
        }
    }

    /// Notes that requests were carried out, and looks at some records if it is
    /// time to. The caller holds the write lock.
    pub(crate) fn after(&mut self, store: &Store, sessions: &Sessions, requests: usize) {
        self.left = self.left.saturating_sub(requests);
        if self.left > 0 {
            return;
        }
        // A failure here harms nobody, and the next write tells of it.
        self.interval = match self.look(store, sessions) {
            Ok(collected) if collected > 0 => BUSY,
            _ => (self.interval * 2).min(QUIET),
        };
        self.left = self.interval;
    }

    /// Looks at the next few records; how many it collected.
    fn look(&mut self, store: &Store, sessions: &Sessions) -> rusqlite::Result<usize> {
        let cursor = match self.cursor {
            Some(cursor) => cursor,
            None => start(store)?,
        };
        let locks = read(store, cursor)?;
        self.cursor = match locks.last() {
            Some((_, lock)) if locks.len() == CHUNK => Some(lock.id),
            _ => Some(0),
        };
        self.collect(store, sessions, &locks)
    }

    fn collect(
        &self,
        store: &Store,
        sessions: &Sessions,
        locks: &[(String, StoredLock)],
    ) -> rusqlite::Result<usize> {
        let transaction = store.begin()?;
        let meta = store.meta()?;
        let view = View {
            now: clock::now(),
            floor: meta.floor,
            session: None,
            is_dead: &|session| sessions.is_dead(session),
        };
        let mut floor = meta.floor;
        let mut collected = 0;
        for (name, lock) in locks {
            // What is damaged stays, for a person to decide on.
            let Some(mut record) = LockName::new(name)
                .and_then(|name| lock.record(&name, store.boot()))
                .ok()
            else {
                continue;
            };
            record.settle(&view);
            if record.is_idle() && view.now.saturating_since(record.changed) >= self.collect_after {
                floor = record.folded_into(floor);
                store
                    .prepare("DELETE FROM locks WHERE id = ?1")?
                    .execute([lock.id])?;
                collected += 1;
            }
        }
        if collected > 0 {
            store
                .prepare("UPDATE meta SET floor = max(floor, ?1) WHERE id = 1")?
                .execute([value(floor)])?;
            transaction.commit()?;
        }
        Ok(collected)
    }
}

/// Somewhere among the records.
fn start(store: &Store) -> rusqlite::Result<i64> {
    store
        .prepare("SELECT abs(random() % (1 + coalesce(max(id), 0))) FROM locks")?
        .query_row([], |row| row.get(0))
}

fn read(store: &Store, cursor: i64) -> rusqlite::Result<Vec<(String, StoredLock)>> {
    let sql = "SELECT id, token, epoch, record, name FROM locks WHERE id > ?1 ORDER BY id LIMIT ?2";
    let limit = i64::try_from(CHUNK).unwrap_or(i64::MAX);
    store
        .prepare(sql)?
        .query_map([cursor, limit], |row| {
            Ok((row.get(4)?, StoredLock::read(row)?))
        })?
        .collect()
}
