//! The engine, put together.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Poll;

use leasehold_core::{
    AcquireRequest, Acquired, BoxFuture, BreakRequest, Broken, Capabilities, Engine, Error,
    ExtendRequest, Extended, Lifetime, LockName, LockStatus, Nonce, Released, WakeBoard,
};

use crate::collect::Collector;
use crate::combine::{Aftermath, Combiner, unanswered};
use crate::fail::ENGINE;
use crate::keeper::{self, Keeper};
use crate::options::LocalOptions;
use crate::reader::Reader;
use crate::sessions::Sessions;
use crate::step::{Answer, Op};
use crate::transact::Transactor;
use crate::waker::Waker;
use crate::watch::Watch;
use crate::writer::{Finished, Writer, awaited};
use crate::{clock, reserve, schema};

/// One in how many clients sweeps up after dead ones.
const SWEEPS: u8 = 64;

/// Locks in a file of this machine.
///
/// Each value is one client: its grants are void as soon as its process is dead.
/// Dropping it carries out what it was still asked for, which takes a moment if
/// another process keeps the file locked. It does not release anything.
pub struct LocalEngine {
    combiner: Arc<Combiner<Parts>>,
}

/// What the requests of one client share.
struct Parts {
    board: Arc<WakeBoard>,
    sessions: Arc<Sessions>,
    watch: Arc<Watch>,
    reader: Arc<Reader>,
    waker: Waker,
    keeper: Keeper,
}

impl LocalEngine {
    /// Opens the store, creating the file if there is none.
    ///
    /// Takes well under a millisecond for a store in use, and a few syncs of the
    /// disk for a new file or after a restart of the machine.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a path that cannot name a database,
    /// [`Error::Damaged`] for a file that is none of ours or from a newer version,
    /// [`Error::Unavailable`] for one that cannot be used now. Such a file is left
    /// as it was.
    pub fn open(options: LocalOptions) -> Result<Self, Error> {
        let paths = Arc::new(schema::absolute(&options.path)?);
        if options.make_folders {
            schema::make_folders(&paths.db)?;
        }
        let boot_id = options.boot_id.map_or_else(clock::boot_id, Ok)?;
        let (store, first) = schema::open(&paths, &boot_id, options.token_block)?;
        let boot = store.boot();
        let sessions = Arc::new(Sessions::new(&paths));
        let reader = Arc::new(Reader::new(Arc::clone(&paths), boot, Arc::clone(&sessions)));
        let (board, watch) = (Arc::new(WakeBoard::default()), Arc::new(Watch::default()));
        let waker = Waker::new(
            Arc::clone(&board),
            Arc::clone(&sessions),
            Arc::clone(&watch),
            Arc::clone(&reader),
        );
        let parts = Parts {
            waker: waker.map_err(|error| no_thread(&error))?,
            keeper: Keeper::new(Arc::clone(&paths), &store),
            board,
            sessions: Arc::clone(&sessions),
            watch,
            reader,
        };
        let dice = dice()?;
        if first || dice % SWEEPS == 0 {
            parts.keeper.sweep();
        }
        let collector = Collector::new(options.collect_after, dice);
        let writer = Writer::new(Transactor::new(store, paths, sessions, collector)?);
        Ok(Self {
            combiner: Arc::new(Combiner::new(writer, parts)),
        })
    }

    fn parts(&self) -> &Parts {
        self.combiner.aftermath()
    }

    /// Carries a request out; its first poll does what can be done at once.
    async fn call(&self, op: Op) -> Result<Answer, Error> {
        let operation = op.operation();
        let told = self.combiner.push(op);
        self.combiner.lead();
        told.await.unwrap_or_else(|_| Err(unanswered(operation)))
    }

    /// As [`call`](Self::call), but the first poll only queues, so that renewals
    /// polled one after the other share a transaction.
    async fn call_together(&self, op: Op) -> Result<Answer, Error> {
        let operation = op.operation();
        let told = self.combiner.push(op);
        yield_once().await;
        self.combiner.lead();
        told.await.unwrap_or_else(|_| Err(unanswered(operation)))
    }

    fn forget(&self, nonce: Nonce) {
        let parts = self.parts();
        parts.board.forget(nonce);
        parts.waker.forget(nonce);
        parts.sessions.remove_address(nonce);
    }
}

