//! A lock as one node has it.

use std::time::Duration;

use leasehold_core::{BreakStatus, Mode, Nonce, Owner, Token};
use redis::Value;

use super::BadReply;
use super::reply::{array, int, micros, millis, parsed, text, token};

/// A lock as one node has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// No grant of the name there had a greater counter; `None` if the node has no
    /// record. Names share counters.
    pub(crate) counter: Option<Token>,
    /// What has the lock; of many, some, unless told by a status.
    pub(crate) holders: Vec<HeldKey>,
    /// How many wait before whoever asked. Told by an acquire only.
    pub(crate) ahead: u32,
    /// Who waits, in order. Told by a status only.
    pub(crate) waiters: Vec<Waiting>,
    /// The last time it was broken by hand. Told by a status only.
    pub(crate) last_break: Option<BreakStatus>,
}

/// One that has the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldKey {
    /// What is written in the lock's own key; of a foreign client, anything.
    pub(crate) value: Vec<u8>,
    /// How long it lives unless extended; [`Duration::MAX`] if for ever.
    pub(crate) free_in: Duration,
    /// What is known of it, if it is a lease of ours.
    pub(crate) lease: Option<Lease>,
}

/// A lease of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Its nonce.
    pub(crate) nonce: Nonce,
    /// Who has it.
    pub(crate) owner: Owner,
    /// How many may hold the lock beside it.
    pub(crate) mode: Mode,
    /// Which permit it is.
    pub(crate) slot: u32,
    /// Its counter on this node.
    pub(crate) counter: Token,
    /// How long ago it was granted, by the node's clock.
    pub(crate) held_for: Duration,
    /// The TTL it was granted with.
    pub(crate) ttl: Duration,
    /// How much longer than its TTL the key lives.
    pub(crate) grace: Duration,
}

/// One that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) nonce: Nonce,
    pub(crate) owner: Owner,
    pub(crate) mode: Mode,
    /// For how long, by the node's clock.
    pub(crate) waited: Duration,
}

impl View {
    /// The leases of ours among the holders.
    pub(crate) fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.holders.iter().filter_map(|key| key.lease.as_ref())
    }

    /// Whether a client of another kind has the lock.
    pub(crate) fn is_foreign(&self) -> bool {
        self.holders.iter().any(|key| key.lease.is_none())
    }
}

impl HeldKey {
    /// Whether it is the same holder, maybe on another node.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.lease, &other.lease) {
            (Some(one), Some(other)) => one.nonce == other.nonce,
            (None, None) => self.value == other.value,
            _ => false,
        }
    }

    /// By what a break names it: the nonce of a lease, the value of any other.
    pub(crate) fn identity(&self) -> Vec<u8> {
        match &self.lease {
            Some(lease) => lease.nonce.to_string().into_bytes(),
            None => self.value.clone(),
        }
    }

    fn read(value: &Value) -> Option<Self> {
        let (value, left, lease) = match array(value)? {
            [value, left, lease @ ..] => (value, left, lease),
            _ => return None,
        };
        let Value::BulkString(value) = value else {
            return None;
        };
        let lease = match lease {
            [] => None,
            [nonce, owner, mode, slot, counter, held, ttl, grace] => Some(Lease {
                nonce: parsed(nonce)?,
                owner: Owner::new(text(owner)?),
                mode: read_mode(mode)?,
                slot: int(slot)?.try_into().ok()?,
                counter: token(counter)?,
                held_for: micros(held)?,
                ttl: millis(ttl)?,
                grace: millis(grace)?,
            }),
            _ => return None,
        };
        Some(Self {
            value: value.clone(),
            free_in: free_in(left)?,
            lease,
        })
    }
}

impl Waiting {
    fn read(value: &Value) -> Option<Self> {
        let [nonce, owner, mode, waited] = array(value)? else {
            return None;
        };
        Some(Self {
            nonce: parsed(nonce)?,
            owner: Owner::new(text(owner)?),
            mode: read_mode(mode)?,
            waited: micros(waited)?,
        })
    }
}

/// A length in ms, or for ever.
pub(super) fn free_in(value: &Value) -> Option<Duration> {
    match value {
        Value::Int(-1) => Some(Duration::MAX),
        value => millis(value),
    }
}

pub(super) fn read_holders(value: &Value) -> Option<Vec<HeldKey>> {
    array(value)?.iter().map(HeldKey::read).collect()
}

fn read_mode(value: &Value) -> Option<Mode> {
    match value {
        Value::Int(-1) => Some(Mode::Exclusive),
        Value::Int(0) => Some(Mode::Shared),
        value => Mode::permit_of(int(value)?.try_into().ok()?),
    }
}

/// The answer to a status.
pub(crate) fn decode_status(value: &Value) -> Result<View, BadReply> {
    read_status(value).ok_or_else(|| BadReply::new("status", value))
}

fn read_status(value: &Value) -> Option<View> {
    let [broken, counter, holders, waiters] = array(value)? else {
        return None;
    };
    let last_break = match array(broken)? {
        [Value::Nil, ..] => None,
        [by, reason, at, ended] => {
            let ended = text(ended)?.split(' ').filter(|token| !token.is_empty());
            let ended: Result<Vec<Token>, _> = ended.map(str::parse).collect();
            let (by, reason) = (Owner::new(text(by)?), text(reason)?.to_owned());
            Some(BreakStatus::new(by, reason, parsed(at)?, ended.ok()?))
        }
        _ => return None,
    };
    Some(View {
        counter: match counter {
            Value::Int(-1) => None,
            counter => Some(token(counter)?),
        },
        holders: read_holders(holders)?,
        ahead: 0,
        waiters: array(waiters)?
            .iter()
            .map(Waiting::read)
            .collect::<Option<_>>()?,
        last_break,
    })
}

/// The answer to a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BreakReply {
    /// It is ended, and this is the counter now. `None` on a node that does
    /// not vote: it will join above all counters anyway.
    Broken(Option<Token>),
    /// The lock is not as expected: something else has it. Nothing changed.
    Gone,
}

/// The answer to a break.
pub(crate) fn decode_break(value: &Value) -> Result<BreakReply, BadReply> {
    let reply = match value {
        Value::Int(-1) => Some(BreakReply::Broken(None)),
        value => match int(value) {
            Some(0) => Some(BreakReply::Gone),
            _ => token(value).map(|counter| BreakReply::Broken(Some(counter))),
        },
    };
    reply.ok_or_else(|| BadReply::new("break", value))
}
