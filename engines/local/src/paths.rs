//! The files that make up one store.

use std::path::{Path, PathBuf};

/// The database and the files beside it. SQLite adds `-wal` and `-shm` itself.
#[derive(Debug)]
pub(crate) struct Paths {
    /// The database.
    pub(crate) db: PathBuf,
    /// The file whose lock keeps writers of different processes apart.
    pub(crate) lock: PathBuf,
    /// The file that lets waiting writers go one after the other.
    pub(crate) gate: PathBuf,
    /// The folder with one FIFO for each client.
    pub(crate) sessions: PathBuf,
}

impl Paths {
    pub(crate) fn new(db: PathBuf) -> Self {
        Self {
            lock: beside(&db, "-lock"),
            gate: beside(&db, "-gate"),
            sessions: beside(&db, "-sessions"),
            db,
        }
    }

    /// SQLite's write-ahead log.
    pub(crate) fn wal(&self) -> PathBuf {
        beside(&self.db, "-wal")
    }
}

fn beside(db: &Path, suffix: &str) -> PathBuf {
    let mut path = db.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
