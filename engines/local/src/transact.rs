//! Many requests in one transaction, none of which can harm another.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use leasehold_core::{Error, Token};
use rusqlite::ErrorCode;

use crate::collect::Collector;
use crate::fail::{self, ENGINE};
use crate::paths::Paths;
use crate::sessions::Sessions;
use crate::step::{Done, Fault, Frame, Op};
use crate::store::{Store, value};
use crate::writelock::{self, WriteLock};
use crate::{clock, reserve};

/// How long a request waits for other processes before it fails.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often to try again while another program holds SQLite's own lock.
const RETRY: Duration = Duration::from_millis(2);
/// How often to look whether the file is still where it was.
const LOOK: Duration = Duration::from_millis(250);

/// Whether to wait for other processes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waiting {
    /// Not at all: this is somebody's executor.
    No,
    /// For the usual time, or until this.
    Until(Option<Instant>),
}

/// What a run came to.
#[derive(Debug)]
pub(crate) enum Ran {
    /// The results of the requests in front.
    Results(Vec<Result<Done, Error>>),
    /// It failed before anything could be carried out.
    Nothing(Error),
    /// It could only go on by waiting.
    Blocked,
}

/// Runs transactions under the write lock.
#[derive(Debug)]
pub(crate) struct Transactor {
    store: Store,
    lock: WriteLock,
    paths: Arc<Paths>,
    sessions: Arc<Sessions>,
    collector: Collector,
    file: (u64, u64),
    looked: Instant,
}

/// Why a transaction did not come about.
#[derive(Debug)]
enum Trouble {
    /// Somebody who does not know our lock writes.
    Busy,
    /// Nothing was written.
    Refused(Error),
    /// It failed on the way, and was rolled back.
    Broken(rusqlite::Error),
    /// Its commit failed.
    Commit(rusqlite::Error, Vec<Result<Done, Error>>),
    /// The first request needs tokens that are not reserved.
    Unreserved(Token),
}

impl Transactor {
    pub(crate) fn new(
        store: Store,
        paths: Arc<Paths>,
        sessions: Arc<Sessions>,
        collector: Collector,
    ) -> Result<Self, Error> {
        Ok(Self {
            lock: WriteLock::open(&paths)?,
            file: identity(&paths)?,
            looked: Instant::now(),
            store,
            paths,
            sessions,
            collector,
        })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Carries out the first of these requests: as a rule all of them.
    pub(crate) fn run(&mut self, ops: &[&Op], waiting: Waiting) -> Ran {
        if let Err(error) = self.look() {
            return Ran::Nothing(error);
        }
        let give_up = match waiting {
            Waiting::No => None,
            Waiting::Until(until) => Some(until.unwrap_or_else(|| Instant::now() + PATIENCE)),
        };
        loop {
            let ran = self.try_run(ops, give_up);
            let (Ran::Blocked, Some(give_up)) = (&ran, give_up) else {
                return ran;
            };
            if Instant::now() >= give_up {
                let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                let busy = rusqlite::Error::SqliteFailure(busy, None);
                return Ran::Nothing(fail::sqlite(&self.paths.db, &busy));
            }
            thread::sleep(RETRY);
        }
    }

    fn try_run(&mut self, ops: &[&Op], give_up: Option<Instant>) -> Ran {
        let held = match give_up {
            None => self.lock.try_lock(),
            Some(give_up) => self.lock.lock(give_up),
        };
        let _held = match held {
            Ok(Some(held)) => held,
            Ok(None) if give_up.is_none() => return Ran::Blocked,
            Ok(None) => return Ran::Nothing(writelock::stuck(&self.paths, PATIENCE)),
            Err(error) => return Ran::Nothing(error),
        };
        let session = Session {
            store: &self.store,
            paths: &self.paths,
            sessions: &self.sessions,
        };
        let results = match session.transact(ops) {
            Ok(results) => results,
            Err(Trouble::Busy) => return Ran::Blocked,
            Err(Trouble::Unreserved(_)) if give_up.is_none() => return Ran::Blocked,
            Err(Trouble::Unreserved(token)) => {
                match reserve::raise(&self.store, &self.paths, value(token)) {
                    Ok(()) => return Ran::Results(Vec::new()),
                    Err(error) => vec![Err(error)],
                }
            }
            Err(Trouble::Refused(error)) => return Ran::Nothing(error),
            Err(Trouble::Broken(error)) => session.one_by_one(ops, &error, Vec::new()),
            Err(Trouble::Commit(error, tried)) => session.one_by_one(ops, &error, tried),
        };
        self.collector
            .after(&self.store, &self.sessions, results.len());
        Ran::Results(results)
    }

    /// Makes sure now and then that the file was not replaced: two processes on two
    /// files of one name would both grant its locks.
    fn look(&mut self) -> Result<(), Error> {
        if self.looked.elapsed() < LOOK {
            return Ok(());
        }
        if identity(&self.paths).ok() != Some(self.file) {
            return Err(Error::unavailable(
                ENGINE,
                format!(
                    "the database {} was moved, deleted or replaced while it was in use",
                    self.paths.db.display()
                ),
                "restart the programs that use it, so that all of them open the same file",
            ));
        }
        self.looked = Instant::now();
        Ok(())
    }
}

/// What a transaction works with, while the lock is held.
struct Session<'a> {
    store: &'a Store,
    paths: &'a Paths,
    sessions: &'a Sessions,
}