impl Engine for LocalEngine {
    fn kind(&self) -> &'static str {
        ENGINE
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }

    fn acquire<'a>(
        &'a self,
        request: &'a AcquireRequest,
    ) -> BoxFuture<'a, Result<Acquired, Error>> {
        Box::pin(async move {
            let parts = self.parts();
            let session = match request.lifetime {
                Lifetime::Process => Some(parts.sessions.own()?),
                Lifetime::Detached => None,
            };
            if request.queue.is_some() {
                parts.board.expect(request.nonce);
                if session.is_none() {
                    parts.sessions.add_address(request.nonce);
                }
            }
            let op = Op::Acquire {
                request: request.clone(),
                session,
            };
            let answer = match self.call(op).await {
                Ok(Answer::Acquired(answer)) => Ok(answer),
                Ok(_) => unreachable!("each request gets the answer of its kind"),
                Err(error) => Err(error),
            };
            if request.queue.is_some() && !matches!(answer, Ok(Acquired::Queued(_))) {
                self.forget(request.nonce);
            }
            answer
        })
    }

    fn extend<'a>(&'a self, request: &'a ExtendRequest) -> BoxFuture<'a, Result<Extended, Error>> {
        Box::pin(async move {
            match self.call_together(Op::Extend(request.clone())).await? {
                Answer::Extended(answer) => Ok(answer),
                _ => unreachable!("each request gets the answer of its kind"),
            }
        })
    }

    fn release<'a>(
        &'a self,
        name: &'a LockName,
        nonce: Nonce,
    ) -> BoxFuture<'a, Result<Released, Error>> {
        Box::pin(async move {
            self.forget(nonce);
            let name = name.clone();
            match self.call(Op::Release { name, nonce }).await? {
                Answer::Released(answer) => Ok(answer),
                _ => unreachable!("each request gets the answer of its kind"),
            }
        })
    }

    fn hint<'a>(&'a self, _name: &'a LockName, nonce: Nonce) -> BoxFuture<'a, ()> {
        Box::pin(self.parts().board.hinted(nonce))
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<LockStatus, Error>> {
        Box::pin(async move { self.parts().reader.inspect(name) })
    }

    /// Skips records that are damaged, of which [`inspect`](Engine::inspect) tells.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<LockStatus>, Error>> {
        Box::pin(async move {
            let mut listing = self.parts().reader.list(prefix);
            while listing.advance()? {
                yield_once().await;
            }
            Ok(listing.finish())
        })
    }

    fn break_lock<'a>(&'a self, request: &'a BreakRequest) -> BoxFuture<'a, Result<Broken, Error>> {
        Box::pin(async move {
            match self.call(Op::Break(request.clone())).await? {
                Answer::Broken(answer) => Ok(answer),
                _ => unreachable!("each request gets the answer of its kind"),
            }
        })
    }

    fn changed<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let parts = self.parts();
            parts.waker.start().map_err(|error| no_thread(&error))?;
            parts.watch.saw(parts.reader.version()?);
            if let Some(changed) = parts.watch.wait(prefix) {
                parts.waker.ring();
                changed.await;
            }
            Ok(())
        })
    }

    fn lifeline(&self) -> Option<OwnedFd> {
        self.parts().sessions.lifeline()
    }
}

impl Drop for LocalEngine {
    fn drop(&mut self) {
        self.combiner.close();
        let parts = self.parts();
        parts.waker.close();
        parts.keeper.close();
        let writer = self.combiner.writer();
        if writer.store().wal_frames() > keeper::LONG_LOG_FRAMES {
            // Commands that live for milliseconds leave this to one in thousands.
            let _ = reserve::checkpoint(writer.store());
        }
        // A FIFO that records refer to stays, and tells that we are gone.
        parts.sessions.close(writer.is_free_of_ties());
    }
}

impl Aftermath for Parts {
    fn committed(&self, finished: &[Finished], writer: &Writer) {
        let own = self.sessions.current();
        let mut written = false;
        for finished in finished {
            if let Some((nonce, sessions)) = awaited(finished) {
                // Before the answer is told: a death after it must not be missed.
                self.waker.await_deaths(nonce, sessions);
            }
            let Ok(done) = &finished.result else {
                continue;
            };
            written |= done.written.is_some();
            for hint in &done.hints {
                self.board.hint(hint.nonce);
                if hint.session.is_none() || hint.session != own {
                    self.sessions.tell(hint.session, hint.nonce);
                }
            }
            if let Some(settled) = done.low {
                self.keeper.reserve(settled);
            }
        }
        if written {
            self.watch.changed();
        }
        if writer.store().wal_frames() >= keeper::LOG_FRAMES {
            self.keeper.checkpoint();
        }
    }
}

impl std::fmt::Debug for LocalEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalEngine").finish_non_exhaustive()
    }
}

/// Lets whoever else is to be polled be polled first.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn dice() -> Result<u8, Error> {
    let mut dice = [0];
    getrandom::fill(&mut dice).map_err(|error| {
        Error::unavailable(
            ENGINE,
            format!("the system gives no random numbers: {error}"),
            "allow the getrandom system call",
        )
    })?;
    Ok(dice[0])
}

fn no_thread(error: &std::io::Error) -> Error {
    Error::unavailable(
        ENGINE,
        format!("a thread or what it listens to could not be had: {error}"),
        "raise the limits of threads and open files (ulimit -u, ulimit -n)",
    )
}
