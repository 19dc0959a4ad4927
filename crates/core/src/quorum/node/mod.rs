//! The node's side, as a pure model: what each script must do, all or nothing.
//!
//! This is the executable specification of the Lua scripts, and what tests and
//! the simulation run against. One method is one script; its keys are those of the
//! lock and the node's record.
//!
//! A node measures with its own clock ([`StoreTime`]). What has run out is
//! treated as absent, whether or not it was removed already.

mod join;
mod lock;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use super::mutation::{Mutation, made};
use super::{AcquireReply, Ask, NodeStatus, OwnerReply, PromoteReply, Push, RunId, counter_of};
use crate::{LockName, Nonce, StoreTime, Token};
use lock::{Bar, Lock};

/// One server.
#[derive(Clone, Debug)]
pub struct Node {
    run_id: RunId,
    started: StoreTime,
    disturbed: bool,
    data: Data,
    /// What waiters are told unasked; not kept anywhere.
    pushes: Vec<(LockName, Nonce, Push)>,
}

/// All that a server keeps, and what a snapshot of it has.
#[derive(Clone, Debug, Default)]
pub struct Data {
    locks: BTreeMap<LockName, Lock>,
    record: Option<Record>,
    notice: Option<Notice>,
}

/// What a node remembers about itself.
#[derive(Clone, Debug)]
struct Record {
    /// The last counters granted here. Names share them; see [`counter_of`].
    counters: BTreeMap<u16, Token>,
    /// Set by the join: every counter granted here is above.
    floor: Token,
    /// The greatest floor of another node's join that this node was asked to back.
    backed: Token,
    /// The run id of the server when it joined.
    joined: RunId,
    /// When it joined.
    since: StoreTime,
    /// The longest hold it grants.
    max_ttl: Duration,
}

/// That somebody noticed the loss. It does not survive another loss, which is
/// how a join knows that none came in between.
#[derive(Clone, Copy, Debug)]
struct Notice {
    run_id: RunId,
    ticket: Nonce,
    at: StoreTime,
}

impl Record {
    /// No counter granted here is greater.
    fn mark(&self) -> Token {
        let counters = self.counters.values().copied();
        counters.fold(self.floor.max(self.backed), Token::max)
    }

    /// The last counter that this name may have had.
    fn counter(&self, name: &LockName) -> Token {
        let own = self.counters.get(&counter_of(name)).copied();
        own.unwrap_or_default().max(self.floor)
    }

    fn count(&mut self, name: &LockName, proposal: Token) -> Option<Token> {
        let least = Token::new(proposal.get().saturating_sub(1)).unwrap_or_default();
        let counter = self.counter(name).max(least).next()?;
        self.counters.insert(counter_of(name), counter);
        Some(counter)
    }

    /// The counter of a grant that is to have at least `to`: its own, or one that
    /// nobody had. One below the floor came back from before the node forgot.
    fn renumber(&mut self, name: &LockName, own: Token, to: Token) -> Token {
        if own >= to && own > self.floor {
            return own;
        }
        let counter = self.counter(name).saturating_add(1).max(to);
        self.counters.insert(counter_of(name), counter);
        counter
    }
}

impl Node {
    /// A server that just started with this data, empty or an older snapshot.
    #[must_use]
    pub const fn start(run_id: RunId, data: Data, now: StoreTime) -> Self {
        Self {
            run_id,
            started: now,
            disturbed: false,
            data,
            pushes: Vec::new(),
        }
    }

    /// A snapshot of all it keeps.
    #[must_use]
    pub fn snapshot(&self) -> Data {
        self.data.clone()
    }

    /// Forgets everything and goes on running (`FLUSHALL`).
    pub fn flush(&mut self) {
        self.data = Data::default();
        self.disturbed = true;
    }

    /// The server's run id: another one with every start.
    #[must_use]
    pub const fn run_id(&self) -> RunId {
        self.run_id
    }

