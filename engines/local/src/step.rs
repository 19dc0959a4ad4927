//! One request, carried out inside a transaction.

use leasehold_core::record::{Hint, Record, Step, View};
use leasehold_core::{
    AcquireRequest, Acquired, BreakRequest, Broken, Error, ExtendRequest, Extended, LockName,
    Nonce, Operation, Released, SessionId, StoreTime, Token,
};

use crate::reserve;
use crate::sessions::Sessions;
use crate::store::{Meta, Store, StoredLock};

/// What is asked.
#[derive(Debug)]
pub(crate) enum Op {
    Acquire {
        request: AcquireRequest,
        session: Option<SessionId>,
    },
    Extend(ExtendRequest),
    Release {
        name: LockName,
        nonce: Nonce,
    },
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

/// A request that was carried out, once the transaction is committed.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) answer: Answer,
    /// Whom to wake.
    pub(crate) hints: Vec<Hint>,
    /// Whose death the request waits for, if it waits.
    pub(crate) awaited: Vec<SessionId>,
    /// The record as it was written, if it was.
    pub(crate) written: Option<Vec<u8>>,
    /// If tokens run low: the greatest there is.
    pub(crate) low: Option<Token>,
}

/// Why a request was not carried out.
#[derive(Debug)]
pub(crate) enum Fault {
    /// This request cannot be; others of the same transaction can.
    Refused(Error),
    /// The transaction is broken.
    Sqlite(rusqlite::Error),
    /// Tokens up to this one must be reserved first.
    Unreserved(Token),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// What all requests of one transaction share.
pub(crate) struct Frame<'a> {
    pub(crate) store: &'a Store,
    pub(crate) meta: Meta,
    pub(crate) now: StoreTime,
    pub(crate) sessions: &'a Sessions,
}

impl Op {
    pub(crate) fn name(&self) -> &LockName {
        match self {
            Self::Acquire { request, .. } => &request.name,
            Self::Extend(request) => &request.name,
            Self::Release { name, .. } => name,
            Self::Break(request) => &request.name,
        }
    }

    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Acquire { .. } => Operation::Acquire,
            Self::Extend(_) => Operation::Extend,
            Self::Release { .. } => Operation::Release,
            Self::Break(_) => Operation::Break,
        }
    }

    /// Whether there is no harm in leaving it out once nobody waits for the answer.
    pub(crate) fn may_be_skipped(&self) -> bool {
        matches!(self, Self::Acquire { .. } | Self::Extend(_))
    }

    fn session(&self) -> Option<SessionId> {
        match self {
            Self::Acquire { session, .. } => *session,
            _ => None,
        }
    }

    fn step(&self, record: &mut Record, view: &View<'_>) -> Result<Step<Answer>, Error> {
        Ok(match self {
            Self::Acquire { request, .. } => of(record.acquire(request, view)?, Answer::Acquired),
            Self::Extend(request) => of(record.extend(request, view), Answer::Extended),
            Self::Release { nonce, .. } => of(record.release(*nonce, view), Answer::Released),
            Self::Break(request) => of(record.break_lock(request, view), Answer::Broken),
        })
    }
}

fn of<T>(step: Step<T>, answer: impl FnOnce(T) -> Answer) -> Step<Answer> {
    Step {
        answer: answer(step.answer),
        changed: step.changed,
        hints: step.hints,
    }
}

impl Frame<'_> {
    /// Reads the record, lets the request change it, and writes it back.
    pub(crate) fn perform(&self, op: &Op) -> Result<Done, Fault> {
        let stored = self.store.load(op.name())?;
        let mut record = self.record(op, stored.as_ref()).map_err(Fault::Refused)?;
        let before = record.token;
        let view = View {
            now: self.now,
            floor: self.meta.floor,
            session: op.session(),
            is_dead: &|session| self.sessions.is_dead(session),
        };
        let step = op.step(&mut record, &view).map_err(Fault::Refused)?;
        if record.token > before && record.token > self.meta.settled {
            return Err(Fault::Unreserved(record.token));
        }
        let written = step.changed.then(|| record.encode());
        if let Some(bytes) = &written {
            let id = stored.map(|stored| stored.id);
            self.store.save(id, op.name(), record.token, bytes)?;
        }
        Ok(Done {
            awaited: awaited(&step.answer, &record, op.session()),
            answer: step.answer,
            hints: step.hints,
            written,
            low: (record.token > before
                && reserve::is_running_low(self.store.block(), record.token, self.meta.settled))
            .then_some(self.meta.settled),
        })
    }

    fn record(&self, op: &Op, stored: Option<&StoredLock>) -> Result<Record, Error> {
        let Some(stored) = stored else {
            return Ok(Record::new());
        };
        match stored.record(op.name(), self.store.boot()) {
            // A break starts a damaged record anew, above every token it may have
            // granted.
            Err(Error::Damaged { .. }) if matches!(op, Op::Break(_)) => {
                let mut record = Record::new();
                record.token = stored.token().unwrap_or(self.meta.settled);
                Ok(record)
            }
            record => record,
        }
    }
}

/// The sessions of the holders that a queued request waits for, without its own.
fn awaited(answer: &Answer, record: &Record, own: Option<SessionId>) -> Vec<SessionId> {
    let Answer::Acquired(Acquired::Queued(_)) = answer else {
        return Vec::new();
    };
    let sessions = record.grants.iter().filter_map(|grant| grant.session);
    sessions.filter(|session| Some(*session) != own).collect()
}
