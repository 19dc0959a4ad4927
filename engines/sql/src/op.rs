//! What is asked, and what is answered.

use leasehold_core::record::{Break, Record, Step, View};
use leasehold_core::{
    AcquireRequest, Acquired, BreakRequest, Broken, Error, ExtendRequest, Extended, LockName,
    Nonce, Operation, Released,
};

/// What is asked.
#[derive(Debug)]
pub(crate) enum Op {
    Acquire(Box<AcquireRequest>),
    Extend(ExtendRequest),
    Release(LockName, Nonce),
    Break(BreakRequest),
}

/// What is answered, each to its own question.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Acquired(Acquired),
    Extended(Extended),
    Released(Released),
    Broken(Broken),
}

impl Op {
    pub(crate) fn name(&self) -> &LockName {
        match self {
            Self::Acquire(request) => &request.name,
            Self::Extend(request) => &request.name,
            Self::Release(name, _) => name,
            Self::Break(request) => &request.name,
        }
    }

    pub(crate) const fn operation(&self) -> Operation {
        match self {
            Self::Acquire(_) => Operation::Acquire,
            Self::Extend(_) => Operation::Extend,
            Self::Release(..) => Operation::Release,
            Self::Break(_) => Operation::Break,
        }
    }

    /// Lets it change the record. `unknown` is what an earlier try of it would have
    /// answered, if it is not known whether that was carried out.
    pub(crate) fn step(
        &self,
        record: &mut Record,
        view: &View<'_>,
        unknown: Option<&Answer>,
    ) -> Result<Step<Answer>, Error> {
        Ok(match self {
            Self::Acquire(request) => of(record.acquire(request, view)?, Answer::Acquired),
            Self::Extend(request) => of(record.extend(request, view), Answer::Extended),
            Self::Release(_, nonce) => {
                let mut step = of(record.release(*nonce, view), Answer::Released);
                // Written even if there was nothing to release: an acquire that is
                // still on its way then fails on the version.
                step.changed = true;
                step
            }
            Self::Break(request) => match unknown {
                // Not twice: the lock may be in the next one's hands by now.
                Some(first @ Answer::Broken(broken))
                    if is_recorded(record.last_break.as_ref(), request, broken) =>
                {
                    Step {
                        answer: first.clone(),
                        changed: false,
                        hints: Vec::new(),
                    }
                }
                _ => of(record.break_lock(request, view), Answer::Broken),
            },
        })
    }

    /// The answer, given what an earlier try of it would have answered that may
    /// have been carried out.
    pub(crate) fn settle(&self, answer: Answer, unknown: Option<&Answer>) -> Answer {
        match (answer, unknown) {
            // The try whose outcome was unknown did it.
            (Answer::Released(_), Some(Answer::Released(Released::Released))) => {
                Answer::Released(Released::Released)
            }
            (answer, _) => answer,
        }
    }
}

fn of<T>(step: Step<T>, answer: impl FnOnce(T) -> Answer) -> Step<Answer> {
    Step {
        answer: answer(step.answer),
        changed: step.changed,
        hints: step.hints,
    }
}

fn is_recorded(last: Option<&Break>, request: &BreakRequest, first: &Broken) -> bool {
    last.is_some_and(|last| {
        last.by == request.by
            && last.reason == request.reason
            && last.unix_seconds == request.unix_seconds
            && last
                .ended
                .iter()
                .eq(first.ended.iter().map(|held| &held.token))
    })
}
