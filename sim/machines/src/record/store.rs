//! The store of the record world: a register whose answers are given by the world.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use leasehold_core::record::{Hint, Listing, Reading, Record, Register, Swap};
use leasehold_core::{BoxFuture, Capabilities, Error, LockName, Nonce, Operation, SessionId};

/// A mistake of a store, or of the code that speaks to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A swap is written whatever the version.
    SwapWithoutVersion,
    /// Ages go by the client's wall clock, compared with what others wrote.
    AgeFromWallClock,
    /// A free lock's record is deleted, token and all.
    TokenReset,
    /// A swap of unknown outcome is called a failure.
    UnknownIsFailure,
}

thread_local! {
    static MADE: Cell<Option<Flaw>> = const { Cell::new(None) };
}

/// Makes this mistake from now on, in this thread.
pub fn flaw(flaw: Option<Flaw>) {
    MADE.set(flaw);
}

/// Whether this mistake is to be made.
pub(crate) fn made(flaw: Flaw) -> bool {
    MADE.get() == Some(flaw)
}

/// What a client asks of the store.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Read,
    Swap { expected: u64, record: Record },
}

/// A question under way.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) op: usize,
    pub(crate) ask: Ask,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Read(Result<Reading<u64>, Error>),
    Swap(Result<Swap, Error>),
}

/// What the registers of all clients share.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// Whose operation is being polled.
    pub(crate) op: usize,
    /// Questions not yet picked up, by number.
    pub(crate) asked: Vec<u64>,
    pub(crate) calls: BTreeMap<u64, Call>,
    pub(crate) answers: BTreeMap<u64, Answer>,
    /// Questions whose answer was heard.
    pub(crate) heard: BTreeSet<u64>,
    /// Questions that nobody waits for any more.
    pub(crate) dropped: BTreeSet<u64>,
    pub(crate) dead: BTreeSet<SessionId>,
    pub(crate) woken: Vec<Nonce>,
    next: u64,
}

pub(crate) type SharedDesk = Arc<Mutex<Desk>>;

pub(crate) fn at(desk: &SharedDesk) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One client's sight of the store.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) desk: SharedDesk,
    pub(crate) session: SessionId,
}

/// Notes that nobody waits for an answer any more.
struct Waiting<'a> {
    desk: &'a SharedDesk,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut desk = at(self.desk);
        if !desk.heard.contains(&self.number) {
            desk.dropped.insert(self.number);
        }
    }
}

impl Sight {
    async fn ask(&self, ask: Ask) -> Answer {
        let number = {
            let mut desk = at(&self.desk);
            desk.next += 1;
            let (number, op) = (desk.next, desk.op);
            desk.calls.insert(number, Call { op, ask });
            desk.asked.push(number);
            number
        };
        let _waiting = Waiting {
            desk: &self.desk,
            number,
        };
        poll_fn(|_| {
            let mut desk = at(&self.desk);
            match desk.answers.remove(&number) {
                Some(answer) => {
                    desk.heard.insert(number);
                    Poll::Ready(answer)
                }
                None => Poll::Pending,
            }
        })
        .await
    }
}

pub(crate) fn refused(detail: &str) -> Error {
    Error::unavailable("simulated", detail, "wait")
}

pub(crate) fn unknown(detail: &str) -> Error {
    if made(Flaw::UnknownIsFailure) {
        return refused(detail);
    }
    Error::Indeterminate {
        operation: Operation::Acquire,
        engine: "simulated",
        detail: detail.to_owned(),
    }
}

impl Register for Sight {
    type Version = u64;

    fn kind(&self) -> &'static str {
        "simulated"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }

    fn session(&self) -> Option<SessionId> {
        Some(self.session)
    }

    fn is_dead(&self, session: SessionId) -> bool {
        at(&self.desk).dead.contains(&session)
    }

    fn read<'a>(&'a self, _: &'a LockName) -> BoxFuture<'a, Result<Reading<u64>, Error>> {
        Box::pin(async move {
            match self.ask(Ask::Read).await {
                Answer::Read(reading) => reading,
                Answer::Swap(_) => Err(refused("answered as a swap")),
            }
        })
    }

    fn swap<'a>(
        &'a self,
        _: &'a LockName,
        expected: &'a u64,
        record: &'a Record,
    ) -> BoxFuture<'a, Result<Swap, Error>> {
        Box::pin(async move {
            let ask = Ask::Swap {
                expected: *expected,
                record: record.clone(),
            };
            match self.ask(ask).await {
                Answer::Swap(swap) => swap,
                Answer::Read(_) => Err(refused("answered as a read")),
            }
        })
    }

    fn list<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Listing<u64>, Error>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn wake(&self, _: &LockName, hints: &[Hint]) {
        let nonces = hints.iter().map(|hint| hint.nonce);
        at(&self.desk).woken.extend(nonces);
    }

    fn expect(&self, _: &LockName, _: Nonce) {}

    fn forget(&self, _: &LockName, _: Nonce) {}

    fn hinted<'a>(&'a self, _: &'a LockName, _: Nonce) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }

    fn changed<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::pending())
    }
}
