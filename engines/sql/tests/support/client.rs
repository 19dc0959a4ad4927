//! A client of the engine, as the library drives it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use leasehold_core::{
    AcquireRequest, Acquired, BreakRequest, Broken, Capabilities, Engine, EngineUrl, Error,
    ExtendRequest, Extended, Lifetime, LockName, LockStatus, Mode, Nonce, Released, Token, Ttl,
};
use leasehold_sql::{SqlEngine, SqlOptions};

use super::LIMIT;

/// Opens the engine.
pub fn try_open(url: &str) -> Result<SqlEngine, Error> {
    SqlEngine::open(SqlOptions::from_url(EngineUrl::parse(url)?)?)
}

/// Opens the engine, which must work.
#[track_caller]
pub fn open(url: &str) -> SqlEngine {
    match try_open(url) {
        Ok(engine) => engine,
        Err(error) => panic!("{url} cannot be opened: {error}"),
    }
}

/// Why the engine cannot be opened.
#[track_caller]
pub fn refusal_of(url: &str) -> Error {
    match try_open(url) {
        Err(error) => error,
        Ok(_) => panic!("{url} can be opened all the same"),
    }
}

/// Why the lock cannot be had from this URL; be it that it cannot be opened.
#[track_caller]
pub fn error_of(url: &str, name: &str, ttl: Duration) -> Error {
    let engine = match try_open(url) {
        Ok(engine) => engine,
        Err(error) => return error,
    };
    match Client::of(engine).try_take(name, ttl) {
        Err(error) => error,
        Ok(lease) => panic!("{url} works all the same: {lease:?}"),
    }
}

/// A client, as another process would have it.
pub struct Client {
    engine: Box<dyn Engine>,
}

/// A lease, with the times that bound it on the holder's own clock.
#[derive(Clone, Debug)]
pub struct Lease {
    pub name: LockName,
    pub nonce: Nonce,
    pub token: Token,
    /// Before the request was sent: the TTL counts from here.
    pub sent: Instant,
    /// After the answer had come.
    pub granted: Instant,
    /// When the holder stops at the latest.
    pub deadline: Instant,
}

impl Client {
    #[track_caller]
    pub fn open(url: &str) -> Self {
        Self::of(open(url))
    }

    pub fn of(engine: impl Engine) -> Self {
        Self {
            engine: Box::new(engine),
        }
    }

    /// One attempt; `None` if the lock is busy. A failed one is cleaned up after.
    pub fn try_take(&self, name: &str, ttl: Duration) -> Result<Option<Lease>, Error> {
        let request = ask(name, ttl);
        let sent = Instant::now();
        match wait(self.engine.acquire(&request)) {
            Ok(Acquired::Granted(granted)) => Ok(Some(lease(&request, granted.token, sent))),
            Ok(Acquired::Busy(_)) => Ok(None),
            Ok(Acquired::Queued(_)) => panic!("queued without having asked for it"),
            Err(error) => {
                self.clean_up(&request);
                Err(error)
            }
        }
    }

    /// Takes the lock, which must be free.
    #[track_caller]
    pub fn take(&self, name: &str, ttl: Duration) -> Lease {
        match self.try_take(name, ttl) {
            Ok(Some(lease)) => lease,
            Ok(None) => panic!("{name:?} is busy"),
            Err(error) => panic!("{name:?} cannot be taken: {error}"),
        }
    }

    /// Takes a share of the lock, which must be free for it.
    #[track_caller]
    pub fn share(&self, name: &str, ttl: Duration) -> Lease {
        let mut request = ask(name, ttl);
        request.mode = Mode::Shared;
        let sent = Instant::now();
        match wait(self.engine.acquire(&request)) {
            Ok(Acquired::Granted(granted)) => lease(&request, granted.token, sent),
            other => panic!("{name:?} cannot be shared: {other:?}"),
        }
    }

    /// Waits for its turn as the library does: asks, waits for a hint or as long
    /// as it was told, asks again.
    pub fn turn(&self, name: &str, ttl: Duration) -> Result<Lease, Error> {
        self.turn_every(name, ttl, Duration::from_millis(500))
    }

