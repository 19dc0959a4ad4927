//! What must be true of every step, whatever the machine does inside.
//!
//! Shared by the random histories in `record_props` and the model check in `sim/`.
//! The rules know the record's past only by what they noted themselves: the
//! greatest token granted, and who came in which order and asked when.

use std::time::Duration;

use leasehold_core::record::{Grant, Hint, Record, Waiter};
use leasehold_core::{Extended, Mode, Nonce, SessionId, StoreTime, Token};

/// A rule that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) detail: String,
}

pub(crate) type Check = Result<(), Violation>;

/// Fails with this rule's name unless `holds`.
pub(crate) fn ensure(holds: bool, rule: &'static str, detail: impl FnOnce() -> String) -> Check {
    match holds {
        true => Ok(()),
        false => Err(Violation {
            rule,
            detail: detail(),
        }),
    }
}

/// What the rules noted of the past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Rules {
    /// The greatest token ever granted.
    pub(crate) last: Token,
    /// Who waits, in the order of arrival.
    pub(crate) line: Vec<Place>,
}

/// A place in the line, as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) nonce: Nonce,
    pub(crate) session: Option<SessionId>,
    pub(crate) interval: Duration,
    /// When it last asked.
    pub(crate) asked: StoreTime,
}

/// One step of the machine, and what surrounds it.
pub(crate) struct Before<'a> {
    pub(crate) record: &'a Record,
    pub(crate) now: StoreTime,
    pub(crate) floor: Token,
    pub(crate) is_dead: &'a dyn Fn(SessionId) -> bool,
    /// Whose request it is.
    pub(crate) asker: Option<Nonce>,
    /// Whether the asker wants the lock, and keeps its place by asking.
    pub(crate) wants: bool,
    /// Whether the asker gives up what it has.
    pub(crate) gives_up: bool,
    /// Whether all grants are ended by force.
    pub(crate) is_break: bool,
    /// Whether whatever is free must be handed over.
    pub(crate) hands_over: bool,
}

impl Rules {
    /// Checks a step, and notes what it did.
    pub(crate) fn step(
        &mut self,
        before: &Before<'_>,
        after: &Record,
        changed: bool,
        hints: Option<&[Hint]>,
    ) -> Check {
        ensure(
            changed || before.record == after,
            "changes are told",
            || format!("{:?} became {after:?}", before.record),
        )?;
        ensure(fit_together(&after.grants), "C3 in the record", || {
            format!("{:?}", after.grants)
        })?;
        let fresh = fresh(before.record, after);
        self.tokens_grow(before, after, &fresh)?;
        self.nobody_is_robbed(before, after)?;
        self.note_arrival(before, after);
        self.no_barging(before, after, &fresh)?;
        self.nobody_falls_out(before, after, &fresh)?;
        self.follow(after)?;
        if before.hands_over {
            no_lost_handover(before, after)?;
        }
        hints.map_or(Ok(()), |hints| {
            hints_are_exact(before, after, &fresh, hints)
        })
    }

    /// How many wait ahead of this one.
    pub(crate) fn ahead(&self, nonce: Nonce) -> Option<usize> {
        self.line.iter().position(|place| place.nonce == nonce)
    }

    fn tokens_grow(&mut self, before: &Before<'_>, after: &Record, fresh: &[&Grant]) -> Check {
        for grant in fresh {
            let least = self.last.next().unwrap().max(before.floor);
            ensure(grant.token >= least, "C1", || {
                format!("granted {} where {least} was the least", grant.token)
            })?;
            self.last = grant.token;
        }
        let kept = |old: &&Grant| after.grants.iter().any(|new| new.token == old.token);
        for old in before.record.grants.iter().filter(kept) {
            let same = after.grants.iter().find(|new| new.token == old.token);
            ensure(same.is_some_and(|new| new.nonce == old.nonce), "C1", || {
                format!("token {} changed hands", old.token)
            })?;
        }
        Ok(())
    }

