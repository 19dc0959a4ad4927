//! The node's side, as a pure model: what each script must do, all or nothing.
//!
//! This is the executable specification of the Lua scripts, and what tests and
//! the simulation run against. One method is one script; its keys are the lock's
//! own key, `fence(name)` and the node's record.
//!
//! A node measures with its own clock ([`StoreTime`]). What has run out is
//! treated as absent, whether or not it was removed already.

use std::collections::BTreeMap;
use std::time::Duration;

use super::mutation::{Mutation, made};
use super::{
    AcquireReply, Inspection, JoinReply, NodeStatus, OwnerReply, PromoteReply, Recalled, RunId,
};
use crate::{LockName, Nonce, StoreTime, Token};

/// How long a node keeps the counter of an idle name unless told otherwise.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// One server.
#[derive(Clone, Debug)]
pub struct Node {
    run_id: RunId,
    started: StoreTime,
    disturbed: bool,
    retention: Duration,
    data: Data,
}

/// All that a server keeps, and what a snapshot of it has.
#[derive(Clone, Debug, Default)]
pub struct Data {
    keys: BTreeMap<LockName, Key>,
    fences: BTreeMap<LockName, Fence>,
    record: Option<Record>,
    notice: Option<Notice>,
}

/// The lock's own key: what every Redlock client writes.
#[derive(Clone, Copy, Debug)]
struct Key {
    holder: Nonce,
    ends: StoreTime,
}

/// The last counter granted here for a name.
#[derive(Clone, Copy, Debug)]
struct Fence {
    counter: Token,
    ends: StoreTime,
}

/// What a node remembers about itself.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// The greatest counter ever granted here, and at least the floor of every
    /// join that asked this node to back it.
    high: Token,
    /// Set by the join: every counter granted here is above.
    floor: Token,
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

