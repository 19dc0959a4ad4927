//! One client of a flawed store.

use std::collections::{HashMap, HashSet};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leasehold_core::{
    AcquireRequest, Acquired, BoxFuture, BreakRequest, Broken, Capabilities, Engine, Error,
    ExtendRequest, Extended, Granted, LockName, LockStatus, Mode, Nonce, Queued, Released, Token,
    Ttl,
};
use leasehold_memory::{MemoryEngine, MemoryStore};

use super::Flaw;

/// What the clients of a flawed store share.
#[derive(Default)]
pub(crate) struct Shared {
    /// Tokens, where the flaw is about how they count.
    tokens: Mutex<HashMap<LockName, u64>>,
    /// Grants that were given such a token.
    granted: Mutex<HashMap<Nonce, u64>>,
    /// Acquires that were dropped and come later.
    later: Mutex<Vec<AcquireRequest>>,
    /// Names that were locked.
    names: Mutex<HashSet<LockName>>,
}

impl Shared {
    pub(crate) fn collected(&self) {
        self.tokens.lock().unwrap().clear();
    }
}

pub(crate) struct FlawedEngine {
    flaw: Flaw,
    inner: MemoryEngine,
    shared: Arc<Shared>,
}

impl FlawedEngine {
    pub(crate) fn new(flaw: Flaw, store: &MemoryStore, shared: &Arc<Shared>) -> Self {
        Self {
            flaw,
            inner: store.client(),
            shared: Arc::clone(shared),
        }
    }

    /// What the memory engine is asked instead.
    fn twisted(&self, request: &AcquireRequest) -> AcquireRequest {
        let mut twisted = request.clone();
        match self.flaw {
            Flaw::ExclusiveIsShared => twisted.mode = Mode::Shared,
            Flaw::SharedIsExclusive if request.mode == Mode::Shared => {
                twisted.mode = Mode::Exclusive;
            }
            Flaw::OnePermitMore => {
                if let Mode::Permit(n) = request.mode {
                    twisted.mode = Mode::Permit(n.saturating_add(1));
                }
            }
            Flaw::NamesIgnoreCase => twisted.name = lower(&request.name),
            Flaw::NoOrder => twisted.queue = None,
            Flaw::PlacesLastForEver => {
                twisted.queue = request.queue.map(|_| Duration::from_secs(3600));
            }
            Flaw::NoExpiry => twisted.ttl = Ttl::MAX,
            Flaw::NoGrace => twisted.grace = Duration::ZERO,
            Flaw::RepeatsAreStrangers => twisted.nonce = self.stranger(request.nonce),
            Flaw::BusyWaits => {
                twisted.queue = request.queue.or(Some(Duration::from_secs(3600)));
            }
            _ => {}
        }
        twisted
    }

    /// A nonce of its own for every repeat.
    fn stranger(&self, nonce: Nonce) -> Nonce {
        let mut granted = self.shared.granted.lock().unwrap();
        let times = granted.entry(nonce).or_default();
        *times += 1;
        let mut bytes = *nonce.as_bytes();
        bytes[0] ^= u8::try_from(*times - 1).unwrap();
        Nonce::from_bytes(bytes)
    }

    /// The answer that the caller is given instead.
    fn twist(&self, request: &AcquireRequest, answer: Acquired) -> Acquired {
        match (self.flaw, answer) {
            (Flaw::TokenResets | Flaw::CollectionForgets, Acquired::Granted(_)) => {
                let mut granted = self.shared.granted.lock().unwrap();
                let token = *granted.entry(request.nonce).or_insert_with(|| {
                    let mut tokens = self.shared.tokens.lock().unwrap();
                    let token = tokens.entry(request.name.clone()).or_default();
                    *token += 1;
                    *token
                });
                Acquired::Granted(Granted::whole(Token::new(token).unwrap()))
            }
            (Flaw::NoOrder, Acquired::Busy(holders)) if request.queue.is_some() => {
                Acquired::Queued(Queued {
                    ahead: 0,
                    holders,
                    recheck_after: Duration::from_millis(5),
                })
            }
            (Flaw::BusyWaits, Acquired::Queued(queued)) if request.queue.is_none() => {
                Acquired::Busy(queued.holders)
            }
            (_, answer) => answer,
        }
    }
}

fn lower(name: &LockName) -> LockName {
    LockName::new(name.as_str().to_lowercase()).unwrap()
}

/// Is pending once.
fn later() -> impl Future<Output = ()> + Send {
    let mut polled = false;
    poll_fn(move |context| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

/// An acquire that is carried out after the next release, if it is dropped.
struct ComesLater<'a> {
    inner: Option<BoxFuture<'a, Result<Acquired, Error>>>,
    polled: bool,
    shared: &'a Shared,
    request: &'a AcquireRequest,
}

impl Future for ComesLater<'_> {
    type Output = Result<Acquired, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if !std::mem::replace(&mut self.polled, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let inner = self.inner.take().expect("polled on after it was ready");
        // Memory answers at once.
        let mut inner = inner;
        inner.as_mut().poll(context)
    }
}

impl Drop for ComesLater<'_> {
    fn drop(&mut self) {
        if self.polled && self.inner.is_some() {
            self.shared.later.lock().unwrap().push(self.request.clone());
        }
    }
}