    /// C4: nobody but its holder, its end or a break takes a grant away.
    fn nobody_is_robbed(&self, before: &Before<'_>, after: &Record) -> Check {
        let alive = before
            .record
            .grants
            .iter()
            .filter(|old| is_live(before, old));
        for old in alive.filter(|old| !before.is_break && !before.is_asker(old.nonce)) {
            let kept = after.grants.iter().any(|new| new == old);
            ensure(kept, "C4", || format!("{old:?} is gone or changed"))?;
        }
        Ok(())
    }

    fn note_arrival(&mut self, before: &Before<'_>, after: &Record) {
        let Some(asker) = before.asker.filter(|_| before.wants) else {
            return;
        };
        if let Some(place) = self.line.iter_mut().find(|place| place.nonce == asker) {
            // One that fell out has to start again at the end; one that may have
            // fallen out, or is dead, either did or did not.
            let last = after.waiters.last().is_some_and(|w| w.nonce == asker);
            if !place.is_out(before) && (place.is_in(before) || !last) {
                place.asked = before.now;
                return;
            }
            self.line.retain(|place| place.nonce != asker);
        }
        if let Some(waiter) = waiter(after, asker) {
            self.line.push(Place {
                nonce: asker,
                session: waiter.session,
                interval: waiter.interval,
                asked: before.now,
            });
        }
    }

    /// Nobody is granted anything while somebody who came earlier still waits.
    fn no_barging(&self, before: &Before<'_>, after: &Record, fresh: &[&Grant]) -> Check {
        for grant in fresh {
            let place = self.ahead(grant.nonce).unwrap_or(self.line.len());
            let passed = self.line[..place]
                .iter()
                .find(|other| waiter(after, other.nonce).is_some() && other.is_in(before));
            ensure(passed.is_none(), "no barging", || {
                format!("{:?} passed {:?}", grant.nonce, passed.map(|p| p.nonce))
            })?;
            let was_out = self
                .line
                .get(place)
                .is_some_and(|place| place.is_out(before));
            ensure(!was_out, "falling out", || {
                format!("{:?} was silent and got the lock", grant.nonce)
            })?;
        }
        Ok(())
    }

    /// Whoever keeps asking keeps its place.
    fn nobody_falls_out(&self, before: &Before<'_>, after: &Record, fresh: &[&Grant]) -> Check {
        for place in self.line.iter().filter(|place| place.is_in(before)) {
            let served = waiter(after, place.nonce).is_some()
                || fresh.iter().any(|grant| grant.nonce == place.nonce)
                || (before.gives_up && before.is_asker(place.nonce));
            ensure(served, "no starving", || {
                format!("{:?} lost its place in the line", place.nonce)
            })?;
        }
        Ok(())
    }

    /// Forgets who left, and checks that the rest stands in order.
    fn follow(&mut self, after: &Record) -> Check {
        self.line
            .retain(|place| waiter(after, place.nonce).is_some());
        let same = self.line.len() == after.waiters.len()
            && (self.line.iter().zip(&after.waiters)).all(|(p, w)| p.nonce == w.nonce);
        ensure(same, "order of arrival", || format!("{:?}", after.waiters))
    }
}

impl Place {
    /// In the line for certain. Not every repetition is written down, so one that
    /// asked 2.5 intervals ago may count as silent for 3.
    fn is_in(&self, before: &Before<'_>) -> bool {
        let silent = before.now.saturating_since(self.asked);
        silent * 2 <= self.interval * 5 && !self.session.is_some_and(before.is_dead)
    }

    /// Out of the line for certain.
    fn is_out(&self, before: &Before<'_>) -> bool {
        before.now.saturating_since(self.asked) > self.interval * 3
    }
}

impl Before<'_> {
    fn is_asker(&self, nonce: Nonce) -> bool {
        self.asker == Some(nonce)
    }
}

