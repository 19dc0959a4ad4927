//! Makes an engine of a register: read, step, swap, and again if somebody else
//! was faster.

use super::{Hint, Reading, Record, Register, Step, Swap, View};
use crate::{
    AcquireRequest, Acquired, BoxFuture, BreakRequest, Broken, Capabilities, Engine, Error,
    ExtendRequest, Extended, LockName, LockStatus, Nonce, Operation, Released,
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
    /// What an earlier swap of the same request would have answered, if it is not
    /// known whether it was carried out.
    unknown: Option<T>,
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
        operation: Operation,
        mut step: impl FnMut(&mut Record, &View<'_>, Option<&T>) -> Result<Step<T>, Error>,
    ) -> Result<Driven<T>, Error> {
        let mut unknown: Option<(Error, T)> = None;
        let name_it = |error| match error {
            Error::Indeterminate { engine, detail, .. } => Error::Indeterminate {
                operation,
                engine,
                detail,
            },
            error => error,
        };
        for _ in 0..MAX_CONFLICTS {
            let reading = match self.0.read(name).await {
                Ok(reading) => reading,
                Err(error) => return Err(unknown.map_or(error, |(first, _)| first)),
            };
            let mut record = reading.record.clone();
            let Step {
                answer,
                changed,
                hints,
            } = self.view(&reading, |view| {
                step(
                    &mut record,
                    view,
                    unknown.as_ref().map(|(_, answer)| answer),
                )
            })?;
            let swapped = match changed {
                true => self.0.swap(name, &reading.version, &record).await,
                false => Ok(Swap::Swapped),
            };
            match swapped {
                Ok(Swap::Swapped) => {
                    self.wake(name, &hints);
                    return Ok(Driven {
                        answer,
                        unknown: unknown.map(|(_, answer)| answer),
                    });
                }
                Ok(Swap::Conflict) => {}
                Err(error) if error.may_be_held() && unknown.is_none() => {
                    // In case it was carried out; a hint too many does no harm.
                    self.wake(name, &hints);
                    unknown = Some((name_it(error), answer));
                }
                Err(error) => {
                    return Err(unknown.map_or_else(|| name_it(error), |(first, _)| first));
                }
            }
        }
        Err(unknown.map_or_else(
            || {
                Error::unavailable(
                    self.0.kind(),
                    format!("lock {name:?} was changed by others {MAX_CONFLICTS} times in a row"),
                    "check that the store's compare-and-swap works",
                )
            },
            |(first, _)| first,
        ))
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
            let driven = self.drive(&request.name, Operation::Acquire, |record, view, _| {
                record.acquire(request, view)
            });
            let answer = driven.await.map(|driven| driven.answer);
            if !matches!(answer, Ok(Acquired::Queued(_))) {
                self.0.forget(&request.name, request.nonce);
            }
            answer
        })
    }

    fn extend<'a>(&'a self, request: &'a ExtendRequest) -> BoxFuture<'a, Result<Extended, Error>> {
        Box::pin(async move {
            let driven = self.drive(&request.name, Operation::Extend, |record, view, _| {
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
                .drive(name, Operation::Release, |record, view, _| {
                    let mut step = record.release(nonce, view);
                    // Written even if there was nothing to release: a swap of an
                    // acquire that is still on its way then fails on the version.
                    step.changed = true;
                    Ok(step)
                })
                .await?;
            // The try whose outcome was unknown did it.
            Ok(match driven.unknown {
                Some(Released::Released) => Released::Released,
                _ => driven.answer,
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
            let driven = self.drive(&request.name, Operation::Break, |record, view, unknown| {
                Ok(match unknown {
                    // Not twice: the lock may be in the next one's hands by now.
                    Some(first) if was_broken(record, request, first) => Step {
                        answer: first.clone(),
                        changed: false,
                        hints: Vec::new(),
                    },
                    _ => record.break_lock(request, view),
                })
            });
            driven.await.map(|driven| driven.answer)
        })
    }

    fn changed<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        self.0.changed(prefix)
    }
}

/// Whether a break whose outcome was not known turns out to have been carried out,
/// or to have nothing left to do.
fn was_broken(record: &Record, request: &BreakRequest, first: &Broken) -> bool {
    let tokens: Vec<_> = first.ended.iter().map(|ended| ended.token).collect();
    let recorded = record.last_break.as_ref().is_some_and(|b| {
        b.by == request.by
            && b.reason == request.reason
            && b.unix_seconds == request.unix_seconds
            && b.ended == tokens
    });
    let none_left = !record.grants.iter().any(|g| tokens.contains(&g.token));
    recorded || (none_left && !tokens.is_empty())
}