    /// Takes the lock, if it is free and nobody comes first, and counts; else a
    /// place in its line, if one is asked for.
    ///
    /// A grant that is ours already is answered as such, raised to the proposal:
    /// that is how an unknown outcome is settled, and how a handover is claimed. Its
    /// end is never brought forward, since the holder may rely on an earlier, longer
    /// answer. A grant of another permit is given up for this one, but only to a
    /// request that knows of it, which its proposal shows: one that was held up on a
    /// broken connection must not take a permit that is relied on.
    pub fn acquire(
        &mut self,
        run_id: RunId,
        name: &LockName,
        nonce: Nonce,
        ask: Ask,
        now: StoreTime,
    ) -> AcquireReply {
        let Some(record) = joined(&mut self.data.record, run_id) else {
            return AcquireReply::NotJoined;
        };
        if ask.hold.max(ask.line.unwrap_or_default()) > record.max_ttl {
            return AcquireReply::TooLong {
                most: record.max_ttl,
            };
        }
        let lock = self.data.locks.entry(name.clone()).or_default();
        lock.settle(now);
        let ends = now.saturating_add(ask.hold);
        if lock.change(nonce, ask.slot, ask.proposal) && lock.extend(nonce, ends, false) {
            let Some(grant) = lock.of(nonce) else {
                return AcquireReply::Exhausted;
            };
            let counter = record.renumber(name, grant.counter, ask.proposal);
            grant.counter = counter;
            return AcquireReply::Granted { counter };
        }
        if lock.of(nonce).is_some() {
            // Another permit than ours, by a request that is older than ours is.
            let (holder, free_in) = lock.in_the_way(ask.mode, ask.slot, now);
            return AcquireReply::Busy { free_in, holder };
        }
        match lock.admits(nonce, ask.mode, ask.slot) {
            Ok(()) => {
                let Some(counter) = record.count(name, ask.proposal) else {
                    return AcquireReply::Exhausted;
                };
                lock.grant(nonce, (ask.mode, ask.slot), counter, ask.hold, ends);
                return AcquireReply::Granted { counter };
            }
            Err(Bar::Clash(permits)) => return AcquireReply::Clash { permits },
            Err(Bar::Busy) => {}
        }
        if let Some(line) = ask.line {
            let ends = now.saturating_add(line);
            lock.enqueue(nonce, ask.mode, ask.hold, ends);
        }
        // Whoever had it may have run out, with nobody to hand over.
        let told = lock.hand_over(now, || record.count(name, Token::NONE));
        // Whoever asks may have asked for a permit that is taken while one is free.
        let told = told
            .into_iter()
            .filter(|&(of, push)| of == nonce || matches!(push, Push::Handed { .. }));
        self.pushes
            .extend(told.map(|(nonce, push)| (name.clone(), nonce, push)));
        if let Some(grant) = lock.of(nonce) {
            // The first in line was the one who asked.
            let counter = grant.counter;
            return AcquireReply::Granted { counter };
        }
        let (holder, free_in) = lock.in_the_way(ask.mode, ask.slot, now);
        match lock.place_of(nonce).filter(|_| ask.line.is_some()) {
            Some((place, ahead)) => AcquireReply::Queued {
                place,
                ahead,
                free_in,
                holder,
            },
            None => AcquireReply::Busy { free_in, holder },
        }
    }

    /// Raises the counter of a grant that is still ours.
    ///
    /// A node that has to rejoin must not answer: it may have forgotten a
    /// promotion of ours, and with it a counter we believe it has. Shared leases
    /// may be promoted side by side; each gets a number of its own.
    pub fn promote(
        &mut self,
        run_id: RunId,
        name: &LockName,
        nonce: Nonce,
        to: Token,
        now: StoreTime,
    ) -> PromoteReply {
        let Some(record) = joined(&mut self.data.record, run_id) else {
            return PromoteReply::NotJoined;
        };
        let Some(lock) = self.data.locks.get_mut(name) else {
            return PromoteReply::Gone;
        };
        lock.settle(now);
        let Some(grant) = lock.of(nonce) else {
            return PromoteReply::Gone;
        };
        grant.counter = record.renumber(name, grant.counter, to);
        PromoteReply::At(grant.counter)
    }

    /// Moves our place in the line.
    pub fn place(&mut self, name: &LockName, nonce: Nonce, to: u64, now: StoreTime) {
        if let Some(lock) = self.settled(name, now) {
            lock.place(nonce, to);
        }
    }

    /// Gives up our grant for a place in the line, in favour of `to` if that one
    /// waits here; unless the grant has a greater counter than `up_to`.
    pub fn step_back(
        &mut self,
        run_id: RunId,
        name: &LockName,
        nonce: Nonce,
        (to, up_to, place, line): (Nonce, Token, u64, Duration),
        now: StoreTime,
    ) {
        let Some(lock) = self.settled(name, now) else {
            return;
        };
        let known = lock.of(nonce).is_some_and(|grant| grant.counter <= up_to);
        if known && lock.step_back(nonce, place, now.saturating_add(line)) {
            lock.prefer(to);
            self.pass_on(run_id, name, now);
        }
    }

