//! What the requests of one client share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::record::Hint;
use leasehold_core::{AcquireRequest, Error, Instant, LockName, SessionId, WakeBoard};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::backend::Backend;
use crate::clock;
use crate::config::SqlOptions;
use crate::fail::Trouble;
use crate::known::Memory;
use crate::row::{Micros, Seen, Versions, Write, Wrote};

/// How many names may be in turn before those that are not are forgotten.
const TURNS: usize = 1_000;

/// One client.
pub(crate) struct Hub {
    pub(crate) options: Arc<SqlOptions>,
    pub(crate) board: Arc<WakeBoard>,
    pub(crate) backend: Backend,
    pub(crate) memory: Memory,
    pub(crate) versions: Versions,
    session: SessionId,
    /// Whether wake-ups come through.
    pushes: Cell<bool>,
    /// The server's clock and era, as last told, and when.
    server: RefCell<Option<(Micros, String, Instant)>>,
    turns: RefCell<HashMap<LockName, Arc<Mutex<()>>>>,
    busy: Cell<usize>,
}

/// A request under way.
pub(crate) struct Busy<'a>(&'a Hub);

impl Hub {
    pub(crate) fn new(
        options: Arc<SqlOptions>,
        board: Arc<WakeBoard>,
        backend: Backend,
    ) -> Result<Self, Error> {
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(|error| {
            Error::unavailable(
                options.kind(),
                format!("the system gives no random numbers: {error}"),
                "allow the getrandom system call",
            )
        })?;
        let (session, seed) = random.split_at(16);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(session);
        let seed = seed.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Ok(Self {
            options,
            board,
            backend,
            memory: Memory::default(),
            versions: Versions::starting_at(seed),
            session: SessionId::from_bytes(bytes),
            pushes: Cell::new(false),
            server: RefCell::default(),
            turns: RefCell::default(),
            busy: Cell::new(0),
        })
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.options.kind()
    }

    /// This client, where its waiters listen.
    #[expect(clippy::unnecessary_wraps, reason = "as a record has it")]
    pub(crate) const fn session(&self) -> Option<SessionId> {
        Some(self.session)
    }

    /// Where a client listens, or those whose requests pass from process to process.
    pub(crate) fn channel(session: Option<SessionId>) -> String {
        match session {
            Some(session) => format!("leasehold:{session}"),
            None => "leasehold:all".to_owned(),
        }
    }

    pub(crate) fn pushes(&self) -> bool {
        self.pushes.get()
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn set_pushes(&self, pushes: bool) {
        self.pushes.set(pushes);
    }

    /// Waits until the requests for this name that came before are done.
    pub(crate) async fn turn(&self, name: &LockName) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.borrow_mut();
            if turns.len() > TURNS {
                turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            }
            Arc::clone(turns.entry(name.clone()).or_default())
        };
        turn.lock_owned().await
    }

    pub(crate) async fn look(&self, name: &LockName) -> Result<Seen, Trouble> {
        let seen = self.backend.look(name).await?;
        self.note(&seen);
        Ok(seen)
    }

    pub(crate) async fn write(&self, write: &Write<'_>) -> Result<Wrote, Trouble> {
        let wrote = self.backend.write(write).await?;
        if let Wrote::Done { seen, .. } | Wrote::Not(Some(seen)) = &wrote {
            self.note(seen);
        }
        Ok(wrote)
    }

    pub(crate) fn note(&self, seen: &Seen) {
        let told = (seen.now, seen.era.clone(), seen.received);
        *self.server.borrow_mut() = Some(told);
    }

    /// The server's clock, at least, and its era, if it has told.
    pub(crate) fn server(&self) -> Option<(Micros, String)> {
        let told = self.server.borrow();
        let (now, era, received) = told.as_ref()?;
        let elapsed = clock::now().saturating_since(*received);
        let elapsed = (elapsed - elapsed / 100).as_micros();
        Some((
            now.saturating_add(i64::try_from(elapsed).ok()?),
            era.clone(),
        ))
    }

    /// Wakes those of these waiters that are this client's own.
    pub(crate) fn wake(&self, hints: &[Hint]) {
        for hint in hints {
            self.board.hint(hint.nonce);
        }
    }

    /// When a waiter should ask again: without wake-ups, soon, and not all at once.
    pub(crate) fn recheck(&self, request: &AcquireRequest, after: Duration) -> Duration {
        if self.pushes.get() {
            return after;
        }
        let [dice, ..] = *request.nonce.as_bytes();
        let poll = self.options.poll;
        after.min(poll / 2 + poll * u32::from(dice) / 255)
    }

    /// Counts a request, until what is returned is dropped.
    pub(crate) fn begin(&self) -> Busy<'_> {
        self.busy.set(self.busy.get() + 1);
        Busy(self)
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.busy.get() > 0
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
    }
}