    /// The same, asking by itself only this often.
    pub fn patient_turn(&self, name: &str, ttl: Duration, interval: Duration) -> Lease {
        self.turn_every(name, ttl, interval)
            .expect("the server is there")
    }

    fn turn_every(&self, name: &str, ttl: Duration, interval: Duration) -> Result<Lease, Error> {
        let mut request = ask(name, ttl);
        request.queue = Some(interval);
        let give_up = Instant::now() + LIMIT;
        while Instant::now() < give_up {
            let sent = Instant::now();
            match wait(self.engine.acquire(&request)) {
                Ok(Acquired::Granted(granted)) => return Ok(lease(&request, granted.token, sent)),
                Ok(Acquired::Queued(queued)) => {
                    let hint = self.engine.hint(&request.name, request.nonce);
                    within(queued.recheck_after.min(interval), hint);
                }
                Ok(Acquired::Busy(_)) => panic!("a queueing request was refused as busy"),
                Err(error) => {
                    self.clean_up(&request);
                    return Err(error);
                }
            }
        }
        panic!("{name:?} was not granted to a waiter within {LIMIT:?}")
    }

    pub fn give_back(&self, lease: &Lease) -> Result<Released, Error> {
        self.release(&lease.name, lease.nonce)
    }

    pub fn release(&self, name: &LockName, nonce: Nonce) -> Result<Released, Error> {
        wait(self.engine.release(name, nonce))
    }

    pub fn extend(&self, lease: &Lease, ttl: Duration) -> Result<Extended, Error> {
        let request = ExtendRequest {
            name: lease.name.clone(),
            nonce: lease.nonce,
            ttl: Ttl::new(ttl).expect("a TTL that is allowed"),
        };
        wait(self.engine.extend(&request))
    }

    #[track_caller]
    pub fn inspect(&self, name: &str) -> LockStatus {
        let name = LockName::new(name).expect("a name that is allowed");
        match wait(self.engine.inspect(&name)) {
            Ok(status) => status,
            Err(error) => panic!("{name:?} cannot be inspected: {error}"),
        }
    }

    pub fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }

    pub fn break_lock(&self, name: &str) -> Result<Broken, Error> {
        self.end_all(name, false)
    }

    /// Breaks it also if a client of another kind holds it.
    pub fn break_by_force(&self, name: &str) -> Result<Broken, Error> {
        self.end_all(name, true)
    }

    fn end_all(&self, name: &str, force: bool) -> Result<Broken, Error> {
        wait(self.engine.break_lock(&BreakRequest {
            name: LockName::new(name).expect("a name that is allowed"),
            by: "operator".into(),
            reason: "test".to_owned(),
            unix_seconds: 1_700_000_000,
            force,
        }))
    }

    /// As callers do after a failed acquire; it may fail for the same reason.
    fn clean_up(&self, request: &AcquireRequest) {
        let _ = wait(self.engine.release(&request.name, request.nonce));
    }
}

/// An exclusive request without grace that does not queue.
pub fn ask(name: &str, ttl: Duration) -> AcquireRequest {
    AcquireRequest {
        name: LockName::new(name).expect("a name that is allowed"),
        nonce: nonce(),
        owner: "test".into(),
        mode: Mode::Exclusive,
        ttl: Ttl::new(ttl).expect("a TTL that is allowed"),
        grace: Duration::ZERO,
        lifetime: Lifetime::Detached,
        queue: None,
    }
}

/// Another one each time, in this process and in any other that tests.
fn nonce() -> Nonce {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&std::process::id().to_be_bytes());
    bytes[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Nonce::from_bytes(bytes)
}

fn lease(request: &AcquireRequest, token: Token, sent: Instant) -> Lease {
    Lease {
        name: request.name.clone(),
        nonce: request.nonce,
        token,
        sent,
        granted: Instant::now(),
        deadline: sent + request.ttl.get(),
    }
}

/// Runs a future on this thread; panics at [`LIMIT`].
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    within(LIMIT, future).unwrap_or_else(|| panic!("no answer within {LIMIT:?}"))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread; `None` if it is not ready by then.
fn within<T>(bound: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let give_up = Instant::now() + bound;
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        let left = give_up.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}
