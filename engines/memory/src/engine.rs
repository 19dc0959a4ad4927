//! The engine: one client of a memory store.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use leasehold_core::record::RegisterEngine;
use leasehold_core::{
    AcquireRequest, Acquired, BoxFuture, BreakRequest, Broken, Capabilities, Engine, EngineUrl,
    Error, ExtendRequest, Extended, LockName, LockStatus, Nonce, Released,
};

use crate::{Fault, MemoryRegister, MemoryStore};

/// One client of a [`MemoryStore`], with a session of its own.
///
/// Dropping it is not the death of its session: what it holds, it holds until it
/// runs out. [`kill`](Self::kill) is.
#[derive(Debug)]
pub struct MemoryEngine {
    store: MemoryStore,
    inner: RegisterEngine<MemoryRegister>,
}

impl MemoryEngine {
    /// The only client of a fresh store.
    #[must_use]
    pub fn new() -> Self {
        Self::of(&MemoryStore::new())
    }

    /// A new client of this store.
    #[must_use]
    pub fn of(store: &MemoryStore) -> Self {
        Self {
            inner: RegisterEngine::new(MemoryRegister::new(store)),
            store: store.clone(),
        }
    }

    /// Opens `memory:`, a fresh store, or `memory:NAME`, the store of that name in
    /// this process.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for another scheme or any key; nothing is held then.
    pub fn from_url(url: EngineUrl) -> Result<Self, Error> {
        if url.scheme() != crate::register::KIND {
            return Err(Error::invalid(
                "url scheme",
                url.scheme(),
                "begin the URL with memory:",
            ));
        }
        let store = match url.body() {
            "" => MemoryStore::new(),
            name => MemoryStore::named(name),
        };
        url.finish()?;
        Ok(Self::of(&store))
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &MemoryStore {
        &self.store
    }

    /// Another client of the same store.
    #[must_use]
    pub fn client(&self) -> Self {
        Self::of(&self.store)
    }

    /// Makes this client dead, as if its process had been killed: its grants and
    /// places in lines are void, waiters are told, and it refuses all requests as
    /// [`Error::Unavailable`].
    pub fn kill(&self) {
        self.inner.register().kill();
    }

    /// Lets the next swaps of this client go wrong, one fault each, after those
    /// injected before.
    pub fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.register().inject(faults);
    }

    /// Makes every read and swap of this client pending so many times before it is
    /// carried out, so that a test can drop it there.
    pub fn set_yields(&self, times: u32) {
        self.inner.register().set_yields(times);
    }
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for MemoryEngine {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn acquire<'a>(
        &'a self,
        request: &'a AcquireRequest,
    ) -> BoxFuture<'a, Result<Acquired, Error>> {
        self.inner.acquire(request)
    }

    fn extend<'a>(&'a self, request: &'a ExtendRequest) -> BoxFuture<'a, Result<Extended, Error>> {
        self.inner.extend(request)
    }

    fn release<'a>(
        &'a self,
        name: &'a LockName,
        nonce: Nonce,
    ) -> BoxFuture<'a, Result<Released, Error>> {
        Box::pin(Carried(Some(self.inner.release(name, nonce)), false))
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

/// A release that is carried out even if it is dropped, once it was polled.
struct Carried<'a>(Option<BoxFuture<'a, Result<Released, Error>>>, bool);

impl Future for Carried<'_> {
    type Output = Result<Released, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.1 = true;
        let Some(release) = self.0.as_mut() else {
            return Poll::Pending;
        };
        let polled = release.as_mut().poll(context);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl Drop for Carried<'_> {
    fn drop(&mut self) {
        if let (Some(mut release), true) = (self.0.take(), self.1) {
            // It never waits for anybody, so this ends.
            let mut context = Context::from_waker(Waker::noop());
            while release.as_mut().poll(&mut context).is_pending() {}
        }
    }
}
