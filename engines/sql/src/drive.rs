//! How a request becomes a write: by what is known of the row, or else by reading
//! it; and again if somebody else was faster.

use leasehold_core::record::{Hint, Record, Step, View};
use leasehold_core::{
    AcquireRequest, Acquired, Error, Extended, Instant, LockName, LockStatus, Nonce, Released,
    StoreTime, Token,
};

use crate::clock;
use crate::fail::Kind;
use crate::hub::Hub;
use crate::known::Known;
use crate::op::{Answer, Op};
use crate::row::{Columns, Micros, Row, Seen, Write, Wrote, era_floor, store_time};

/// How often a write may lose to others before the store is called unusable. Each
/// loss means that another client got something done.
const MAX_CONFLICTS: u32 = 10_000;

/// What a request goes by.
struct Base {
    record: Record,
    /// The version it replaces; `None` if there is no row.
    expected: Option<i64>,
    era: String,
    /// The moment that the record's new date will stand for.
    now: StoreTime,
    how: How,
    /// The record must be written even if the request changes nothing in it.
    forced: bool,
}

/// Where a [`Base`] is from.
enum How {
    /// The row was read at this time of the server's.
    Read(Seen),
    /// The row is believed to be as this client left it.
    Known(Known),
    /// It is believed that there is none.
    New,
}

/// Carries a request out, after those of the same name that came before.
pub(crate) async fn carry_out(hub: &Hub, op: &Op) -> Result<Answer, Error> {
    let _turn = hub.turn(op.name()).await;
    let mut unknown: Option<(Error, Answer)> = None;
    let mut next = guess(hub, op);
    for _ in 0..MAX_CONFLICTS {
        let base = match next.take() {
            Some(base) => base,
            None => match look(hub, op).await {
                Ok(base) => base,
                Err(error) => return Err(unknown.map_or(error, |(first, _)| first)),
            },
        };
        let was_unknown = unknown.as_ref().map(|(_, answer)| answer);
        let mut record = base.record.clone();
        let step = step(hub, op, &base, &mut record, was_unknown)?;
        if !base.is_read() && !is_worth_a_try(&step) {
            continue;
        }
        if !step.changed && !base.forced {
            return Ok(op.settle(step.answer, was_unknown));
        }
        record.changed = base.now;
        let version = hub.versions.next();
        match write(hub, op, &base, version, &record, &step).await {
            Ok(Wrote::Done { written, seen }) => {
                let answer = corrected(op, &base, written, step.answer);
                hub.wake(&step.hints);
                let received = base.received(&seen);
                hub.memory.keep(
                    op.name(),
                    Known {
                        record,
                        version,
                        era: base.era,
                        written,
                        received,
                    },
                );
                return Ok(op.settle(answer, was_unknown));
            }
            Ok(Wrote::Not(Some(seen))) => next = Some(Base::read(op, seen)?),
            Ok(Wrote::Not(None)) => {}
            Err(error) if error.may_be_held() && unknown.is_none() => {
                // In case it was carried out; a hint too many does no harm.
                hub.wake(&step.hints);
                unknown = Some((error, step.answer));
            }
            Err(error) => return Err(unknown.map_or(error, |(first, _)| first)),
        }
    }
    Err(unknown.map_or_else(|| contested(hub, op.name()), |(first, _)| first))
}

/// The lock as it stands.
pub(crate) async fn inspect(hub: &Hub, name: &LockName) -> Result<LockStatus, Error> {
    let seen = hub.look(name).await;
    let seen = seen.map_err(|trouble| trouble.into_error(hub.kind()))?;
    status(hub, name, &seen)
}

/// The locks in use whose names start with a prefix. Skips records that are damaged,
/// of which [`inspect`] tells.
pub(crate) async fn list(hub: &Hub, prefix: &str) -> Result<Vec<LockStatus>, Error> {
    let rows = hub.backend.list(prefix).await;
    let rows = rows.map_err(|trouble| trouble.into_error(hub.kind()))?;
    let all = rows.iter().filter_map(|(name, seen)| {
        let name = LockName::new(name).ok()?;
        status(hub, &name, seen).ok()
    });
    Ok(all.filter(LockStatus::is_in_use).collect())
}

fn status(hub: &Hub, name: &LockName, seen: &Seen) -> Result<LockStatus, Error> {
    let (record, now, _) = understood(name, seen)?;
    let floor = record.floor;
    Ok(record.status(name.clone(), &view(hub, now, floor)))
}

