//! A register in memory whose next swaps and reads go as a script says.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use leasehold_core::record::{Hint, Listing, Reading, Record, Register, Swap, View};
use leasehold_core::{
    AcquireRequest, BoxFuture, Capabilities, Error, LockName, Nonce, Operation, SessionId,
    StoreTime, Token,
};

/// How a read or a swap goes. Without a script, all goes well.
#[derive(Clone, Debug)]
pub(crate) enum Turn {
    /// It does what it should.
    Well,
    /// Somebody else writes just before the swap.
    Overtaken(AcquireRequest),
    /// Somebody releases just before the swap.
    Left(Nonce),
    /// The swap is carried out; its outcome stays unknown.
    Applied,
    /// The swap is not carried out; its outcome stays unknown.
    NotApplied,
    /// It fails for certain.
    Refused,
}

/// What the driver did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Read,
    Swap,
    Wake(Vec<Nonce>),
    Expect(Nonce),
    Forget(Nonce),
}

#[derive(Default)]
pub(crate) struct Scripted(Mutex<State>);

#[derive(Default)]
pub(crate) struct State {
    pub(crate) record: Record,
    pub(crate) now: u64,
    pub(crate) reads: VecDeque<Turn>,
    pub(crate) swaps: VecDeque<Turn>,
    pub(crate) calls: Vec<Call>,
    version: u64,
}

impl Scripted {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn by_another(&mut self, act: impl FnOnce(&mut Record, &View<'_>)) {
        let view = View {
            now: StoreTime::from_micros(self.now),
            floor: Token::NONE,
            session: None,
            is_dead: &|_| false,
        };
        act(&mut self.record, &view);
        self.version += 1;
    }
}

fn unknown() -> Error {
    Error::Indeterminate {
        // What the register can know; the driver names the operation.
        operation: Operation::Break,
        engine: "scripted",
        detail: "no answer".into(),
    }
}

fn refused() -> Error {
    Error::unavailable("scripted", "refused", "write another script")
}

impl Register for Scripted {
    type Version = u64;

    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }

    fn session(&self) -> Option<SessionId> {
        None
    }

    fn is_dead(&self, _: SessionId) -> bool {
        false
    }

    fn read<'a>(&'a self, _: &'a LockName) -> BoxFuture<'a, Result<Reading<u64>, Error>> {
        Box::pin(async {
            let mut state = self.state();
            state.calls.push(Call::Read);
            match state.reads.pop_front() {
                None | Some(Turn::Well) => Ok(Reading {
                    record: state.record.clone(),
                    version: state.version,
                    now: StoreTime::from_micros(state.now),
                    floor: Token::NONE,
                }),
                Some(_) => Err(refused()),
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
            let mut state = self.state();
            state.calls.push(Call::Swap);
            let turn = state.swaps.pop_front().unwrap_or(Turn::Well);
            match &turn {
                Turn::Overtaken(request) => state.by_another(|record, view| {
                    record.acquire(request, view).unwrap();
                }),
                Turn::Left(nonce) => state.by_another(|record, view| {
                    record.release(*nonce, view);
                }),
                Turn::NotApplied => return Err(unknown()),
                Turn::Refused => return Err(refused()),
                Turn::Well | Turn::Applied => {}
            }
            if *expected != state.version {
                return Ok(Swap::Conflict);
            }
            state.record = record.clone();
            state.version += 1;
            match turn {
                Turn::Applied => Err(unknown()),
                _ => Ok(Swap::Swapped),
            }
        })
    }

    fn list<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Listing<u64>, Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn wake(&self, _: &LockName, hints: &[Hint]) {
        let nonces = hints.iter().map(|hint| hint.nonce).collect();
        self.state().calls.push(Call::Wake(nonces));
    }

    fn expect(&self, _: &LockName, nonce: Nonce) {
        self.state().calls.push(Call::Expect(nonce));
    }

    fn forget(&self, _: &LockName, nonce: Nonce) {
        self.state().calls.push(Call::Forget(nonce));
    }

    fn hinted<'a>(&'a self, _: &'a LockName, _: Nonce) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    fn changed<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}
