//! The record machine as shipped, or with one of its rules broken: what the checks
//! of it must pass, and what they must notice. Shared with the model check in
//! `sim/`.

use leasehold_core::record::{Record, Step, View};
use leasehold_core::{
    AcquireRequest, Acquired, BreakRequest, Broken, Error, ExtendRequest, Extended, Mode, Nonce,
    Released, Token,
};

/// A rule broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A request that fits is granted although others wait.
    Barging,
    /// A request for a permit is granted beside n others.
    OneTooMany,
    /// A grant is dropped when half of its TTL is over.
    EndsEarly,
    /// Asking again does not keep a place in the line.
    ForgetsRefresh,
    /// The dead are waited for like the living.
    IgnoresDeath,
    /// A handover that nobody claims does not pass on.
    KeepsHandover,
    /// What was dropped for good is not reported as a change.
    HidesChange,
    /// An extend within the grace succeeds.
    ExtendRevives,
    /// An extend to a shorter TTL brings the end forward.
    ExtendShortens,
    /// A release of an unknown nonce takes somebody else's grant.
    ReleasesOthers,
    /// A release frees the lock and leaves the line as it is.
    DropsHandover,
    /// A release hands over and tells nobody.
    DropsHints,
    /// A release of the last grant forgets the record, token and all.
    TokenReset,
    /// Collecting a record does not raise the store's floor.
    FoldsNothing,
}

/// The machine under test.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Machine {
    /// What is wrong with it; nothing, as shipped.
    pub(crate) flaw: Option<Flaw>,
}

impl Machine {
    pub(crate) const SHIPPED: Self = Self { flaw: None };

    pub(crate) const fn with(flaw: Flaw) -> Self {
        Self { flaw: Some(flaw) }
    }

    pub(crate) fn acquire(
        &self,
        record: &mut Record,
        request: &AcquireRequest,
        view: &View<'_>,
    ) -> Result<Step<Acquired>, Error> {
        let known = record.grants.iter().any(|g| g.nonce == request.nonce)
            || record.waiters.iter().any(|w| w.nonce == request.nonce);
        match self.flaw {
            Some(Flaw::Barging) if !known => {
                let mut alone = record.clone();
                let mut line = std::mem::take(&mut alone.waiters);
                match alone.acquire(request, view) {
                    Ok(step) if matches!(step.answer, Acquired::Granted(_)) => {
                        *record = alone;
                        record.waiters.append(&mut line);
                        Ok(step)
                    }
                    _ => record.acquire(request, view),
                }
            }
            Some(Flaw::OneTooMany) if !known && matches!(request.mode, Mode::Permit(_)) => {
                let hidden = record.grants.pop();
                let step = record.acquire(request, view);
                record.grants.extend(hidden);
                step
            }
            Some(Flaw::EndsEarly) => {
                record
                    .grants
                    .retain(|g| view.now.saturating_since(g.renewed) < g.ttl / 2);
                let mut step = record.acquire(request, view)?;
                step.changed = true;
                Ok(step)
            }
            Some(Flaw::IgnoresDeath) => record.acquire(
                request,
                &View {
                    now: view.now,
                    floor: view.floor,
                    session: view.session,
                    is_dead: &|_| false,
                },
            ),
            Some(Flaw::KeepsHandover) => {
                let others = |nonce: &Nonce| *nonce != request.nonce;
                for grant in record.grants.iter_mut().filter(|g| others(&g.nonce)) {
                    if grant.unclaimed.is_some() {
                        grant.renewed = view.now;
                    }
                }
                let mut step = record.acquire(request, view)?;
                step.changed = true;
                Ok(step)
            }
            Some(Flaw::ForgetsRefresh) => {
                let before: Vec<_> = record.waiters.clone();
                let step = record.acquire(request, view);
                for waiter in &mut record.waiters {
                    if let Some(old) = before.iter().find(|old| old.nonce == waiter.nonce) {
                        waiter.refreshed = old.refreshed;
                    }
                }
                step
            }
            Some(Flaw::HidesChange) => {
                let mut step = record.acquire(request, view)?;
                step.changed &= !matches!(step.answer, Acquired::Busy(_));
                Ok(step)
            }
            _ => record.acquire(request, view),
        }
    }

    pub(crate) fn extend(
        &self,
        record: &mut Record,
        request: &ExtendRequest,
        view: &View<'_>,
    ) -> Step<Extended> {
        let mut step = record.extend(request, view);
        let grant = record.grants.iter_mut().find(|g| g.nonce == request.nonce);
        match (self.flaw, grant) {
            (Some(Flaw::ExtendRevives), Some(grant)) => {
                grant.renewed = view.now;
                (step.answer, step.changed) = (Extended::Extended, true);
            }
            (Some(Flaw::ExtendShortens), Some(grant)) if step.changed => {
                grant.ttl = request.ttl.get();
            }
            _ => {}
        }
        step
    }

    pub(crate) fn release(
        &self,
        record: &mut Record,
        nonce: Nonce,
        view: &View<'_>,
    ) -> Step<Released> {
        let held = record.grants.iter().position(|g| g.nonce == nonce);
        match (self.flaw, held) {
            (Some(Flaw::ReleasesOthers), None) if record.grants.pop().is_some() => Step {
                answer: Released::Released,
                changed: true,
                hints: Vec::new(),
            },
            (Some(Flaw::DropsHandover), Some(at)) => {
                record.grants.remove(at);
                record.changed = view.now;
                Step {
                    answer: Released::Released,
                    changed: true,
                    hints: Vec::new(),
                }
            }
            (Some(Flaw::DropsHints), _) => {
                let mut step = record.release(nonce, view);
                step.hints.clear();
                step
            }
            (Some(Flaw::TokenReset), Some(_)) => {
                let step = record.release(nonce, view);
                if record.is_idle() {
                    *record = Record::new();
                    record.changed = view.now;
                }
                step
            }
            _ => record.release(nonce, view),
        }
    }

    pub(crate) fn break_lock(
        &self,
        record: &mut Record,
        request: &BreakRequest,
        view: &View<'_>,
    ) -> Step<Broken> {
        record.break_lock(request, view)
    }

    /// The store's floor after collecting an idle record.
    pub(crate) fn fold(&self, record: &Record, floor: Token) -> Token {
        match self.flaw {
            Some(Flaw::FoldsNothing) => floor,
            _ => record.folded_into(floor),
        }
    }
}
