//! One client's sight of the store, as the record protocol needs it.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use leasehold_core::record::{Hint, Reading, Record, Register, Swap};
use leasehold_core::{BoxFuture, Capabilities, Error, LockName, Nonce, Operation, SessionId};

use crate::faults::Yields;
use crate::store::Shared;
use crate::{Fault, MemoryStore};

/// The kind of engine, as in the URL.
pub(crate) const KIND: &str = "memory";

/// After how many ticks a watcher looks even if nothing was written.
const PATIENCE_TICKS: u64 = 2;

/// One client of a [`MemoryStore`], as a register.
#[derive(Debug)]
pub struct MemoryRegister {
    store: Arc<Shared>,
    session: SessionId,
    faults: Mutex<VecDeque<Fault>>,
    /// How often every read and swap is pending before it is carried out.
    yields: AtomicU32,
    /// The last write that each watched prefix was told of.
    seen: Mutex<HashMap<String, u64>>,
}

impl MemoryRegister {
    /// A new client of this store.
    #[must_use]
    pub fn new(store: &MemoryStore) -> Self {
        let store = Arc::clone(store.shared());
        Self {
            session: store.new_session(),
            store,
            faults: Mutex::default(),
            yields: AtomicU32::new(0),
            seen: Mutex::default(),
        }
    }

    pub(crate) fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.faults).extend(faults);
    }

    pub(crate) fn set_yields(&self, times: u32) {
        self.yields.store(times, Ordering::Relaxed);
    }

    pub(crate) fn kill(&self) {
        self.store.kill(self.session);
    }

    /// Waits as long as every operation was told to, and refuses if this client is
    /// dead.
    async fn enter(&self) -> Result<(), Error> {
        Yields(self.yields.load(Ordering::Relaxed)).await;
        if self.store.is_dead(self.session) {
            return Err(Error::unavailable(
                KIND,
                "this client was killed",
                "open another client of the store",
            ));
        }
        Ok(())
    }
}

impl Register for MemoryRegister {
    type Version = u64;

    fn kind(&self) -> &'static str {
        KIND
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }

    fn session(&self) -> Option<SessionId> {
        Some(self.session)
    }

    fn is_dead(&self, session: SessionId) -> bool {
        self.store.is_dead(session)
    }

    fn read<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Reading<u64>, Error>> {
        Box::pin(async move {
            self.enter().await?;
            self.store.read(name)
        })
    }

    fn swap<'a>(
        &'a self,
        name: &'a LockName,
        expected: &'a u64,
        record: &'a Record,
    ) -> BoxFuture<'a, Result<Swap, Error>> {
        Box::pin(async move {
            self.enter().await?;
            let fault = lock(&self.faults).pop_front().unwrap_or(Fault::None);
            let swap = || self.store.swap(name, *expected, record);
            match fault {
                Fault::None => Ok(swap()),
                Fault::Conflict => Ok(Swap::Conflict),
                Fault::RequestLost => Err(unknown("the request was lost")),
                Fault::AnswerLost => {
                    swap();
                    Err(unknown("the answer was lost"))
                }
                Fault::Late => {
                    self.store.swap_late(name, *expected, record);
                    Err(unknown("the request is late"))
                }
                Fault::SlowRequest(polls) => {
                    Yields(polls).await;
                    Ok(swap())
                }
                Fault::SlowAnswer(polls) => {
                    let swapped = swap();
                    Yields(polls).await;
                    Ok(swapped)
                }
            }
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(LockName, Reading<u64>)>, Error>> {
        Box::pin(async move {
            self.enter().await?;
            self.store.list(prefix)
        })
    }

    fn wake(&self, _name: &LockName, hints: &[Hint]) {
        for hint in hints {
            self.store.board.hint(hint.nonce);
        }
    }

    fn expect(&self, _name: &LockName, nonce: Nonce) {
        self.store.board.expect(nonce);
    }

    fn forget(&self, _name: &LockName, nonce: Nonce) {
        self.store.board.forget(nonce);
    }

    fn hinted<'a>(&'a self, _name: &'a LockName, nonce: Nonce) -> BoxFuture<'a, ()> {
        Box::pin(self.store.board.hinted(nonce))
    }

    fn changed<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.store.start_ticking();
            let until = self.store.watchers.ticks() + PATIENCE_TICKS;
            poll_fn(|context| {
                // Registered before looking, so that no write falls in between.
                self.store.watchers.register(context.waker());
                let last = self.store.last_write(prefix);
                let mut seen = lock(&self.seen);
                let known = seen.entry(prefix.to_owned()).or_default();
                if last > *known || self.store.watchers.ticks() >= until {
                    *known = last;
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
            Ok(())
        })
    }
}

/// The driver names the operation; a swap does not know which it serves.
fn unknown(detail: &str) -> Error {
    Error::Indeterminate {
        operation: Operation::Acquire,
        engine: KIND,
        detail: detail.to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