impl Session<'_> {
    /// Carries out requests in one transaction: all, or those in front of one that
    /// needs tokens.
    fn transact(&self, ops: &[&Op]) -> Result<Vec<Result<Done, Error>>, Trouble> {
        let transaction = self
            .store
            .begin()
            .map_err(|error| match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Busy,
                _ => Trouble::Broken(error),
            })?;
        let meta = self.store.meta().map_err(Trouble::Broken)?;
        if meta.epoch != self.store.boot().epoch {
            return Err(Trouble::Refused(Error::unavailable(
                ENGINE,
                format!(
                    "the database {} is also in use by a system with another boot id",
                    self.paths.db.display()
                ),
                "share it only among processes of one running kernel, and restart this one",
            )));
        }
        let frame = Frame {
            store: self.store,
            meta,
            now: clock::now(),
            sessions: self.sessions,
        };
        let mut results = Vec::with_capacity(ops.len());
        for op in ops {
            match frame.perform(op) {
                Ok(done) => results.push(Ok(done)),
                Err(Fault::Refused(error)) => results.push(Err(error)),
                Err(Fault::Sqlite(error)) => return Err(Trouble::Broken(error)),
                Err(Fault::Unreserved(token)) if results.is_empty() => {
                    return Err(Trouble::Unreserved(token));
                }
                Err(Fault::Unreserved(_)) => break,
            }
        }
        match transaction.commit() {
            Ok(()) => Ok(results),
            Err(error) => Err(Trouble::Commit(error, results)),
        }
    }

    /// After a failed transaction, carries its requests out one by one, so that
    /// each fails or succeeds by itself. `tried` is what a commit that failed would
    /// have written; the write lock has been held ever since.
    fn one_by_one(
        &self,
        ops: &[&Op],
        error: &rusqlite::Error,
        tried: Vec<Result<Done, Error>>,
    ) -> Vec<Result<Done, Error>> {
        let mut tried = tried.into_iter();
        let mut results = Vec::new();
        for op in ops {
            results.push(self.alone(op, error, tried.next()));
        }
        results
    }

    /// Carries one request out, settling what an earlier try came to.
    fn alone(
        &self,
        op: &Op,
        error: &rusqlite::Error,
        tried: Option<Result<Done, Error>>,
    ) -> Result<Done, Error> {
        let unknown = match tried {
            Some(Ok(done)) if self.is_written(op, &done) => return Ok(done),
            Some(Ok(done)) => done.written.is_some() && is_ambiguous(error),
            _ => false,
        };
        match self.transact(&[op]) {
            Ok(results) => results.into_iter().next().unwrap_or_else(|| {
                // Cannot be: the first request has a result or is an error.
                Err(fail::sqlite(&self.paths.db, error))
            }),
            Err(Trouble::Refused(refused)) => Err(refused),
            Err(Trouble::Broken(again)) => Err(self.failed(op, &again, unknown)),
            Err(Trouble::Commit(again, results)) => match results.into_iter().next() {
                Some(Ok(done)) if self.is_written(op, &done) => Ok(done),
                _ => Err(self.failed(op, &again, unknown || is_ambiguous(&again))),
            },
            Err(Trouble::Busy | Trouble::Unreserved(_)) => Err(self.failed(op, error, unknown)),
        }
    }

    fn failed(&self, op: &Op, error: &rusqlite::Error, unknown: bool) -> Error {
        if !unknown {
            return fail::sqlite(&self.paths.db, error);
        }
        Error::Indeterminate {
            operation: op.operation(),
            engine: ENGINE,
            detail: format!("writing {} failed: {error}", self.paths.db.display()),
        }
    }

    /// Whether the record stands in the store as this request wrote it. The nonce
    /// and the time in it make it one of a kind.
    fn is_written(&self, op: &Op, done: &Done) -> bool {
        let stored = self.store.load(op.name()).ok().flatten();
        match (&done.written, stored) {
            (Some(bytes), Some(stored)) => stored.bytes() == bytes,
            _ => false,
        }
    }
}

/// Whether a commit that failed like this may come true after all: what it wrote
/// may be found by whoever opens the database next.
fn is_ambiguous(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::ReadOnly
                | ErrorCode::OutOfMemory
        )
    )
}

fn identity(paths: &Paths) -> Result<(u64, u64), Error> {
    fs::metadata(&paths.db)
        .map(|found| (found.dev(), found.ino()))
        .map_err(|error| fail::file("looking at", &paths.db, &error))
}