/// What can be tried without reading the row: a round trip less if it is right.
fn guess(hub: &Hub, op: &Op) -> Option<Base> {
    let Some(known) = hub.memory.take(op.name()) else {
        return new_row(hub, op);
    };
    let own = |nonce: Nonce| known.record.grants.iter().all(|grant| grant.nonce == nonce);
    let fits = match op {
        Op::Acquire(_) => known.record.is_idle(),
        Op::Extend(request) => !known.record.is_idle() && own(request.nonce),
        Op::Release(_, nonce) => !known.record.is_idle() && own(*nonce),
        Op::Break(_) => false,
    };
    fits.then(|| Base {
        record: known.record.clone(),
        expected: Some(known.version),
        era: known.era.clone(),
        now: known
            .record
            .changed
            .saturating_add(known.least_age(clock::now())),
        how: How::Known(known),
        forced: false,
    })
}

/// A name that this client has not used may be one that nobody has.
fn new_row(hub: &Hub, op: &Op) -> Option<Base> {
    let (now, era) = match op {
        Op::Acquire(_) => hub.server()?,
        _ => return None,
    };
    Some(Base {
        record: fresh(now),
        expected: None,
        era,
        now: store_time(now),
        how: How::New,
        forced: false,
    })
}

/// The record of a name without a row, which may have had one that was lost.
fn fresh(now: Micros) -> Record {
    let mut record = Record::new();
    record.floor = era_floor(now);
    record
}

async fn look(hub: &Hub, op: &Op) -> Result<Base, Error> {
    match hub.look(op.name()).await {
        Ok(seen) => Base::read(op, seen),
        Err(trouble) => Err(trouble.into_error(hub.kind())),
    }
}

impl Base {
    fn read(op: &Op, seen: Seen) -> Result<Self, Error> {
        let (record, now, forced) = match (understood(op.name(), &seen), op, &seen.row) {
            // A break starts a damaged record anew, above every token it may have
            // granted.
            (Err(Error::Damaged { .. }), Op::Break(_), Some(row)) => {
                let mut record = fresh(seen.now);
                record.token = last_token(row);
                (record, store_time(seen.now), true)
            }
            (understood, ..) => understood?,
        };
        Ok(Self {
            record,
            expected: seen.row.as_ref().map(|row| row.version),
            era: seen.era.clone(),
            now,
            how: How::Read(seen),
            forced,
        })
    }

    const fn is_read(&self) -> bool {
        matches!(self.how, How::Read(_))
    }

    /// A moment by which the record had the date that it was written with.
    const fn received(&self, written: &Seen) -> Instant {
        match &self.how {
            How::Read(read) => read.received,
            How::Known(_) | How::New => written.received,
        }
    }
}

/// The record of what was seen, the moment it is now by the record's own dates, and
/// whether it must be written anew because it is of another era.
fn understood(name: &LockName, seen: &Seen) -> Result<(Record, StoreTime, bool), Error> {
    let Some(row) = &seen.row else {
        return Ok((fresh(seen.now), store_time(seen.now), false));
    };
    let mut record = Record::decode(row.record.as_bytes()).map_err(|detail| {
        Error::damaged(
            format!("the record of lock {name:?}"),
            detail,
            "restore the row from a backup, or break the lock, which starts it anew above its last token",
        )
    })?;
    if row.era == seen.era {
        let age = u64::try_from(seen.now.saturating_sub(row.written)).unwrap_or(0);
        let age = std::time::Duration::from_micros(age);
        let now = record.changed.saturating_add(age);
        return Ok((record, now, false));
    }
    // Another server's clock dated it, and later writes may be lost: what it shows
    // is held for a whole TTL from now, and tokens go on above whatever was granted.
    record.token = record.token.max(last_token(row));
    record.floor = record.floor.max(era_floor(seen.now));
    let now = record.changed;
    record.restart_clock(now);
    Ok((record, now, true))
}

fn last_token(row: &Row) -> Token {
    u64::try_from(row.token)
        .ok()
        .and_then(Token::new)
        .unwrap_or(Token::NONE)
}

fn view<'a>(hub: &Hub, now: StoreTime, floor: Token) -> View<'a> {
    View {
        now,
        floor,
        // Not to tell deaths by, but to know where its waiters listen.
        session: hub.session(),
        is_dead: &|_| false,
    }
}

