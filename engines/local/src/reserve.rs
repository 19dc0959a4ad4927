//! Tokens that survive a power loss without a sync for each grant (C1).
//!
//! Grants are committed without a sync, so a power loss may take the last ones
//! back. Two numbers make sure that their tokens are not granted again:
//!
//! * `reserved`: no token above it has ever been granted. Each new boot starts
//!   above it.
//! * `settled`: the part of `reserved` known to be in the database file itself and
//!   synced. Grants stop there.
//!
//! They are raised a block at a time: write `reserved`, finish a checkpoint, and
//! only then write `settled`. After that even the database file alone, without
//! its log, knows that the block is used up. The checkpoint syncs the log before
//! it copies and the file before it is done, so no commit needs a sync of its own.

use std::thread;
use std::time::{Duration, Instant};

use leasehold_core::{Error, Token};

use crate::fail::{self, ENGINE};
use crate::paths::Paths;
use crate::store::{Store, token, value};

/// How many tokens are reserved at once: at the fastest, enough for half a minute.
pub(crate) const BLOCK: u64 = 1 << 20;
/// How long to wait for readers that hold the checkpoint up.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a checkpoint came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// How many frames the log has.
    pub(crate) log: i64,
    /// How many of them are in the database file.
    pub(crate) copied: i64,
}

impl Checkpoint {
    /// Whether everything is in the database file, and synced.
    pub(crate) fn is_complete(self) -> bool {
        self.log >= 0 && self.log == self.copied
    }
}

/// Copies what can be copied of the log into the database file, waiting for
/// nobody.
pub(crate) fn checkpoint(store: &Store) -> rusqlite::Result<Checkpoint> {
    store
        .prepare("PRAGMA wal_checkpoint(PASSIVE)")?
        .query_row([], |row| {
            Ok(Checkpoint {
                log: row.get(1)?,
                copied: row.get(2)?,
            })
        })
}

/// Makes tokens from `wanted` on available, at least a block of them. The caller
/// holds the write lock.
pub(crate) fn raise(store: &Store, paths: &Paths, wanted: i64) -> Result<(), Error> {
    let failed = |error: rusqlite::Error| fail::sqlite(&paths.db, &error);
    let Some(reserved) = reserve(store, wanted).map_err(failed)? else {
        return Ok(());
    };
    finish_checkpoint(store, paths)?;
    let settle = || -> rusqlite::Result<()> {
        let transaction = store.begin()?;
        store
            .prepare("UPDATE meta SET settled = ?1 WHERE id = 1 AND settled < ?1")?
            .execute([reserved])?;
        transaction.commit()
    };
    settle().map_err(failed)
}

/// Writes `reserved`. `None` if somebody else has settled enough already.
fn reserve(store: &Store, wanted: i64) -> rusqlite::Result<Option<i64>> {
    let transaction = store.begin()?;
    if value(store.meta()?.settled) >= wanted {
        return Ok(None);
    }
    let block = value(token(wanted).saturating_add(store.block()));
    let reserved = store
        .prepare("UPDATE meta SET reserved = max(reserved, ?1) WHERE id = 1 RETURNING reserved")?
        .query_row([block], |row| row.get(0))?;
    transaction.commit()?;
    Ok(Some(reserved))
}

/// Checkpoints until the whole log is in the database file.
fn finish_checkpoint(store: &Store, paths: &Paths) -> Result<(), Error> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if checkpoint(store)
            .map_err(|error| fail::sqlite(&paths.db, &error))?
            .is_complete()
        {
            return Ok(());
        }
        if Instant::now() >= give_up {
            return Err(Error::unavailable(
                ENGINE,
                format!(
                    "the log of {} cannot be emptied, so no new tokens can be reserved",
                    paths.db.display()
                ),
                "end the program that has been reading it all the while (an sqlite3 shell?)",
            ));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether it is time to reserve the next block, so that nobody has to wait for
/// it.
pub(crate) fn is_running_low(block: u64, granted: Token, settled: Token) -> bool {
    granted.saturating_add(block / 2) > settled
}
