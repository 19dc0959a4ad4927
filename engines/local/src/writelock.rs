//! Keeps the writers of different processes apart.
//!
//! SQLite has a lock of its own for that, but whoever does not get it sleeps for
//! longer and longer, and was seen to sleep for most of a second with four
//! processes at work. So writers take a lock on a file beside the database first.
//!
//! A process may take the lock again and again while its turn of 2 ms
//! lasts; that saves the price of going to and fro. After that it goes through a
//! gate, held by the one that has waited longest, so nobody starves. The gate is
//! for fairness alone: if whoever holds it does not go on (it was stopped), it is
//! passed by.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use leasehold_core::Error;

use crate::fail::{self, ENGINE};
use crate::paths::Paths;

/// How long one process may go on without passing the gate.
const TURN: Duration = Duration::from_millis(2);
/// How often a waiter looks whether the lock is free.
const LOOK: Duration = Duration::from_micros(100);
/// How long a waiter respects the gate.
const GATE_PATIENCE: Duration = Duration::from_millis(50);

/// The lock, by files of this engine's own.
#[derive(Debug)]
pub(crate) struct WriteLock {
    lock: File,
    gate: File,
    turn: Option<Instant>,
}

/// Holds the lock until dropped.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a File);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Cannot fail for a file that is open; and closing it unlocks it, too.
        let _ = self.0.unlock();
    }
}

impl WriteLock {
    /// Opens the files, creating them if need be.
    pub(crate) fn open(paths: &Paths) -> Result<Self, Error> {
        let open =
            |path: &Path| open_or_create(path).map_err(|error| fail::file("opening", path, &error));
        Ok(Self {
            lock: open(&paths.lock)?,
            gate: open(&paths.gate)?,
            turn: None,
        })
    }

    /// Takes the lock if that is possible without waiting.
    pub(crate) fn try_lock(&mut self) -> Result<Option<Held<'_>>, Error> {
        let mine = self.turn.is_some_and(|began| began.elapsed() < TURN);
        if !mine {
            let Some(_gate) = take(&self.gate)? else {
                return Ok(None);
            };
            if let Some(held) = take(&self.lock)? {
                self.turn = Some(Instant::now());
                return Ok(Some(held));
            }
            return Ok(None);
        }
        take(&self.lock)
    }

    /// Waits for the lock, at most until `give_up`; `None` then.
    pub(crate) fn lock(&mut self, give_up: Instant) -> Result<Option<Held<'_>>, Error> {
        let began = Instant::now();
        let mut gate = None;
        loop {
            if gate.is_none() {
                gate = take(&self.gate)?;
            }
            if (gate.is_some() || began.elapsed() > GATE_PATIENCE)
                && let Some(held) = take(&self.lock)?
            {
                self.turn = Some(Instant::now());
                return Ok(Some(held));
            }
            if Instant::now() >= give_up {
                return Ok(None);
            }
            thread::sleep(LOOK);
        }
    }
}

/// The error of a wait for the lock that came to nothing.
pub(crate) fn stuck(paths: &Paths, waited: Duration) -> Error {
    Error::unavailable(
        ENGINE,
        format!(
            "another process has kept {} locked for {waited:.0?}",
            paths.lock.display()
        ),
        "it was probably stopped in the middle of a write: let it continue (kill -CONT) or end it; `fuser` on that file finds it",
    )
}

fn take(file: &File) -> Result<Option<Held<'_>>, Error> {
    match file.try_lock() {
        Ok(()) => Ok(Some(Held(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(Error::unavailable(
            ENGINE,
            format!("locking a file beside the database failed: {error}"),
            "use a file system that supports flock",
        )),
    }
}

fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).or_else(|error| {
        // A lock needs no right to write.
        File::open(path).map_err(|_| error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_even_in_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path().join("x.db"));
        let mut one = WriteLock::open(&paths).unwrap();
        let mut two = WriteLock::open(&paths).unwrap();
        let held = one.try_lock().unwrap();
        assert!(held.is_some());
        assert!(two.try_lock().unwrap().is_none());
        let soon = Instant::now() + Duration::from_millis(5);
        assert!(two.lock(soon).unwrap().is_none());
        drop(held);
        assert!(two.try_lock().unwrap().is_some());
    }

    #[test]
    fn a_gate_that_stays_shut_is_passed_by() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path().join("x.db"));
        let stopped = WriteLock::open(&paths).unwrap();
        let _gate = take(&stopped.gate).unwrap().unwrap();
        let mut other = WriteLock::open(&paths).unwrap();
        assert!(other.try_lock().unwrap().is_none());
        let late = Instant::now() + Duration::from_secs(60);
        assert!(other.lock(late).unwrap().is_some());
    }
}
