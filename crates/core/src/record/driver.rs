//! Makes an engine of a register: read, step, swap, and again if somebody else
//! was faster.

use super::{Hint, Reading, Record, Register, Step, Swap, View};
use crate::{
    AcquireRequest, Acquired, BoxFuture, BreakRequest, Broken, Capabilities, Engine, Error,
    ExtendRequest, Extended, LockName, LockStatus, Nonce, Released,
};

/// How often a swap may lose to others before the store is called unusable. Each
/// loss means that another client got something done.
const MAX_CONFLICTS: u32 = 10_000;

/// An [`Engine`] on any [`Register`].
#[derive(Debug)]
pub struct RegisterEngine<R>(R);

/// What [`RegisterEngine::drive`] came to.
struct Driven<T> {
    answer: T,
    /// An earlier swap of the same request may have been carried out.
    retried: bool,
}

impl<R: Register> RegisterEngine<R> {
    /// An engine on this register.
    pub const fn new(register: R) -> Self {
        Self(register)
    }

    /// The register beneath.
    pub const fn register(&self) -> &R {
        &self.0
    }

    /// Runs one step until it is written. An unknown outcome is settled by reading
    /// back and stepping again: each step finds its own nonce, so it does no harm
    /// twice, and whichever swap comes second fails on the version.
    async fn drive<T>(
        &self,
        name: &LockName,
        mut step: impl FnMut(&mut Record, &View<'_>) -> Result<Step<T>, Error>,
    ) -> Result<Driven<T>, Error> {
        let mut unknown: Option<Error> = None;
        for _ in 0..MAX_CONFLICTS {
            let reading = match self.0.read(name).await {
                Ok(reading) => reading,
                Err(error) => return Err(unknown.unwrap_or(error)),
            };
            let mut record = reading.record.clone();
            let Step {
                answer,
                changed,
                hints,
            } = self.view(&reading, |v| step(&mut record, v))?;
            let swapped = match changed {
                true => self.0.swap(name, &reading.version, &record).await,
                false => Ok(Swap::Swapped),
            };
            match swapped {
                Ok(Swap::Swapped) => {
                    self.wake(name, &hints);
                    return Ok(Driven {
                        answer,
                        retried: unknown.is_some(),
                    });
                }
                Ok(Swap::Conflict) => {}
                Err(error) if error.may_be_held() && unknown.is_none() => unknown = Some(error),
                Err(error) => return Err(unknown.unwrap_or(error)),
            }
        }
        Err(unknown.unwrap_or_else(|| {
            Error::unavailable(
                self.0.kind(),
                format!("lock {name:?} was changed by others {MAX_CONFLICTS} times in a row"),
                "check that the store's compare-and-swap works",
            )
        }))
    }

    fn view<T>(&self, reading: &Reading<R::Version>, f: impl FnOnce(&View<'_>) -> T) -> T {
        f(&View {
            now: reading.now,
            floor: reading.floor,
            session: self.0.session(),
            is_dead: &|session| self.0.is_dead(session),
        })
    }

    fn wake(&self, name: &LockName, hints: &[Hint]) {
        if !hints.is_empty() {
            self.0.wake(name, hints);
        }
    }
}

impl<R: Register> Engine for RegisterEngine<R> {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn acquire<'a>(
        &'a self,
        request: &'a AcquireRequest,
    ) -> BoxFuture<'a, Result<Acquired, Error>> {
        Box::pin(async move {
            if request.queue.is_some() {
                self.0.expect(&request.name, request.nonce);
            }
            let driven = self.drive(&request.name, |record, view| record.acquire(request, view));
            let answer = driven.await.map(|driven| driven.answer);
            if !matches!(answer, Ok(Acquired::Queued(_))) {
                self.0.forget(&request.name, request.nonce);
            }
            answer
        })
    }

    fn extend<'a>(&'a self, request: &'a ExtendRequest) -> BoxFuture<'a, Result<Extended, Error>> {
        Box::pin(async move {
            let driven = self.drive(&request.name, |record, view| {
                Ok(record.extend(request, view))
            });
            driven.await.map(|driven| driven.answer)
        })
    }

    fn release<'a>(
        &'a self,
        name: &'a LockName,
        nonce: Nonce,
    ) -> BoxFuture<'a, Result<Released, Error>> {
        Box::pin(async move {
            self.0.forget(name, nonce);
            let driven = self
                .drive(name, |record, view| Ok(record.release(nonce, view)))
                .await?;
            // The try whose outcome was unknown did it.
            Ok(if driven.retried {
                Released::Released
            } else {
                driven.answer
            })
        })
    }

    fn hint<'a>(&'a self, name: &'a LockName, nonce: Nonce) -> BoxFuture<'a, ()> {
        self.0.hinted(name, nonce)
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<LockStatus, Error>> {
        Box::pin(async move {
            let reading = self.0.read(name).await?;
            Ok(self.view(&reading, |view| reading.record.status(name.clone(), view)))
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<LockStatus>, Error>> {
        Box::pin(async move {
            let records = self.0.list(prefix).await?;
            let statuses = records.into_iter().map(|(name, reading)| {
                self.view(&reading, |view| reading.record.status(name, view))
            });
            Ok(statuses.filter(LockStatus::is_in_use).collect())
        })
    }

    fn break_lock<'a>(&'a self, request: &'a BreakRequest) -> BoxFuture<'a, Result<Broken, Error>> {
        Box::pin(async move {
            let driven = self.drive(&request.name, |record, view| {
                Ok(record.break_lock(request, view))
            });
            driven.await.map(|driven| driven.answer)
        })
    }

    fn changed<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        self.0.changed(prefix)
    }
}