/// C4: an extend works on a claimed grant within its TTL and on nothing else, and
/// does not bring its end forward.
pub(crate) fn extend_is_right(
    nonce: Nonce,
    now: StoreTime,
    before: &Record,
    after: &Record,
    answer: Extended,
) -> Check {
    let find = |record: &Record| {
        let mut grants = record.grants.iter();
        grants.find(|grant| grant.nonce == nonce).cloned()
    };
    let in_ttl = find(before)
        .filter(|g| g.unclaimed.is_none() && now.saturating_since(g.renewed) <= g.ttl)
        .map(|g| g.ends());
    let extended = answer == Extended::Extended;
    ensure(extended == in_ttl.is_some(), "C4", || {
        format!("extend answered {answer:?} for a grant that ends {in_ttl:?}")
    })?;
    let ends = find(after).map(|g| g.ends());
    ensure(!extended || ends >= in_ttl, "no shortening", || {
        format!("from {in_ttl:?} to {ends:?}")
    })
}

/// The grants that a step made.
fn fresh<'a>(before: &Record, after: &'a Record) -> Vec<&'a Grant> {
    let is_old = |new: &Grant| {
        (before.grants.iter()).any(|old| (old.nonce, old.token) == (new.nonce, new.token))
    };
    after.grants.iter().filter(|new| !is_old(new)).collect()
}

fn waiter(record: &Record, nonce: Nonce) -> Option<&Waiter> {
    record.waiters.iter().find(|waiter| waiter.nonce == nonce)
}

/// Whether the store still owes this grant its place.
fn is_live(before: &Before<'_>, grant: &Grant) -> bool {
    let length = grant.unclaimed.unwrap_or(grant.ttl + grant.grace);
    before.now.saturating_since(grant.renewed) <= length
        && !grant.session.is_some_and(before.is_dead)
}

/// Whether `mode` may stand beside what these hold; C3 in other words than the
/// machine's.
pub(crate) fn may_join(mode: Mode, held: &[Mode]) -> bool {
    match mode {
        Mode::Permit(n) => held.len() < n.get() as usize && held.iter().all(|m| *m == mode),
        Mode::Shared => held.iter().all(|m| *m == Mode::Shared),
        _ => held.is_empty(),
    }
}

fn fit_together(grants: &[Grant]) -> bool {
    let modes: Vec<_> = grants.iter().map(|grant| grant.mode).collect();
    modes
        .iter()
        .enumerate()
        .all(|(at, mode)| may_join(*mode, &modes[..at]))
}

/// If the lock is free for the first in line, it has been handed over.
fn no_lost_handover(before: &Before<'_>, after: &Record) -> Check {
    let alive = |waiter: &&Waiter| !waiter.session.is_some_and(before.is_dead);
    let Some(head) = after.waiters.iter().find(alive) else {
        return Ok(());
    };
    let live = after.grants.iter().filter(|grant| is_live(before, grant));
    let held: Vec<_> = live.map(|grant| grant.mode).collect();
    ensure(!may_join(head.mode, &held), "no lost hand-over", || {
        format!("{head:?} waits for a free lock: {after:?}")
    })
}

/// Woken are those who were handed the lock, and whoever is first in line now;
/// except whoever asked, since that one has its answer.
fn hints_are_exact(before: &Before<'_>, after: &Record, fresh: &[&Grant], hints: &[Hint]) -> Check {
    let first = |record: &Record| record.waiters.first().map(|waiter| waiter.nonce);
    let mut due: Vec<_> = fresh.iter().map(|grant| grant.nonce).collect();
    due.extend(first(after).filter(|_| first(after) != first(before.record)));
    due.retain(|nonce| !before.is_asker(*nonce));
    let given: Vec<_> = hints.iter().map(|hint| hint.nonce).collect();
    ensure(due == given, "hints are exact", || {
        format!("due {due:?}, given {given:?}")
    })
}
