//! Each rule of the module `record`, as a named example.

mod line;
mod ownership;
mod tokens;

use std::time::Duration;

use super::{Hint, Record, Step, View};
use crate::{
    AcquireRequest, Acquired, BreakRequest, Broken, Error, ExtendRequest, Extended, Lifetime,
    LockName, Mode, Nonce, Released, SessionId, StoreTime, Token, Ttl,
};

const TTL: u64 = 10_000;
const GRACE: u64 = 5_000;
const INTERVAL: u64 = 1_000;

/// One lock, its store, and clients known by small numbers. Times are in
/// milliseconds.
#[derive(Default)]
struct Lock {
    record: Record,
    now: u64,
    floor: u64,
    dead: Vec<u8>,
    /// Whom the last step hinted.
    hinted: Vec<Nonce>,
    /// Whether the last step changed the record.
    changed: bool,
}

impl Lock {
    /// A lock that client 1 holds exclusively, with client 2 and then 3 waiting
    /// to.
    fn contended() -> Self {
        let mut lock = Self::default();
        lock.ask(1, Mode::Exclusive);
        lock.ask(2, Mode::Exclusive);
        lock.ask(3, Mode::Exclusive);
        lock
    }

    /// Asks, ready to wait.
    fn ask(&mut self, who: u8, mode: Mode) -> Acquired {
        self.acquire(&request(who, mode)).unwrap()
    }

    /// Asks, not ready to wait.
    fn try_once(&mut self, who: u8, mode: Mode) -> Acquired {
        let request = AcquireRequest {
            queue: None,
            ..request(who, mode)
        };
        self.acquire(&request).unwrap()
    }

    fn acquire(&mut self, request: &AcquireRequest) -> Result<Acquired, Error> {
        let session = Some(session(request.nonce.as_bytes()[0]));
        self.step(session, |record, view| record.acquire(request, view))
    }

    fn extend(&mut self, who: u8, ttl: u64) -> Extended {
        let request = ExtendRequest {
            name: name(),
            nonce: nonce(who),
            ttl: Ttl::new(ms(ttl)).unwrap(),
        };
        self.step(None, |record, view| Ok(record.extend(&request, view)))
            .unwrap()
    }

    fn release(&mut self, who: u8) -> Released {
        self.step(None, |record, view| Ok(record.release(nonce(who), view)))
            .unwrap()
    }

    fn break_lock(&mut self) -> Broken {
        let request = BreakRequest {
            name: name(),
            by: "operator".into(),
            reason: "stuck".into(),
            unix_seconds: 7,
            force: false,
        };
        self.step(None, |record, view| Ok(record.break_lock(&request, view)))
            .unwrap()
    }

    fn step<T>(
        &mut self,
        session: Option<SessionId>,
        step: impl FnOnce(&mut Record, &View<'_>) -> Result<Step<T>, Error>,
    ) -> Result<T, Error> {
        let dead = self.dead.clone();
        let view = View {
            now: at(self.now),
            floor: token(self.floor),
            session,
            is_dead: &|other| dead.iter().any(|&who| session_is(other, who)),
        };
        let before = self.record.clone();
        let step = step(&mut self.record, &view)?;
        assert!(step.changed || self.record == before, "a change untold");
        self.changed = step.changed;
        self.hinted = step.hints.iter().map(|hint: &Hint| hint.nonce).collect();
        Ok(step.answer)
    }

    /// The holders, reserved or claimed, in the order of their grants.
    fn holders(&self) -> Vec<u8> {
        let nonces = self.record.grants.iter().map(|grant| grant.nonce);
        nonces.map(|nonce| nonce.as_bytes()[0]).collect()
    }

    fn line(&self) -> Vec<u8> {
        let nonces = self.record.waiters.iter().map(|waiter| waiter.nonce);
        nonces.map(|nonce| nonce.as_bytes()[0]).collect()
    }
}

fn request(who: u8, mode: Mode) -> AcquireRequest {
    AcquireRequest {
        name: name(),
        nonce: nonce(who),
        owner: format!("client {who}").into(),
        mode,
        ttl: Ttl::new(ms(TTL)).unwrap(),
        grace: ms(GRACE),
        lifetime: Lifetime::Process,
        queue: Some(ms(INTERVAL)),
    }
}

fn name() -> LockName {
    LockName::new("jobs/1").unwrap()
}

fn nonce(who: u8) -> Nonce {
    Nonce::from_bytes([who; 16])
}

fn session(who: u8) -> SessionId {
    SessionId::from_bytes([who; 16])
}

fn session_is(session_id: SessionId, who: u8) -> bool {
    session_id == session(who)
}

fn token(value: u64) -> Token {
    Token::new(value).unwrap()
}

fn at(ms: u64) -> StoreTime {
    StoreTime::from_micros(ms * 1000)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The token of an answer that grants.
fn granted(answer: &Acquired) -> u64 {
    match answer {
        Acquired::Granted(granted) => granted.token.get(),
        other => panic!("not granted: {other:?}"),
    }
}

/// How many are ahead, by an answer that queues.
fn ahead(answer: &Acquired) -> usize {
    match answer {
        Acquired::Queued(queued) => queued.ahead,
        other => panic!("not queued: {other:?}"),
    }
}
