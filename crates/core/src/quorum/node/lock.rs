//! One lock on one node: its key, its grants and its line.

use std::time::Duration;

use super::super::mutation::{Mutation, made};
use super::super::{Holder, Push};
use crate::{Mode, Nonce, StoreTime, Token};

/// One lock on one node. What has run out is dropped by [`settle`](Self::settle),
/// which comes first in every step.
#[derive(Clone, Debug, Default)]
pub(super) struct Lock {
    /// The lock's own key: what every Redlock client writes, and the truth. Grants
    /// that it does not speak of are void.
    key: Option<Key>,
    grants: Vec<Grant>,
    /// Sorted: whoever is first is next.
    line: Vec<Waiter>,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    value: Value,
    ends: StoreTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// The nonce of an exclusive lease; or what another kind of client wrote.
    One(Nonce),
    /// Shared leases or permits: see the grants.
    Several,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub(super) nonce: Nonce,
    mode: Mode,
    pub(super) slot: u32,
    /// No two grants of a lock on one node ever have the same.
    pub(super) counter: Token,
    pub(super) ends: StoreTime,
    /// For how long it was asked for.
    hold: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiter {
    place: u64,
    nonce: Nonce,
    mode: WaiterMode,
    /// When it falls out of the line, unless it asks again.
    ends: StoreTime,
    /// The longest that a lock is kept for it.
    hold: Duration,
}

/// A mode that can be compared, for the order of the line alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum WaiterMode {
    Exclusive,
    Shared,
    Permit(u32),
}

/// Why somebody does not get the lock on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bar {
    /// Others have it or come first.
    Busy,
    /// Another number of permits is in use.
    Clash(u32),
}

impl From<Mode> for WaiterMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Exclusive => Self::Exclusive,
            Mode::Shared => Self::Shared,
            Mode::Permit(n) => Self::Permit(n.get()),
        }
    }
}