impl Node {
    /// A server that just started with this data, empty or an older snapshot.
    #[must_use]
    pub const fn start(run_id: RunId, data: Data, retention: Duration, now: StoreTime) -> Self {
        Self {
            run_id,
            started: now,
            disturbed: false,
            retention,
            data,
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

    /// `SET key nonce NX PX hold`, and the counter.
    ///
    /// A key that is ours already is answered as a grant: that is how an unknown
    /// outcome is settled. Its end is never brought forward, since the holder may
    /// rely on an earlier, longer answer.
    pub fn acquire(
        &mut self,
        run_id: RunId,
        name: &LockName,
        nonce: Nonce,
        hold: Duration,
        proposal: Token,
        now: StoreTime,
    ) -> AcquireReply {
        let Some(record) = self.joined(run_id) else {
            return AcquireReply::NotJoined;
        };
        if hold > record.max_ttl {
            return AcquireReply::TooLong {
                most: record.max_ttl,
            };
        }
        let mut ends = now.saturating_add(hold);
        if let Some(key) = self.key(name, now) {
            if key.holder != nonce {
                return AcquireReply::Busy {
                    free_in: key.ends.saturating_since(now),
                    holder: Some(key.holder),
                };
            }
            ends = ends.max(key.ends);
            self.set_key(name, nonce, ends);
            let counter = self.counter(name, record, now);
            return AcquireReply::Granted {
                counter,
                high: record.high,
            };
        }
        let least = Token::new(proposal.get().saturating_sub(1)).unwrap_or_default();
        let last = self.counter(name, record, now).max(record.floor).max(least);
        let Some(counter) = last.next() else {
            return AcquireReply::Exhausted;
        };
        self.set_key(name, nonce, ends);
        let high = self.count(name, counter, now);
        AcquireReply::Granted { counter, high }
    }

    /// Raises the counter of a key that is still ours.
    ///
    /// A node that has to rejoin must not answer: it may have forgotten a
    /// promotion of ours, and with it a counter we believe it has.
    pub fn promote(
        &mut self,
        run_id: RunId,
        name: &LockName,
        nonce: Nonce,
        to: Token,
        now: StoreTime,
    ) -> PromoteReply {
        let Some(record) = self.joined(run_id) else {
            return PromoteReply::NotJoined;
        };
        if !self.holds(name, nonce, now) {
            return PromoteReply::Gone;
        }
        let counter = self.counter(name, record, now).max(to);
        self.count(name, counter, now);
        PromoteReply::At(counter)
    }

    /// `PEXPIRE key hold GT` on a key that is still ours. Asks nothing of the
    /// record: it neither creates nor counts, so it is harmless throughout.
    ///
    /// `GT`: an extend whose answer is lost must leave the holder's old deadline
    /// true, so none may bring the end forward.
    pub fn extend(
        &mut self,
        name: &LockName,
        nonce: Nonce,
        hold: Duration,
        now: StoreTime,
    ) -> OwnerReply {
        let ends = now.saturating_add(hold);
        match self.key(name, now) {
            Some(key) if key.holder == nonce => {
                let ends = match made(Mutation::ExtendShortens) {
                    true => ends,
                    false => ends.max(key.ends),
                };
                self.set_key(name, nonce, ends);
                OwnerReply::Done
            }
            None if made(Mutation::ExtendCreates) => {
                self.set_key(name, nonce, ends);
                OwnerReply::Done
            }
            _ => OwnerReply::Gone,
        }
    }

    /// Deletes a key that is still ours, and publishes a wake-up.
    pub fn release(&mut self, name: &LockName, nonce: Nonce, now: StoreTime) -> OwnerReply {
        if self.holds(name, nonce, now) || made(Mutation::ReleaseAnything) {
            self.data.keys.remove(name);
            OwnerReply::Done
        } else {
            OwnerReply::Gone
        }
    }

    /// The lock as this node has it.
    #[must_use]
    pub fn status(&self, name: &LockName, now: StoreTime) -> NodeStatus {
        let key = self.key(name, now);
        NodeStatus {
            held: key.map(|key| (key.holder, key.ends.saturating_since(now))),
            counter: self.fence(name, now),
        }
    }

    /// Join, step 1: what the server says of itself. Changes nothing.
    #[must_use]
    pub fn inspect(&self, now: StoreTime) -> JoinReply {
        JoinReply::Inspected(self.inspection(now))
    }

    /// Join, step 2: writes down that the loss was noticed, unless it is written
    /// already, and says when and under which ticket.
    pub fn notice(&mut self, run_id: RunId, ticket: Nonce, now: StoreTime) -> JoinReply {
        let fresh = Notice {
            run_id,
            ticket,
            at: now,
        };
        let known = self.data.notice.filter(|notice| notice.run_id == run_id);
        let notice = *self.data.notice.insert(known.unwrap_or(fresh));
        JoinReply::Noticed {
            ticket: notice.ticket,
            ago: now.saturating_since(notice.at),
            inspection: self.inspection(now),
        }
    }

    /// Join, step 3, asked of the *other* nodes: what they remember. `run_id` is
    /// this node's, as read by the connection that asks. Changes nothing.
    #[must_use]
    pub fn recall(&self, run_id: RunId, now: StoreTime) -> JoinReply {
        let record = self.data.record;
        JoinReply::Recalled(Recalled {
            joined_for: self
                .joined(run_id)
                .map(|record| now.saturating_since(record.since)),
            mark: record.map_or(Token::NONE, |r| r.high.max(r.floor)),
            max_ttl: record.map_or(Duration::ZERO, |r| r.max_ttl),
            unix_micros: now.as_micros(),
        })
    }

    /// Join, step 4, asked of the *other* nodes: remember at least this.
    pub fn raise(&mut self, run_id: RunId, to: Token) -> JoinReply {
        if self.joined(run_id).is_none() {
            return JoinReply::Refused;
        }
        if let Some(record) = &mut self.data.record {
            record.high = record.high.max(to);
        }
        JoinReply::Raised
    }

    /// Join, step 5: votes from now on, if it has not forgotten once more since
    /// the notice was written.
    pub fn install(
        &mut self,
        run_id: RunId,
        ticket: Nonce,
        floor: Token,
        max_ttl: Duration,
        now: StoreTime,
    ) -> JoinReply {
        let current = self
            .data
            .notice
            .is_some_and(|notice| notice.run_id == run_id && notice.ticket == ticket);
        if !current && !made(Mutation::NoTicket) {
            return JoinReply::Refused;
        }
        let old = self.data.record;
        self.data.notice = None;
        self.data.record = Some(Record {
            high: old.map_or(Token::NONE, |old| old.high).max(floor),
            floor: old.map_or(Token::NONE, |old| old.floor).max(floor),
            joined: run_id,
            since: now,
            max_ttl: old.map_or(Duration::ZERO, |old| old.max_ttl).max(max_ttl),
        });
        JoinReply::Installed
    }

    /// Join, step 1 of a node that kept its record: the same under this run id.
    ///
    /// A longer `max_ttl` may come into force at any time: a node that forgets
    /// learns it from the others that took such a TTL.
    pub fn adopt(&mut self, run_id: RunId, max_ttl: Duration) -> JoinReply {
        match &mut self.data.record {
            Some(record) => {
                record.joined = run_id;
                record.max_ttl = record.max_ttl.max(max_ttl);
                JoinReply::Installed
            }
            None => JoinReply::Refused,
        }
    }

    /// Join, step 1 of a node that lost nothing but the scripts.
    pub fn keep(&mut self, run_id: RunId, max_ttl: Duration) -> JoinReply {
        match self.joined(run_id) {
            Some(_) => self.adopt(run_id, max_ttl),
            None => JoinReply::Refused,
        }
    }

    /// Lets a key run out now. For models without time.
    pub fn expire_key(&mut self, name: &LockName) {
        self.data.keys.remove(name);
    }

    /// Drops a counter now, as retention or eviction may. For models without time.
    pub fn expire_fence(&mut self, name: &LockName) {
        self.data.fences.remove(name);
    }

    fn inspection(&self, now: StoreTime) -> Inspection {
        let record = self.data.record;
        Inspection {
            run_id: self.run_id,
            joined: record.map(|record| record.joined),
            mark: record.map_or(Token::NONE, |r| r.high.max(r.floor)),
            max_ttl: record.map_or(Duration::ZERO, |r| r.max_ttl),
            uptime: now.saturating_since(self.started),
            disturbed: self.disturbed,
            unix_micros: now.as_micros(),
        }
    }

    fn joined(&self, run_id: RunId) -> Option<Record> {
        self.data.record.filter(|record| record.joined == run_id)
    }

    fn key(&self, name: &LockName, now: StoreTime) -> Option<Key> {
        let key = self.data.keys.get(name).copied();
        key.filter(|key| key.ends > now)
    }

    fn holds(&self, name: &LockName, nonce: Nonce, now: StoreTime) -> bool {
        self.key(name, now).is_some_and(|key| key.holder == nonce)
    }

    fn set_key(&mut self, name: &LockName, holder: Nonce, ends: StoreTime) {
        self.data.keys.insert(name.clone(), Key { holder, ends });
    }

    fn fence(&self, name: &LockName, now: StoreTime) -> Option<Token> {
        let fence = self.data.fences.get(name);
        fence
            .filter(|fence| fence.ends > now)
            .map(|fence| fence.counter)
    }

    /// The last counter of a name, or one that is at least as great.
    fn counter(&self, name: &LockName, record: Record, now: StoreTime) -> Token {
        self.fence(name, now).unwrap_or(record.high)
    }

    fn count(&mut self, name: &LockName, counter: Token, now: StoreTime) -> Token {
        let ends = now.saturating_add(self.retention);
        self.data
            .fences
            .insert(name.clone(), Fence { counter, ends });
        let high = self.data.record.as_mut().map(|record| {
            record.high = record.high.max(counter);
            record.high
        });
        high.unwrap_or(counter)
    }
}