fn step(
    hub: &Hub,
    op: &Op,
    base: &Base,
    record: &mut Record,
    unknown: Option<&Answer>,
) -> Result<Step<Answer>, Error> {
    let mut step = op.step(record, &view(hub, base.now, base.record.floor), unknown)?;
    if let (Op::Acquire(request), Answer::Acquired(Acquired::Queued(queued))) =
        (op, &mut step.answer)
    {
        queued.recheck_after = hub.recheck(request, queued.recheck_after);
    }
    Ok(step)
}

/// Whether what came of a guess can be relied on once it is written. That a lock is
/// busy or lost is not: nothing would be written.
const fn is_worth_a_try(step: &Step<Answer>) -> bool {
    let good = match &step.answer {
        Answer::Acquired(acquired) => matches!(acquired, Acquired::Granted(_)),
        Answer::Extended(extended) => matches!(extended, Extended::Extended),
        Answer::Released(_) => true,
        Answer::Broken(_) => false,
    };
    good && step.changed
}

async fn write(
    hub: &Hub,
    op: &Op,
    base: &Base,
    version: i64,
    record: &Record,
    step: &Step<Answer>,
) -> Result<Wrote, Error> {
    let columns = Columns::of(record);
    let write = Write {
        name: op.name(),
        expected: base.expected,
        version,
        record: String::from_utf8_lossy(&record.encode()).into_owned(),
        token: columns.token,
        fence: columns.fence,
        holder: columns.holder,
        written: match &base.how {
            How::Read(seen) => Some(seen.now),
            How::Known(_) | How::New => None,
        },
        lasts: columns.lasts,
        era: &base.era,
        max_age: max_age(op, base),
        // What grants or prolongs must not be lost, on no account.
        lazy: hub.options.lazy_release && matches!(op, Op::Release(..)) && record.is_idle(),
        wake: channels(hub, &step.hints),
    };
    match hub.write(&write).await {
        Ok(wrote) => Ok(wrote),
        Err(trouble) if trouble.kind == Kind::Again => Ok(Wrote::Not(None)),
        Err(trouble) => Err(trouble.into_write_error(hub.kind(), op.operation())),
    }
}

/// A grant can be extended within its TTL, of which only the server knows how much
/// has passed.
fn max_age(op: &Op, base: &Base) -> Option<i64> {
    let (Op::Extend(request), How::Known(known)) = (op, &base.how) else {
        return None;
    };
    let grants = &known.record.grants;
    let grant = grants.iter().find(|grant| grant.nonce == request.nonce)?;
    let before = known.record.changed.saturating_since(grant.renewed);
    let left = grant.ttl.saturating_sub(before);
    Some(i64::try_from(left.as_micros()).unwrap_or(i64::MAX))
}

/// Where whoever is to be woken listens, unless it is this client itself.
fn channels(hub: &Hub, hints: &[Hint]) -> Vec<(String, String)> {
    if !hub.pushes() {
        return Vec::new();
    }
    let others = hints
        .iter()
        .filter(|hint| hint.session.is_none() || hint.session != hub.session());
    others
        .map(|hint| (Hub::channel(hint.session), hint.nonce.to_string()))
        .collect()
}

/// The answer of a request that went by an estimated age, now that the true one is
/// known.
fn corrected(op: &Op, base: &Base, written: Micros, answer: Answer) -> Answer {
    let (Op::Release(_, nonce), How::Known(known)) = (op, &base.how) else {
        return answer;
    };
    let grants = &known.record.grants;
    let Some(grant) = grants.iter().find(|grant| grant.nonce == *nonce) else {
        return answer;
    };
    let age = u64::try_from(written.saturating_sub(known.written)).unwrap_or(0);
    let age = std::time::Duration::from_micros(age)
        + known.record.changed.saturating_since(grant.renewed);
    let allowed = grant.unclaimed.unwrap_or(grant.ttl);
    Answer::Released(match age <= allowed {
        true => Released::Released,
        false => Released::AlreadyLost,
    })
}

fn contested(hub: &Hub, name: &LockName) -> Error {
    Error::unavailable(
        hub.kind(),
        format!("lock {name:?} was changed by others {MAX_CONFLICTS} times in a row"),
        "see who writes to the table of locks all the time",
    )
}

/// What a waiter is kept for.
pub(crate) fn awaits(op: &Op) -> Option<&AcquireRequest> {
    match op {
        Op::Acquire(request) if request.queue.is_some() => Some(request),
        _ => None,
    }
}
