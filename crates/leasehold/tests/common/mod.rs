//! A stage to test on: a store and a holder whose clocks are moved by hand, an
//! engine that can be made to misbehave, and events that can be waited for.

#![allow(dead_code, missing_docs, unreachable_pub)]

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leasehold::memory::{
    Clock as StoreClock, ManualClock as ManualStoreClock, MemoryEngine, MemoryStore,
};
use leasehold::testing::ManualClock;
use leasehold::{
    AcquireRequest, Acquired, BoxFuture, BreakRequest, Broken, Capabilities, Engine, Error, Event,
    ExtendRequest, Extended, LockName, LockStatus, Locks, Nonce, Operation, Released,
};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Runs a test on no runtime at all; one that hangs fails.
pub fn run<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> T {
    let (done, finished) = channel();
    let thread = std::thread::spawn(move || {
        let _ = done.send(pollster::block_on(test));
    });
    match finished.recv_timeout(PATIENCE) {
        Ok(output) => output,
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("the test hangs"),
        Err(_) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("it ends with an output or a panic"),
        },
    }
}

/// Polls once, with nobody to wake.
pub fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

pub struct Stage {
    pub store: MemoryStore,
    pub engine: Arc<Probe>,
    pub locks: Locks,
    pub clock: Arc<ManualClock>,
    pub store_clock: ManualStoreClock,
    pub events: Events,
}

impl Stage {
    pub fn new() -> Self {
        let store_clock = ManualStoreClock::new();
        let store = MemoryStore::with_clock(StoreClock::Manual(store_clock.clone()));
        let clock = Arc::new(ManualClock::new());
        let engine = Arc::new(Probe::new(store.client()));
        let (observer, events) = events();
        let locks = Locks::builder()
            .engine(engine.clone())
            .owner("holder")
            .clock(clock.clone())
            .observer(observer)
            .connect();
        Self {
            locks: pollster::block_on(locks).unwrap(),
            store,
            engine,
            clock,
            store_clock,
            events,
        }
    }

    /// Another client of the same store, with the same clock.
    pub fn other(&self, owner: &str) -> Locks {
        let locks = Locks::builder()
            .engine(Arc::new(self.store.client()))
            .owner(owner)
            .clock(self.clock.clone())
            .connect();
        pollster::block_on(locks).unwrap()
    }

    /// Time passes for everybody.
    pub fn advance(&self, by: Duration) {
        self.store_clock.advance(by);
        self.clock.advance(by);
    }

    /// The lock once everything owed has been given back.
    pub async fn settled(&self, name: &str) -> LockStatus {
        self.locks.clone().close().await;
        self.locks.inspect(name).await.unwrap()
    }
}

pub struct Events(Mutex<Receiver<Event>>);

pub fn events() -> (Arc<impl Fn(&Event) + Send + Sync + 'static>, Events) {
    let (sender, receiver) = channel();
    let observer = move |event: &Event| {
        let _ = sender.send(event.clone());
    };
    (Arc::new(observer), Events(Mutex::new(receiver)))
}

impl Events {
    /// The next event.
    pub fn next(&self) -> Event {
        self.0
            .lock()
            .unwrap()
            .recv_timeout(PATIENCE)
            .expect("an event")
    }

    /// The kinds of all events so far.
    pub fn kinds(&self) -> Vec<&'static str> {
        let events = self.0.lock().unwrap();
        events.try_iter().map(|event| kind(&event)).collect()
    }
}

pub fn kind(event: &Event) -> &'static str {
    match event {
        Event::Acquired { .. } => "acquired",
        Event::Renewed { .. } => "renewed",
        Event::Contended { .. } => "contended",
        Event::Lost { .. } => "lost",
        Event::Released { .. } => "released",
        Event::Broken { .. } => "broken",
        _ => "other",
    }
}

type Hook = Box<dyn FnMut() + Send>;

/// A memory engine that counts, and misbehaves on demand.
pub struct Probe {
    pub inner: MemoryEngine,
    pub acquires: AtomicUsize,
    outstanding: AtomicUsize,
    pub most_outstanding: AtomicUsize,
    pub extends: AtomicUsize,
    pub releases: AtomicUsize,
    pub hang_extends: AtomicBool,
    pub hang_releases: AtomicBool,
    /// So many extends fail without having been carried out.
    pub fail_extends: AtomicU32,
    /// So many acquires are carried out, and their answers lost.
    pub lose_acquires: AtomicU32,
    /// So many releases fail without having been carried out.
    pub fail_releases: AtomicU32,
    /// Called once, after the next acquire was carried out and before its answer.
    pub after_acquire: Mutex<Option<Hook>>,
    /// The same for the next extend.
    pub after_extend: Mutex<Option<Hook>>,
    pub can: Mutex<Capabilities>,
}

