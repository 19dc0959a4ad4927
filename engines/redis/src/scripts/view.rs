//! A lock as one node has it.

use std::time::Duration;

use leasehold_core::{BreakStatus, Nonce, Owner, Token};
use redis::Value;

use super::BadReply;
use super::reply::{array, int, micros, millis, parsed, text, token};

/// A lock as one node has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// The last counter granted there, if the node still has it. That of the
    /// present lease, if there is one.
    pub(crate) counter: Option<Token>,
    /// The lock's key, if it is there.
    pub(crate) key: Option<HeldKey>,
    /// The last time it was broken by hand. Told by a status only.
    pub(crate) last_break: Option<BreakStatus>,
}

/// The key of a lock that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldKey {
    /// What is written there; of a foreign client, anything.
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
    /// How long ago it was granted, by the node's clock.
    pub(crate) held_for: Duration,
    /// The TTL it was granted with.
    pub(crate) ttl: Duration,
    /// How much longer than its TTL the key lives.
    pub(crate) grace: Duration,
}

impl View {
    /// Reads what follows in an answer: counter, life, value, lease.
    pub(super) fn read(values: &[Value]) -> Option<Self> {
        let (counter, rest) = values.split_first()?;
        let counter = match counter {
            Value::Int(-1) => None,
            counter => Some(token(counter)?),
        };
        let key = match rest {
            [] => None,
            [left, value, lease @ ..] => Some(HeldKey::read(left, value, lease)?),
            [_] => return None,
        };
        Some(Self {
            counter,
            key,
            last_break: None,
        })
    }
}

impl HeldKey {
    fn read(left: &Value, value: &Value, lease: &[Value]) -> Option<Self> {
        let Value::BulkString(value) = value else {
            return None;
        };
        let free_in = match left {
            Value::Int(-1) => Duration::MAX,
            left => millis(left)?,
        };
        let lease = match lease {
            [] => None,
            [owner, held, ttl, grace] => Some(Lease {
                nonce: nonce(value)?,
                owner: Owner::new(text(owner)?),
                held_for: micros(held)?,
                ttl: millis(ttl)?,
                grace: millis(grace)?,
            }),
            _ => return None,
        };
        Some(Self {
            value: value.clone(),
            free_in,
            lease,
        })
    }
}

/// A nonce as we write it.
fn nonce(value: &[u8]) -> Option<Nonce> {
    let nonce: Nonce = std::str::from_utf8(value).ok()?.parse().ok()?;
    (nonce.to_string().as_bytes() == value).then_some(nonce)
}

/// The answer to a status.
pub(crate) fn decode_status(value: &Value) -> Result<View, BadReply> {
    read_status(value).ok_or_else(|| BadReply::new("status", value))
}

fn read_status(value: &Value) -> Option<View> {
    let (broken, view) = array(value)?.split_first()?;
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
        last_break,
        ..View::read(view)?
    })
}

/// The answer to a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BreakReply {
    /// The key is gone, and this is the counter now. `None` on a node that does
    /// not vote: it will join above all counters anyway.
    Broken(Option<Token>),
    /// The lock is not as expected: the key has another nonce, or is free, or is
    /// not. Nothing changed.
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
