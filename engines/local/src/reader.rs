//! Reading, on a connection of its own, so that it never waits for a writer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_core::record::{Record, View};
use leasehold_core::{Error, LockName, LockStatus, Token};

use crate::fail;
use crate::paths::Paths;
use crate::sessions::Sessions;
use crate::store::{Boot, Store, StoredLock, token};
use crate::{clock, schema};

/// How many records are read in one go.
const CHUNK: usize = 256;
/// How long to wait for another process that rebuilds the index of the log.
const PATIENCE: Duration = Duration::from_millis(250);

/// Reads the store.
#[derive(Debug)]
pub(crate) struct Reader {
    store: Mutex<Option<Store>>,
    paths: Arc<Paths>,
    boot: Boot,
    sessions: Arc<Sessions>,
}

/// Goes through the locks by name.
#[derive(Debug)]
pub(crate) struct Listing<'a> {
    reader: &'a Reader,
    prefix: &'a str,
    last: Option<String>,
    read: VecDeque<LockStatus>,
    over: bool,
}

impl Reader {
    pub(crate) fn new(paths: Arc<Paths>, boot: Boot, sessions: Arc<Sessions>) -> Self {
        Self {
            store: Mutex::new(None),
            paths,
            boot,
            sessions,
        }
    }

    /// One lock as it stands.
    pub(crate) fn inspect(&self, name: &LockName) -> Result<LockStatus, Error> {
        let sql = "SELECT l.id, l.token, l.epoch, l.record, m.floor
             FROM meta AS m LEFT JOIN locks AS l ON l.name = ?1 WHERE m.id = 1";
        let (stored, floor) = self.with(|store| {
            store.prepare(sql)?.query_row([name.as_str()], |row| {
                let stored = match row.get::<_, Option<i64>>(0)? {
                    Some(_) => Some(StoredLock::read(row)?),
                    None => None,
                };
                Ok((stored, token(row.get(4)?)))
            })
        })?;
        let record = match stored {
            Some(stored) => stored.record(name, self.boot)?,
            None => Record::new(),
        };
        Ok(self.status(name.clone(), &record, floor))
    }

    /// The locks in use whose names start with `prefix`.
    pub(crate) fn list<'a>(&'a self, prefix: &'a str) -> Listing<'a> {
        Listing {
            reader: self,
            prefix,
            last: None,
            read: VecDeque::new(),
            over: false,
        }
    }

    /// A number that changes whenever anybody has written.
    pub(crate) fn version(&self) -> Result<i64, Error> {
        self.with(|store| {
            store
                .prepare("PRAGMA data_version")?
                .query_row([], |row| row.get(0))
        })
    }

    fn status(&self, name: LockName, record: &Record, floor: Token) -> LockStatus {
        let view = View {
            now: clock::now(),
            floor,
            session: self.sessions.current(),
            is_dead: &|session| self.sessions.is_dead(session),
        };
        record.status(name, &view)
    }

    /// Reads with the connection, opening it first if need be.
    fn with<T>(&self, read: impl FnOnce(&Store) -> rusqlite::Result<T>) -> Result<T, Error> {
        let mut guard = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let store = match &mut *guard {
            Some(store) => store,
            empty => {
                let store = schema::reopen(&self.paths, self.boot, 0)?;
                store
                    .connection()
                    .busy_timeout(PATIENCE)
                    .map_err(|error| fail::sqlite(&self.paths.db, &error))?;
                empty.insert(store)
            }
        };
        read(store).map_err(|error| fail::sqlite(&self.paths.db, &error))
    }
}

impl Listing<'_> {
    /// Reads on; whether there is more to read. Each call reads the state of its
    /// own moment, so a long listing neither blocks anybody nor keeps the log from
    /// being emptied.
    pub(crate) fn advance(&mut self) -> Result<bool, Error> {
        if self.over {
            return Ok(false);
        }
        let first = "SELECT id, token, epoch, record, name FROM locks
             WHERE name >= ?1 ORDER BY name LIMIT ?2";
        let next = "SELECT id, token, epoch, record, name FROM locks
             WHERE name > ?1 ORDER BY name LIMIT ?2";
        let (sql, from) = match &self.last {
            None => (first, self.prefix),
            Some(last) => (next, last.as_str()),
        };
        let limit = i64::try_from(CHUNK).unwrap_or(i64::MAX);
        let (floor, rows) = self.reader.with(|store| {
            let rows = store
                .prepare(sql)?
                .query_map(rusqlite::params![from, limit], |row| {
                    Ok((row.get(4)?, StoredLock::read(row)?))
                })?
                .collect::<rusqlite::Result<Vec<(String, StoredLock)>>>()?;
            Ok((store.meta()?.floor, rows))
        })?;
        self.over = rows.len() < CHUNK;
        for (name, stored) in rows {
            if !name.starts_with(self.prefix) {
                self.over = true;
                break;
            }
            self.last = Some(name.clone());
            // One damaged record must not hide the others; inspecting it says what
            // is wrong with it.
            let record = LockName::new(&name)
                .and_then(|name| Ok((stored.record(&name, self.reader.boot)?, name)));
            if let Ok((record, name)) = record
                && !record.is_idle()
            {
                let status = self.reader.status(name, &record, floor);
                self.read.extend(Some(status).filter(LockStatus::is_in_use));
            }
        }
        Ok(!self.over)
    }

    /// What was read.
    pub(crate) fn finish(self) -> Vec<LockStatus> {
        self.read.into()
    }
}