impl Engine for FlawedEngine {
    fn kind(&self) -> &'static str {
        "flawed"
    }

    fn capabilities(&self) -> Capabilities {
        let mut can = self.inner.capabilities();
        can.shared = self.flaw != Flaw::HidesShared;
        can
    }

    fn acquire<'a>(
        &'a self,
        request: &'a AcquireRequest,
    ) -> BoxFuture<'a, Result<Acquired, Error>> {
        self.shared
            .names
            .lock()
            .unwrap()
            .insert(request.name.clone());
        match self.flaw {
            Flaw::DroppedAcquireComesLater => Box::pin(ComesLater {
                inner: Some(self.inner.acquire(request)),
                polled: false,
                shared: &self.shared,
                request,
            }),
            Flaw::RefusesShared if request.mode == Mode::Shared => {
                Box::pin(async { Err(Error::unsupported("flawed", "shared locks", "do without")) })
            }
            _ => Box::pin(async move {
                let answer = self.inner.acquire(&self.twisted(request)).await?;
                Ok(self.twist(request, answer))
            }),
        }
    }

    fn extend<'a>(&'a self, request: &'a ExtendRequest) -> BoxFuture<'a, Result<Extended, Error>> {
        Box::pin(async move {
            match self.flaw {
                Flaw::ExtendDoesNothing => return Ok(Extended::Extended),
                Flaw::NamesIgnoreCase => {
                    let name = lower(&request.name);
                    let request = ExtendRequest {
                        name,
                        ..request.clone()
                    };
                    return self.inner.extend(&request).await;
                }
                _ => {}
            }
            let answer = self.inner.extend(request).await?;
            if answer == Extended::Lost && self.flaw == Flaw::ExtendRevives {
                let acquire = AcquireRequest {
                    name: request.name.clone(),
                    nonce: request.nonce,
                    owner: "revived".into(),
                    mode: Mode::Exclusive,
                    ttl: request.ttl,
                    grace: Duration::ZERO,
                    lifetime: leasehold_core::Lifetime::Detached,
                    queue: None,
                };
                if let Acquired::Granted(_) = self.inner.acquire(&acquire).await? {
                    return Ok(Extended::Extended);
                }
            }
            Ok(answer)
        })
    }

    fn release<'a>(
        &'a self,
        name: &'a LockName,
        nonce: Nonce,
    ) -> BoxFuture<'a, Result<Released, Error>> {
        Box::pin(async move {
            match self.flaw {
                Flaw::ReleaseStopsWhenDropped => later().await,
                Flaw::TokenResets => {
                    self.shared.tokens.lock().unwrap().remove(name);
                    self.shared.granted.lock().unwrap().remove(&nonce);
                }
                Flaw::CollectionForgets => {
                    self.shared.granted.lock().unwrap().remove(&nonce);
                }
                Flaw::NamesIgnoreCase => return self.inner.release(&lower(name), nonce).await,
                Flaw::ReleaseIgnoresNonce => {
                    let holders = self.inner.inspect(name).await?.holders;
                    let nonce = holders.first().map_or(nonce, |holder| holder.nonce);
                    return self.inner.release(name, nonce).await;
                }
                _ => {}
            }
            let answer = self.inner.release(name, nonce).await?;
            let dropped = std::mem::take(&mut *self.shared.later.lock().unwrap());
            for request in dropped {
                self.inner.acquire(&request).await?;
            }
            Ok(match self.flaw {
                Flaw::ReleaseAlwaysSucceeds => Released::Released,
                _ => answer,
            })
        })
    }

    fn hint<'a>(&'a self, name: &'a LockName, nonce: Nonce) -> BoxFuture<'a, ()> {
        match self.flaw {
            Flaw::NoHints => Box::pin(pending()),
            Flaw::HintsNotKept => {
                // Whatever came before is read and forgotten.
                let mut before = self.inner.hint(name, nonce);
                let mut context = Context::from_waker(Waker::noop());
                match before.as_mut().poll(&mut context) {
                    Poll::Ready(()) => self.inner.hint(name, nonce),
                    Poll::Pending => before,
                }
            }
            _ => self.inner.hint(name, nonce),
        }
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<LockStatus, Error>> {
        Box::pin(async move {
            let mut status = match self.flaw {
                Flaw::NamesIgnoreCase => self.inner.inspect(&lower(name)).await?,
                _ => self.inner.inspect(name).await?,
            };
            if self.flaw == Flaw::BreakUnrecorded {
                status.last_break = None;
            }
            Ok(status)
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<LockStatus>, Error>> {
        Box::pin(async move {
            match self.flaw {
                Flaw::PrefixIsPattern => {
                    let mut all = self.inner.list("").await?;
                    // What LIKE makes of a prefix that is not escaped.
                    all.retain(|status| {
                        let mut name = status.name.as_str().chars();
                        let pattern = prefix.trim_end_matches('%');
                        pattern
                            .chars()
                            .all(|p| name.next().is_some_and(|c| p == '_' || p == c))
                    });
                    Ok(all)
                }
                Flaw::ListsFreeLocks => {
                    let names = self.shared.names.lock().unwrap().clone();
                    let mut names: Vec<_> = names.into_iter().collect();
                    names.retain(|name| name.as_str().starts_with(prefix));
                    names.sort();
                    let mut all = Vec::new();
                    for name in names {
                        all.push(self.inner.inspect(&name).await?);
                    }
                    Ok(all)
                }
                _ => self.inner.list(prefix).await,
            }
        })
    }

    fn break_lock<'a>(&'a self, request: &'a BreakRequest) -> BoxFuture<'a, Result<Broken, Error>> {
        Box::pin(async move {
            if self.flaw != Flaw::BreakKeepsFloor {
                return self.inner.break_lock(request).await;
            }
            let status = self.inner.inspect(&request.name).await?;
            for holder in &status.holders {
                self.inner.release(&request.name, holder.nonce).await?;
            }
            Ok(Broken {
                ended: status.held_by(),
                floor: status.floor,
                at: leasehold_core::StoreTime::default(),
            })
        })
    }

    fn changed<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        match self.flaw {
            Flaw::NeverChanges => Box::pin(pending()),
            _ => self.inner.changed(prefix),
        }
    }
}