impl Probe {
    pub fn new(inner: MemoryEngine) -> Self {
        let can = inner.capabilities();
        Self {
            inner,
            acquires: AtomicUsize::new(0),
            outstanding: AtomicUsize::new(0),
            most_outstanding: AtomicUsize::new(0),
            extends: AtomicUsize::new(0),
            releases: AtomicUsize::new(0),
            hang_extends: AtomicBool::new(false),
            hang_releases: AtomicBool::new(false),
            fail_extends: AtomicU32::new(0),
            lose_acquires: AtomicU32::new(0),
            fail_releases: AtomicU32::new(0),
            after_acquire: Mutex::new(None),
            after_extend: Mutex::new(None),
            can: Mutex::new(can),
        }
    }

    pub async fn wait_for_extends(&self, n: usize) {
        while self.extends.load(Ordering::SeqCst) < n {
            std::thread::sleep(millis(1));
        }
    }

    fn fail(from: &AtomicU32) -> Option<Error> {
        let one_less = |n: u32| n.checked_sub(1);
        from.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .ok()
            .map(|_| Error::unavailable("probe", "told to fail", "wait"))
    }
}

struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Engine for Probe {
    fn kind(&self) -> &'static str {
        "probe"
    }

    fn capabilities(&self) -> Capabilities {
        *self.can.lock().unwrap()
    }

    fn acquire<'a>(
        &'a self,
        request: &'a AcquireRequest,
    ) -> BoxFuture<'a, Result<Acquired, Error>> {
        Box::pin(async move {
            self.acquires.fetch_add(1, Ordering::SeqCst);
            let now = self.outstanding.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_outstanding.fetch_max(now, Ordering::SeqCst);
            let _counted = Counted(&self.outstanding);
            let answer = self.inner.acquire(request).await;
            let hook = self.after_acquire.lock().unwrap().take();
            if let Some(mut hook) = hook {
                hook();
            }
            match Self::fail(&self.lose_acquires) {
                Some(_) => Err(Error::Indeterminate {
                    operation: Operation::Acquire,
                    engine: "probe",
                    detail: "told to lose the answer".to_owned(),
                }),
                None => answer,
            }
        })
    }

    fn extend<'a>(&'a self, request: &'a ExtendRequest) -> BoxFuture<'a, Result<Extended, Error>> {
        Box::pin(async move {
            self.extends.fetch_add(1, Ordering::SeqCst);
            if self.hang_extends.load(Ordering::SeqCst) {
                return pending().await;
            }
            match Self::fail(&self.fail_extends) {
                Some(error) => Err(error),
                None => {
                    let answer = self.inner.extend(request).await;
                    let hook = self.after_extend.lock().unwrap().take();
                    if let Some(mut hook) = hook {
                        hook();
                    }
                    answer
                }
            }
        })
    }

    fn release<'a>(
        &'a self,
        name: &'a LockName,
        nonce: Nonce,
    ) -> BoxFuture<'a, Result<Released, Error>> {
        Box::pin(async move {
            self.releases.fetch_add(1, Ordering::SeqCst);
            if self.hang_releases.load(Ordering::SeqCst) {
                return pending().await;
            }
            match Self::fail(&self.fail_releases) {
                Some(error) => Err(error),
                None => self.inner.release(name, nonce).await,
            }
        })
    }

    fn hint<'a>(&'a self, name: &'a LockName, nonce: Nonce) -> BoxFuture<'a, ()> {
        self.inner.hint(name, nonce)
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<LockStatus, Error>> {
        self.inner.inspect(name)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<LockStatus>, Error>> {
        self.inner.list(prefix)
    }

    fn break_lock<'a>(&'a self, request: &'a BreakRequest) -> BoxFuture<'a, Result<Broken, Error>> {
        self.inner.break_lock(request)
    }

    fn changed<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        self.inner.changed(prefix)
    }
}