impl Lock {
    /// Drops what has run out, and grants that the key does not speak of.
    pub(super) fn settle(&mut self, now: StoreTime) {
        self.key = self.key.filter(|key| key.ends > now);
        let value = self.key.map(|key| key.value);
        self.grants.retain(|grant| {
            grant.ends > now
                && match grant.mode {
                    Mode::Exclusive => value == Some(Value::One(grant.nonce)),
                    _ => value == Some(Value::Several),
                }
        });
        self.line.retain(|waiter| waiter.ends > now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.key.is_none() && self.grants.is_empty() && self.line.is_empty()
    }

    pub(super) fn of(&mut self, nonce: Nonce) -> Option<&mut Grant> {
        self.grants.iter_mut().find(|grant| grant.nonce == nonce)
    }

    /// Ends a grant of another permit than this one, if the request knows of it.
    /// Whether there may be one of this permit.
    pub(super) fn change(&mut self, nonce: Nonce, slot: u32, proposal: Token) -> bool {
        match self.of(nonce).map(|grant| (grant.slot, grant.counter)) {
            Some((other, counter)) if other != slot => {
                if proposal > counter {
                    self.remove(nonce);
                }
                false
            }
            _ => true,
        }
    }

    /// Whether this one may have it now, and else why not.
    pub(super) fn admits(&self, nonce: Nonce, mode: Mode, slot: u32) -> Result<(), Bar> {
        let others = self.line.iter().filter(|waiter| waiter.nonce != nonce);
        let modes = self.grants.iter().map(|grant| WaiterMode::from(grant.mode));
        let mine = WaiterMode::from(mode);
        if let WaiterMode::Permit(n) = mine {
            let clash = |other| match other {
                WaiterMode::Permit(m) if m != n => Some(m),
                _ => None,
            };
            let waiting = others.map(|waiter| waiter.mode);
            if let Some(permits) = modes.chain(waiting).find_map(clash) {
                return Err(Bar::Clash(permits));
            }
        }
        let ahead = &self.line[..self.ahead(nonce)];
        let alike = ahead.iter().all(|waiter| waiter.mode == mine);
        let admitted = match mode {
            Mode::Exclusive => ahead.is_empty(),
            Mode::Shared => alike,
            // Whoever comes first will want what is free.
            Mode::Permit(n) => {
                alike && slot < n.get() && self.grants.len() + ahead.len() < n.get() as usize
            }
        };
        match admitted && self.has_room(mode, slot) {
            true => Ok(()),
            false => Err(Bar::Busy),
        }
    }

    /// Whether a grant fits beside those that are there.
    fn has_room(&self, mode: Mode, slot: u32) -> bool {
        let Some(key) = self.key else {
            return true;
        };
        let beside = key.value == Value::Several && !self.grants.is_empty();
        beside
            && mode != Mode::Exclusive
            && self.grants.iter().all(|grant| grant.mode == mode)
            && match mode {
                Mode::Permit(n) => {
                    let free = || self.grants.iter().all(|grant| grant.slot != slot);
                    self.grants.len() < n.get() as usize
                        && (made(Mutation::PermitsCountedPerNode) || free())
                }
                _ => true,
            }
    }

    /// How many places are before this one's; all, if it has none.
    fn ahead(&self, nonce: Nonce) -> usize {
        let own = self.line.iter().position(|waiter| waiter.nonce == nonce);
        own.unwrap_or(self.line.len())
    }

    /// Makes a grant. Its counter is the greatest so far.
    pub(super) fn grant(
        &mut self,
        nonce: Nonce,
        (mode, slot): (Mode, u32),
        counter: Token,
        hold: Duration,
        ends: StoreTime,
    ) {
        self.line.retain(|waiter| waiter.nonce != nonce);
        self.grants.push(Grant {
            nonce,
            mode,
            slot,
            counter,
            ends,
            hold,
        });
        self.set_key(nonce, mode);
    }

    /// Lets a grant live longer, never shorter. Whether there is one.
    pub(super) fn extend(&mut self, nonce: Nonce, ends: StoreTime, or_shorter: bool) -> bool {
        let Some(grant) = self.of(nonce) else {
            return false;
        };
        grant.ends = match or_shorter {
            true => ends,
            false => ends.max(grant.ends),
        };
        let mode = grant.mode;
        self.set_key(nonce, mode);
        true
    }

    fn set_key(&mut self, nonce: Nonce, mode: Mode) {
        let last = self.grants.iter().map(|grant| grant.ends).max();
        let value = match mode {
            Mode::Exclusive => Value::One(nonce),
            _ => Value::Several,
        };
        self.key = last.map(|ends| Key { value, ends });
    }

    /// Takes a place in the line, or keeps the one it has for longer.
    pub(super) fn enqueue(&mut self, nonce: Nonce, mode: Mode, hold: Duration, ends: StoreTime) {
        if let Some(waiter) = self.line.iter_mut().find(|waiter| waiter.nonce == nonce) {
            waiter.ends = ends.max(waiter.ends);
        } else {
            let place = self.line.last().map_or(0, |last| last.place) + 1;
            self.insert(nonce, (mode, hold), place, ends);
        }
    }

    /// Its place, and how many are before it.
    pub(super) fn place_of(&self, nonce: Nonce) -> Option<(u64, u32)> {
        let at = self.ahead(nonce);
        Some((self.line.get(at)?.place, at as u32))
    }

    fn insert(
        &mut self,
        nonce: Nonce,
        (mode, hold): (Mode, Duration),
        place: u64,
        ends: StoreTime,
    ) {
        self.line.push(Waiter {
            place,
            nonce,
            mode: mode.into(),
            ends,
            hold,
        });
        self.line.sort_unstable();
    }

    /// Moves a place.
    pub(super) fn place(&mut self, nonce: Nonce, to: u64) {
        if let Some(waiter) = self.line.iter_mut().find(|waiter| waiter.nonce == nonce) {
            waiter.place = to;
            self.line.sort_unstable();
        }
    }

    /// Ends a grant or a place. Whether there was one.
    pub(super) fn remove(&mut self, nonce: Nonce) -> bool {
        let before = self.grants.len() + self.line.len();
        let mode = self.of(nonce).map(|grant| grant.mode);
        self.grants.retain(|grant| grant.nonce != nonce);
        self.line.retain(|waiter| waiter.nonce != nonce);
        if let Some(mode) = mode {
            self.set_key(nonce, mode);
        }
        self.grants.len() + self.line.len() < before
    }

    /// Whatever has the key goes.
    pub(super) fn clear(&mut self) {
        self.key = None;
        self.grants.clear();
    }

    /// A client of another kind takes the key, if it is free.
    pub(super) fn take_plainly(&mut self, value: Nonce, ends: StoreTime) -> bool {
        let free = self.key.is_none();
        if free {
            self.key = Some(Key {
                value: Value::One(value),
                ends,
            });
        }
        free
    }

    /// A client of another kind deletes its key.
    pub(super) fn drop_plainly(&mut self, value: Nonce) {
        if self.key.is_some_and(|key| key.value == Value::One(value)) {
            self.key = None;
        }
    }

    /// A grant for a place in the line, so that another may have it.
    pub(super) fn step_back(&mut self, nonce: Nonce, place: u64, ends: StoreTime) -> bool {
        let Some(wanted) = self.of(nonce).map(|grant| (grant.mode, grant.hold)) else {
            return false;
        };
        self.remove(nonce);
        self.insert(nonce, wanted, place, ends);
        true
    }

    /// Lets this waiter go first, if it is in the line.
    pub(super) fn prefer(&mut self, nonce: Nonce) {
        if let Some(at) = self.line.iter().position(|waiter| waiter.nonce == nonce) {
            let first = self.line[0].place;
            // Its place stays the least from now on, here alone.
            self.line[at].place = first.saturating_sub(1);
            self.line.sort_unstable();
        }
    }

    /// Hands over to whoever is first, as long as there is room. `count` gives the
    /// next counter, or nothing when they are used up. What is handed over lasts as
    /// long as the place would have, and no longer than what was asked for.
    pub(super) fn hand_over(
        &mut self,
        now: StoreTime,
        mut count: impl FnMut() -> Option<Token>,
    ) -> Vec<(Nonce, Push)> {
        let mut told = Vec::new();
        while let Some(&Waiter {
            nonce,
            mode,
            ends,
            hold,
            ..
        }) = self.line.first()
        {
            let mode = match mode {
                WaiterMode::Exclusive => Mode::Exclusive,
                WaiterMode::Shared => Mode::Shared,
                WaiterMode::Permit(n) => {
                    told.extend(self.call(n));
                    break;
                }
            };
            let Some(counter) = self.has_room(mode, 0).then(&mut count).flatten() else {
                break;
            };
            let ends = ends.min(now.saturating_add(hold));
            self.grant(nonce, (mode, 0), counter, hold, ends);
            told.push((nonce, Push::Handed { counter }));
        }
        told
    }

    /// Tells those who wait for a permit which one to ask for. Handing them over
    /// here would give a waiter different permits on different nodes.
    fn call(&self, n: u32) -> Vec<(Nonce, Push)> {
        let Some(mode) = Mode::permit_of(n) else {
            return Vec::new();
        };
        let free = (0..n).filter(|&slot| self.has_room(mode, slot));
        let room = (n as usize).saturating_sub(self.grants.len());
        let first = self
            .line
            .iter()
            .take_while(|waiter| waiter.mode == WaiterMode::Permit(n));
        let calls = first.zip(free).take(room);
        calls
            .map(|(waiter, slot)| (waiter.nonce, Push::Free { slot }))
            .collect()
    }

    /// Tells whoever is first to ask again.
    pub(super) fn call_first(&self) -> Vec<(Nonce, Push)> {
        let first = self.line.first();
        first
            .map(|waiter| (waiter.nonce, Push::Free { slot: 0 }))
            .into_iter()
            .collect()
    }

    /// Who is in the way of this, and for how long.
    pub(super) fn in_the_way(&self, mode: Mode, slot: u32, now: StoreTime) -> (Holder, Duration) {
        let Some(key) = self.key else {
            return (Holder::Nobody, Duration::ZERO);
        };
        let left = |ends: StoreTime| ends.saturating_since(now);
        match key.value {
            Value::One(nonce) if self.grants.is_empty() => {
                (Holder::Foreign(hash(nonce)), left(key.ends))
            }
            Value::One(nonce) => (Holder::Lease(nonce), left(key.ends)),
            Value::Several => {
                let permits = |grant: &&Grant| matches!(grant.mode, Mode::Permit(_));
                let permits = self.grants.iter().filter(permits);
                // A permit is free as soon as the first of them is.
                let first = permits.map(|grant| grant.ends).min();
                let same = |grant: &&Grant| grant.mode != mode || grant.slot == slot;
                let holder = self
                    .grants
                    .iter()
                    .filter(same)
                    .map(|grant| grant.nonce)
                    .min();
                let holder = holder.map_or(Holder::Nobody, |first| Holder::Several { first });
                (holder, left(first.unwrap_or(key.ends)))
            }
        }
    }

    pub(super) fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.iter()
    }

    pub(super) fn waiting(&self) -> Vec<Nonce> {
        self.line.iter().map(|waiter| waiter.nonce).collect()
    }
}

fn hash(value: Nonce) -> u64 {
    let bytes = value.to_string();
    bytes
        .bytes()
        .fold(0, |hash: u64, byte| hash.rotate_left(5) ^ u64::from(byte))
}