    /// Prolongs a grant that is still ours. Asks nothing of the record: it neither
    /// creates nor counts, so it is harmless throughout.
    ///
    /// An extend whose answer is lost must leave the holder's old deadline true, so
    /// none may bring the end forward.
    pub fn extend(
        &mut self,
        name: &LockName,
        nonce: Nonce,
        (slot, hold): (u32, Duration),
        now: StoreTime,
    ) -> OwnerReply {
        let ends = now.saturating_add(hold);
        let lock = self.data.locks.entry(name.clone()).or_default();
        lock.settle(now);
        let creates = made(Mutation::ExtendCreates);
        if creates && lock.is_empty() {
            let exclusive = (crate::Mode::Exclusive, 0);
            lock.grant(nonce, exclusive, Token::NONE, hold, ends);
        }
        let ours = lock.of(nonce).is_some_and(|grant| grant.slot == slot);
        match ours && lock.extend(nonce, ends, made(Mutation::ExtendShortens)) {
            true => OwnerReply::Done,
            false => OwnerReply::Gone,
        }
    }

    /// Ends a grant that is still ours, or leaves the line, and hands over to
    /// whoever is first. A node that does not vote grants nothing, so it only tells
    /// the first to ask again.
    pub fn release(
        &mut self,
        run_id: RunId,
        name: &LockName,
        nonce: Nonce,
        now: StoreTime,
    ) -> OwnerReply {
        let Some(lock) = self.settled(name, now) else {
            return OwnerReply::Gone;
        };
        let mut done = lock.remove(nonce);
        if made(Mutation::ReleaseAnything) {
            lock.clear();
            done = true;
        }
        if !done {
            return OwnerReply::Gone;
        }
        self.pass_on(run_id, name, now);
        OwnerReply::Done
    }

    fn pass_on(&mut self, run_id: RunId, name: &LockName, now: StoreTime) {
        let Some(lock) = self.data.locks.get_mut(name) else {
            return;
        };
        let unjoined = made(Mutation::HandoverFromNotJoined);
        let record = self.data.record.as_mut();
        let told = match record.filter(|record| unjoined || record.joined == run_id) {
            Some(record) => lock.hand_over(now, || record.count(name, Token::NONE)),
            None => lock.call_first(),
        };
        self.pushes.extend(
            told.into_iter()
                .map(|(nonce, push)| (name.clone(), nonce, push)),
        );
    }

    /// What waiters are told since the last call, in order.
    pub fn take_pushes(&mut self) -> Vec<(LockName, Nonce, Push)> {
        std::mem::take(&mut self.pushes)
    }

    /// `SET key value NX PX hold`, as a Redlock client of another kind does it.
    pub fn take_plainly(
        &mut self,
        name: &LockName,
        value: Nonce,
        hold: Duration,
        now: StoreTime,
    ) -> bool {
        let lock = self.data.locks.entry(name.clone()).or_default();
        lock.settle(now);
        lock.take_plainly(value, now.saturating_add(hold))
    }

    /// Compares and deletes, as a Redlock client of another kind does it.
    pub fn drop_plainly(&mut self, name: &LockName, value: Nonce) {
        if let Some(lock) = self.data.locks.get_mut(name) {
            lock.drop_plainly(value);
        }
    }

    /// The lock as this node has it.
    #[must_use]
    pub fn status(&self, name: &LockName, now: StoreTime) -> NodeStatus {
        let mut lock = self.data.locks.get(name).cloned().unwrap_or_default();
        lock.settle(now);
        let grants = lock.grants();
        NodeStatus {
            held: grants
                .map(|grant| (grant.nonce, grant.ends.saturating_since(now)))
                .collect(),
            waiting: lock.waiting(),
            counter: self.data.record.as_ref().and_then(|record| {
                let counter = record.counters.get(&counter_of(name));
                counter.copied()
            }),
        }
    }

    /// Lets the grants of a lock run out now. For models without time.
    pub fn expire_key(&mut self, name: &LockName) {
        if let Some(lock) = self.data.locks.get_mut(name) {
            lock.clear();
        }
    }

    /// Drops a waiter now. For models without time.
    pub fn expire_place(&mut self, name: &LockName, nonce: Nonce) {
        if let Some(lock) = self.data.locks.get_mut(name)
            && lock.of(nonce).is_none()
        {
            lock.remove(nonce);
        }
    }

    /// The lock without what has run out, if there is one.
    fn settled(&mut self, name: &LockName, now: StoreTime) -> Option<&mut Lock> {
        let lock = self.data.locks.get_mut(name)?;
        lock.settle(now);
        Some(lock)
    }
}

/// The record, while it names this run id.
fn joined(record: &mut Option<Record>, run_id: RunId) -> Option<&mut Record> {
    record.as_mut().filter(|record| record.joined == run_id)
}
