//! The thread that tidies up: checkpoints, the next block of tokens, and the FIFOs
//! of dead sessions. It works like another client, with a connection of its own,
//! so syncs of the disk happen in nobody's way. Started at the first need.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use leasehold_core::{Error, LockName, SessionId, Token};

use crate::fail;
use crate::paths::Paths;
use crate::reserve::{self, Checkpoint};
use crate::schema;
use crate::sessions::{Peer, Sessions};
use crate::store::{Boot, Store, StoredLock, value};
use crate::writelock::WriteLock;

/// How long the log may grow before a checkpoint is made.
pub(crate) const LOG_FRAMES: u32 = 1000;
/// How long it may grow before writers are stopped to finish one: 8 MiB.
pub(crate) const LONG_LOG_FRAMES: u32 = 4000;
/// The time between two checkpoints, so that the disk is not kept busy.
const PAUSE: Duration = Duration::from_millis(50);
/// How long to wait for the write lock.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a dead session's FIFO stays at least: longer than it takes to open
/// one that was just made.
const LINGER: Duration = Duration::from_secs(60 * 60);
/// How many records are read in one go.
const CHUNK: i64 = 256;

/// The thread, from outside.
#[derive(Debug)]
pub(crate) struct Keeper {
    inside: Arc<Inside>,
}

#[derive(Debug)]
struct Inside {
    paths: Arc<Paths>,
    boot: Boot,
    block: u64,
    wanted: Mutex<Wanted>,
    call: Condvar,
}

#[derive(Debug, Default)]
struct Wanted {
    checkpoint: bool,
    /// Tokens from this one on.
    tokens: Option<Token>,
    sweep: bool,
    running: bool,
    closing: bool,
}

impl Wanted {
    fn is_empty(&self) -> bool {
        !self.checkpoint && !self.sweep && self.tokens.is_none()
    }
}

impl Keeper {
    pub(crate) fn new(paths: Arc<Paths>, store: &Store) -> Self {
        Self {
            inside: Arc::new(Inside {
                paths,
                boot: store.boot(),
                block: store.block(),
                wanted: Mutex::default(),
                call: Condvar::new(),
            }),
        }
    }

    /// The log has grown: copy it into the database.
    pub(crate) fn checkpoint(&self) {
        self.want(|wanted| !std::mem::replace(&mut wanted.checkpoint, true));
    }

    /// Tokens run low: have some above this one.
    pub(crate) fn reserve(&self, settled: Token) {
        let next = settled.saturating_add(1);
        self.want(|wanted| wanted.tokens.replace(next) != Some(next));
    }

    /// Remove what dead sessions left behind.
    pub(crate) fn sweep(&self) {
        self.want(|wanted| !std::mem::replace(&mut wanted.sweep, true));
    }

    /// Lets the thread end after what it is at. Nobody waits for it: whatever is
    /// cut short by the end of the process is done by the next.
    pub(crate) fn close(&self) {
        self.inside.wanted().closing = true;
        self.inside.call.notify_one();
    }

    fn want(&self, note: impl FnOnce(&mut Wanted) -> bool) {
        let mut wanted = self.inside.wanted();
        if !note(&mut wanted) {
            return;
        }
        if wanted.running {
            self.inside.call.notify_one();
            return;
        }
        let inside = Arc::clone(&self.inside);
        let thread = thread::Builder::new().name("leasehold-keep".to_owned());
        // If there is no thread to be had, the next call tries again.
        wanted.running = thread.spawn(move || inside.run()).is_ok();
    }
}

