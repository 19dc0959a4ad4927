//! Several locks in one call of a script. Each is treated as if it had been asked for
//! alone, or not touched at all; so nothing of it is in the protocol.
//!
//! A call costs a server about as much again as what it does for one lock, which is
//! why this is worth it. In a Redis Cluster a script may touch keys of one slot only,
//! so there locks are asked for one by one.

use std::time::Duration;

use leasehold_core::{Nonce, Owner, Token};
use redis::Value;

use super::{Arg, Keys, Packed, RunText, Scripts, Voting, millis, whole_millis};

/// The most locks in one call: it keeps the server from others for well under a
/// millisecond.
pub(crate) const MOST: usize = 32;

/// The scripts for several locks.
#[derive(Debug)]
pub(super) struct ManyScripts {
    acquire: Voting,
    extend: Voting,
    release: Voting,
}

/// What locks that are taken in one call have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    /// TTL plus grace.
    pub(crate) hold: Duration,
    /// How long a place in the line would be kept.
    pub(crate) line: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) owner: &'a Owner,
}

impl ManyScripts {
    pub(super) fn new() -> Self {
        let whole = |code: &str| Voting::new(code.to_owned());
        Self {
            acquire: whole(include_str!("acquire_many.lua")),
            extend: whole(include_str!("extend_many.lua")),
            release: whole(include_str!("release_many.lua")),
        }
    }

    pub(super) const fn all(&self) -> [&Voting; 3] {
        [&self.acquire, &self.extend, &self.release]
    }
}

impl Scripts {
    /// Takes those of these locks that are free. See [`decode_many`].
    pub(crate) fn acquire_many(
        &self,
        run_id: &RunText,
        terms: Terms<'_>,
        locks: &[(&Keys, Nonce, Token)],
    ) -> Packed {
        let ttl = whole_millis(terms.hold.saturating_sub(terms.grace));
        let label = format!("{ttl} {} {}", whole_millis(terms.grace), terms.owner);
        let longest = terms.hold.max(terms.line.unwrap_or_default());
        let Some((first, _, _)) = locks.first() else {
            return Packed::default();
        };
        let mut keys = Vec::with_capacity(1 + 3 * locks.len());
        keys.push(first.record());
        keys.extend(locks.iter().map(|(keys, _, _)| keys.lock()));
        keys.extend(locks.iter().map(|(keys, _, _)| keys.lease()));
        keys.extend(locks.iter().map(|(keys, _, _)| keys.line()));
        let mut args = Vec::with_capacity(4 + 3 * locks.len());
        args.extend([
            run_id.into(),
            millis(terms.hold),
            millis(longest),
            Arg::Text(&label),
        ]);
        for (keys, nonce, proposal) in locks {
            let proposal = Arg::Number(proposal.get());
            args.extend([Arg::Nonce(*nonce), proposal, keys.counter()]);
        }
        self.many.acquire.call(&keys, &args)
    }

    /// Lets exclusive leases live longer. See [`decode_many`].
    pub(crate) fn extend_many(&self, hold: Duration, locks: &[(&Keys, Nonce)]) -> Packed {
        let mut keys = Vec::with_capacity(2 * locks.len());
        keys.extend(locks.iter().map(|(keys, _)| keys.lock()));
        keys.extend(locks.iter().map(|(keys, _)| keys.lease()));
        let mut args = vec![millis(hold)];
        args.extend(locks.iter().map(|(_, nonce)| Arg::Nonce(*nonce)));
        self.many.extend.call(&keys, &args)
    }

    /// Ends exclusive leases that nobody waits for. See [`decode_many`].
    pub(crate) fn release_many(&self, locks: &[(&Keys, Nonce)]) -> Packed {
        let mut keys = Vec::with_capacity(3 * locks.len());
        keys.extend(locks.iter().map(|(keys, _)| keys.lock()));
        keys.extend(locks.iter().map(|(keys, _)| keys.lease()));
        keys.extend(locks.iter().map(|(keys, _)| keys.line()));
        let args: Vec<_> = locks.iter().map(|(_, nonce)| Arg::Nonce(*nonce)).collect();
        self.many.release.call(&keys, &args)
    }
}

/// The answer for each of so many locks, as the script for one lock would have given
/// it; `None` for one that was not touched and has to be asked for alone.
pub(crate) fn decode_many(value: Value, locks: usize) -> Vec<Option<Value>> {
    match value {
        Value::Array(each) if each.len() == locks => {
            let said = |value| (value != Value::Int(-1)).then_some(value);
            each.into_iter().map(said).collect()
        }
        Value::Int(0) => vec![Some(Value::Array(vec![Value::Int(2)])); locks],
        Value::Int(-1) => vec![None; locks],
        // No script of ours says that, and each reader will say so.
        _ => vec![Some(Value::Nil); locks],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_and_one_of_another_length_is_none() {
        let of =
            |counters: &[i64]| Value::Array(counters.iter().copied().map(Value::Int).collect());
        let said = decode_many(of(&[7, -1, 0]), 3);
        assert_eq!(said, [Some(Value::Int(7)), None, Some(Value::Int(0))]);
        assert_eq!(
            decode_many(of(&[7]), 2),
            [Some(Value::Nil), Some(Value::Nil)]
        );
        assert_eq!(decode_many(Value::Int(7), 1), [Some(Value::Nil)]);
        assert_eq!(decode_many(Value::Int(-1), 1), [None]);
        let not_joined = Some(Value::Array(vec![Value::Int(2)]));
        assert_eq!(decode_many(Value::Int(0), 1), [not_joined]);
    }
}
