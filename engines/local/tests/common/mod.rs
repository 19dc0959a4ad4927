//! What the tests share.

#![allow(dead_code, unreachable_pub)] // each test uses a part of it

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use leasehold_core::{
    AcquireRequest, Acquired, BreakRequest, Engine, Error, Lifetime, LockName, Mode, Nonce, Owner,
    Queued, Token, Ttl,
};
use leasehold_local::{LocalEngine, LocalOptions};

/// How long anything may take before a test gives up on it.
pub const LIMIT: Duration = Duration::from_secs(60);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread; panics at [`LIMIT`].
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let give_up = Instant::now() + LIMIT;
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        let left = give_up.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "not done after {LIMIT:?}");
        thread::park_timeout(left);
    }
}

/// Polls a future once, with a waker that does nothing.
pub fn poll_once<T>(future: std::pin::Pin<&mut dyn Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits until something is so; panics at [`LIMIT`].
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < give_up, "{what}: not after {LIMIT:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

pub fn open(db: &Path) -> LocalEngine {
    LocalEngine::open(LocalOptions::new(db)).unwrap()
}

pub fn name(text: &str) -> LockName {
    LockName::new(text).unwrap()
}

pub fn seconds(n: u64) -> Ttl {
    Ttl::new(Duration::from_secs(n)).unwrap()
}

/// A nonce that no other process and no other call has.
pub fn nonce() -> Nonce {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    bytes[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    Nonce::from_bytes(bytes)
}

/// Asks for an exclusive lock for half an hour, without queueing.
pub fn request(lock: &str) -> AcquireRequest {
    AcquireRequest {
        name: name(lock),
        nonce: nonce(),
        owner: Owner::new("test"),
        mode: Mode::Exclusive,
        ttl: seconds(1800),
        grace: Duration::ZERO,
        lifetime: Lifetime::Process,
        queue: None,
    }
}

/// The same, with a place in the line; asks again so seldom that nothing but a
/// hint can be what woke it.
pub fn waiting(lock: &str) -> AcquireRequest {
    AcquireRequest {
        queue: Some(Duration::from_secs(600)),
        ..request(lock)
    }
}

pub fn ask(engine: &LocalEngine, request: &AcquireRequest) -> Result<Acquired, Error> {
    block_on(engine.acquire(request))
}

pub fn granted(engine: &LocalEngine, request: &AcquireRequest) -> Token {
    match ask(engine, request) {
        Ok(Acquired::Granted(granted)) => granted.token,
        other => panic!("{}: {other:?}", request.name),
    }
}

pub fn queued(engine: &LocalEngine, request: &AcquireRequest) -> Queued {
    match ask(engine, request) {
        Ok(Acquired::Queued(queued)) => queued,
        other => panic!("{}: {other:?}", request.name),
    }
}

pub fn is_busy(engine: &LocalEngine, lock: &str) -> bool {
    matches!(ask(engine, &request(lock)), Ok(Acquired::Busy(_)))
}

/// Waits for a hint and asks again, until the lock is granted.
pub fn wait_for_grant(engine: &LocalEngine, request: &AcquireRequest) -> Token {
    loop {
        match ask(engine, request).unwrap() {
            Acquired::Granted(granted) => return granted.token,
            Acquired::Queued(_) => block_on(engine.hint(&request.name, request.nonce)),
            Acquired::Busy(holders) => panic!("refused, held by {holders:?}"),
        }
    }
}

pub fn release(engine: &LocalEngine, request: &AcquireRequest) {
    block_on(engine.release(&request.name, request.nonce)).unwrap();
}

/// A grant and its release; the token.
pub fn pair(engine: &LocalEngine, lock: &str) -> Token {
    let request = request(lock);
    let token = granted(engine, &request);
    release(engine, &request);
    token
}

pub fn break_request(lock: &str) -> BreakRequest {
    BreakRequest {
        name: name(lock),
        by: Owner::new("test"),
        reason: "a test".to_owned(),
        unix_seconds: 1,
        force: false,
    }
}
