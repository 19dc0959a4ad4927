//! The answers to the commands of a lock.

use leasehold_core::quorum::{AcquireReply, Holder, OwnerReply, PromoteReply, Push};
use leasehold_core::{Nonce, Token};
use redis::Value;

use super::BadReply;
use super::reply::{array, int, millis, parsed, token};
use super::view::{View, free_in, read_holders};

/// The answer to an acquire, and if it is `Busy`, the lock as the node has it.
pub(crate) fn decode_acquire(value: &Value) -> Result<(AcquireReply, Option<View>), BadReply> {
    read_acquire(value).ok_or_else(|| BadReply::new("acquire", value))
}

fn read_acquire(value: &Value) -> Option<(AcquireReply, Option<View>)> {
    if let Value::Int(_) = value {
        let counter = granted(token(value)?)?;
        return Some((AcquireReply::Granted { counter }, None));
    }
    let (kind, rest) = array(value)?.split_first()?;
    let reply = match (int(kind)?, rest) {
        (1, [place, ahead, left, kind, who, counter, holders]) => {
            let (free_in, holder) = (free_in(left)?, read_holder(kind, who)?);
            let view = View {
                counter: Some(token(counter)?),
                holders: read_holders(holders)?,
                ahead: int(ahead)?.try_into().ok()?,
                waiters: Vec::new(),
                last_break: None,
            };
            let reply = match place {
                Value::Int(-1) => AcquireReply::Busy { free_in, holder },
                place => AcquireReply::Queued {
                    place: int(place)?,
                    ahead: int(ahead)?.try_into().ok()?,
                    free_in,
                    holder,
                },
            };
            return Some((reply, Some(view)));
        }
        (2, []) => AcquireReply::NotJoined,
        (3, [most]) => AcquireReply::TooLong {
            most: millis(most)?,
        },
        (4, []) => AcquireReply::Exhausted,
        (5, [permits]) => AcquireReply::Clash {
            permits: int(permits)?.try_into().ok()?,
        },
        _ => return None,
    };
    Some((reply, None))
}

/// Zero is never granted: whoever says so did not count.
fn granted(counter: Token) -> Option<Token> {
    (counter != Token::NONE).then_some(counter)
}

fn read_holder(kind: &Value, who: &Value) -> Option<Holder> {
    match (int(kind)?, who) {
        (0, _) => Some(Holder::Nobody),
        (1, who) => parsed(who).map(Holder::Lease),
        (2, who) => parsed(who).map(|first| Holder::Several { first }),
        (3, Value::BulkString(value)) => Some(Holder::Foreign(hash(value))),
        _ => None,
    }
}

/// Enough to tell values apart.
fn hash(value: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| hash.rotate_left(5) ^ u64::from(*byte);
    value.iter().fold(0, step)
}

/// What a waiter is told on its channel, and which of a client's waiters it is.
pub(crate) fn decode_push(payload: &[u8]) -> Option<(Nonce, Push)> {
    let mut words = std::str::from_utf8(payload).ok()?.split(' ');
    let (kind, nonce, number) = (words.next()?, words.next()?, words.next()?);
    let push = match kind {
        "h" => Push::Handed {
            counter: granted(number.parse().ok()?)?,
        },
        "f" => Push::Free {
            slot: number.parse().ok()?,
        },
        _ => return None,
    };
    let nonce = nonce.parse().ok()?;
    words.next().is_none().then_some((nonce, push))
}

/// The answer to a promote.
pub(crate) fn decode_promote(value: &Value) -> Result<PromoteReply, BadReply> {
    let reply = match value {
        Value::Int(-1) => Some(PromoteReply::NotJoined),
        Value::Int(0) => Some(PromoteReply::Gone),
        value => token(value).map(PromoteReply::At),
    };
    reply.ok_or_else(|| BadReply::new("promote", value))
}

/// The answer to an extend.
pub(crate) fn decode_extend(value: &Value) -> Result<OwnerReply, BadReply> {
    decode_owner("extend", value)
}

/// The answer to a release.
pub(crate) fn decode_release(value: &Value) -> Result<OwnerReply, BadReply> {
    decode_owner("release", value)
}

fn decode_owner(command: &'static str, value: &Value) -> Result<OwnerReply, BadReply> {
    match value {
        Value::Int(1) => Ok(OwnerReply::Done),
        Value::Int(0) => Ok(OwnerReply::Gone),
        other => Err(BadReply::new(command, other)),
    }
}
