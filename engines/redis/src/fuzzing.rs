//! What the fuzzer feeds that has no other way in.

use std::pin::Pin;
use std::task::{Context, Waker};

use leasehold_core::quorum::{AcquireReply, PromoteReply, Push};
use leasehold_core::{LockName, Token};
use redis::Value;

use crate::link::{Incoming, parse};
use crate::scripts::{
    Keys, decode_acquire, decode_break, decode_extend, decode_info, decode_join_any,
    decode_promote, decode_push, decode_release, decode_status,
};

/// An answer that tells of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning<'a> {
    /// To what.
    pub command: &'static str,
    /// The counter of the grant.
    pub token: u64,
    /// The answer.
    pub bytes: &'a [u8],
}

/// Reads answers that come in pieces of at most so many bytes: each as shown, and
/// why the rest is none.
#[must_use]
pub fn answers(bytes: &[u8], piece: usize) -> Vec<Result<String, &'static str>> {
    let mut incoming = Incoming::new();
    let mut answers = Vec::new();
    for mut piece in bytes.chunks(piece) {
        while !piece.is_empty() {
            let mut cx = Context::from_waker(Waker::noop());
            // Reading from memory neither waits nor fails.
            let _ = incoming.poll_fill(Pin::new(&mut piece), &mut cx);
            loop {
                match incoming.next() {
                    Ok(Some(value)) => answers.push(Ok(format!("{value:?}"))),
                    Ok(None) => break,
                    Err(malformed) => {
                        answers.push(Err(malformed.0));
                        return answers;
                    }
                }
            }
        }
    }
    answers
}

/// Offers each answer to every reader of answers, and says which took it for a grant.
#[must_use]
pub fn meanings(mut bytes: &[u8]) -> Vec<Meaning<'_>> {
    let mut found = Vec::new();
    while let Ok(Some((value, length))) = parse(bytes) {
        let (this, rest) = bytes.split_at(length);
        bytes = rest;
        let mut note = |command, token: Option<Token>| {
            found.extend(token.map(|token| Meaning {
                command,
                token: token.get(),
                bytes: this,
            }));
        };
        note(
            "acquire",
            match decode_acquire(&value) {
                Ok((AcquireReply::Granted { counter }, _)) => Some(counter),
                _ => None,
            },
        );
        note(
            "promote",
            match decode_promote(&value) {
                Ok(PromoteReply::At(counter)) => Some(counter),
                _ => None,
            },
        );
        if let Value::Push { data, .. } = &value {
            for word in data {
                let Value::BulkString(payload) = word else {
                    continue;
                };
                note(
                    "push",
                    match decode_push(payload) {
                        Some((_, Push::Handed { counter })) => Some(counter),
                        _ => None,
                    },
                );
            }
        }
        let _ = decode_extend(&value);
        let _ = decode_release(&value);
        let _ = decode_status(&value);
        let _ = decode_break(&value);
        let _ = decode_info(&value);
        decode_join_any(&value);
    }
    found
}

/// The locks that these keys on a server would be taken for.
#[must_use]
pub fn lock_of(key: &str, prefix: &str) -> Option<LockName> {
    Keys::lock_of(key, prefix)
}
