//! The answers to the commands of a lock.

use leasehold_core::quorum::{AcquireReply, OwnerReply, PromoteReply};
use redis::Value;

use super::BadReply;
use super::reply::{array, int, millis, token};
use super::view::View;

/// The answer to an acquire, and if it is `Busy`, the lock as the node has it.
pub(crate) fn decode_acquire(value: &Value) -> Result<(AcquireReply, Option<View>), BadReply> {
    read_acquire(value).ok_or_else(|| BadReply::new("acquire", value))
}

fn read_acquire(value: &Value) -> Option<(AcquireReply, Option<View>)> {
    let (kind, rest) = array(value)?.split_first()?;
    let reply = match (int(kind)?, rest) {
        (0, [counter, high]) => AcquireReply::Granted {
            counter: token(counter)?,
            high: token(high)?,
        },
        (1, rest) => {
            let view = View::read(rest)?;
            let key = view.key.as_ref()?;
            let reply = AcquireReply::Busy {
                free_in: key.free_in,
                holder: key.lease.as_ref().map(|lease| lease.nonce),
            };
            return Some((reply, Some(view)));
        }
        (2, []) => AcquireReply::NotJoined,
        (3, [most]) => AcquireReply::TooLong {
            most: millis(most)?,
        },
        (4, []) => AcquireReply::Exhausted,
        _ => return None,
    };
    Some((reply, None))
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