impl Inside {
    fn run(&self) {
        // A failure shows when the writer meets it; until then it is tried again
        // at the next call.
        let Ok(mut work) = Work::open(&self.paths, self.boot, self.block) else {
            *self.wanted() = Wanted::default();
            return;
        };
        loop {
            let mut wanted = self.wanted();
            while wanted.is_empty() && !wanted.closing {
                wanted = self
                    .call
                    .wait(wanted)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if wanted.closing {
                return;
            }
            let (tokens, sweep) = (wanted.tokens.take(), std::mem::take(&mut wanted.sweep));
            let checkpoint = std::mem::take(&mut wanted.checkpoint);
            drop(wanted);
            if let Some(tokens) = tokens {
                let _ = work.reserve(tokens);
            }
            if checkpoint {
                let _ = work.checkpoint();
            }
            if sweep {
                let _ = work.sweep();
            }
            let wanted = self.wanted();
            if !wanted.closing {
                drop(self.call.wait_timeout(wanted, PAUSE));
            }
        }
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread works with.
#[derive(Debug)]
struct Work {
    store: Store,
    lock: WriteLock,
    paths: Arc<Paths>,
}

impl Work {
    fn open(paths: &Arc<Paths>, boot: Boot, block: u64) -> Result<Self, Error> {
        Ok(Self {
            store: schema::reopen(paths, boot, block)?,
            lock: WriteLock::open(paths)?,
            paths: Arc::clone(paths),
        })
    }

    /// Copies the log beside the writers. While they are busy that never reaches
    /// the end, so when the log has grown long they are stopped for the rest.
    fn checkpoint(&mut self) -> Result<(), Error> {
        let failed = |error: rusqlite::Error| fail::sqlite(&self.paths.db, &error);
        let Checkpoint { log, .. } = reserve::checkpoint(&self.store).map_err(failed)?;
        if log > i64::from(LONG_LOG_FRAMES)
            && let Some(_held) = self.lock.lock(Instant::now() + PATIENCE)?
        {
            reserve::checkpoint(&self.store).map_err(failed)?;
        }
        Ok(())
    }

    fn reserve(&mut self, wanted: Token) -> Result<(), Error> {
        match self.lock.lock(Instant::now() + PATIENCE)? {
            Some(_held) => reserve::raise(&self.store, &self.paths, value(wanted)),
            None => Ok(()),
        }
    }

    /// Removes the FIFOs of dead sessions that no record refers to any more. One
    /// that a record does refer to is still needed, to tell that it is dead.
    fn sweep(&self) -> Result<(), Error> {
        let sessions = Sessions::new(&self.paths);
        let mut dead: HashSet<SessionId> = HashSet::new();
        for entry in sessions.names()? {
            let old = entry
                .metadata()
                .ok()
                .and_then(|found| found.modified().ok())
                .and_then(|at| SystemTime::now().duration_since(at).ok())
                .is_some_and(|age| age > LINGER);
            let name = entry.file_name();
            let session = name.to_str().and_then(|name| name.parse().ok());
            if let Some(session) = session
                && old
                && matches!(sessions.find(session), Peer::Dead)
            {
                dead.insert(session);
            }
        }
        let mut cursor = Some(0);
        while let Some(from) = cursor.filter(|_| !dead.is_empty()) {
            cursor = self.keep_referred(from, &mut dead)?;
        }
        for session in dead {
            sessions.unlink(&session.to_string());
        }
        Ok(())
    }

    /// Takes the sessions in the next few records out of `dead`; where to go on.
    fn keep_referred(
        &self,
        from: i64,
        dead: &mut HashSet<SessionId>,
    ) -> Result<Option<i64>, Error> {
        let sql = "SELECT id, token, epoch, record, name FROM locks
             WHERE id > ?1 ORDER BY id LIMIT ?2";
        let read = || -> rusqlite::Result<Vec<(String, StoredLock)>> {
            self.store
                .prepare(sql)?
                .query_map([from, CHUNK], |row| {
                    Ok((row.get(4)?, StoredLock::read(row)?))
                })?
                .collect()
        };
        let locks = read().map_err(|error| fail::sqlite(&self.paths.db, &error))?;
        for (name, lock) in &locks {
            // What a damaged record refers to is not known; its error ends the sweep.
            let record = lock.record(&LockName::new(name)?, self.store.boot())?;
            let grants = record.grants.iter().filter_map(|grant| grant.session);
            let waiters = record.waiters.iter().filter_map(|waiter| waiter.session);
            for session in grants.chain(waiters) {
                dead.remove(&session);
            }
        }
        Ok(locks.last().map(|(_, lock)| lock.id))
    }
}
