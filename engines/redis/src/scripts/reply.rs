//! Reading answers. Whatever a server says, nothing here panics.

use std::fmt;
use std::time::Duration;

use leasehold_core::Token;
use redis::Value;

/// An answer that the command does not have: this is no Redis, or no script of
/// ours, or somebody wrote to our keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadReply {
    command: &'static str,
    got: String,
}

impl BadReply {
    pub(crate) fn new(command: &'static str, got: &impl fmt::Debug) -> Self {
        const SHOWN: usize = 120;
        let mut got = format!("{got:?}");
        if let Some((end, _)) = got.char_indices().nth(SHOWN) {
            got.truncate(end);
            got.push('…');
        }
        Self { command, got }
    }
}

impl fmt::Display for BadReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, got } = self;
        write!(f, "the answer to {command} makes no sense: {got}")
    }
}

impl std::error::Error for BadReply {}

pub(super) fn int(value: &Value) -> Option<u64> {
    match value {
        Value::Int(value) => u64::try_from(*value).ok(),
        _ => None,
    }
}

pub(super) fn millis(value: &Value) -> Option<Duration> {
    int(value).map(Duration::from_millis)
}

pub(super) fn micros(value: &Value) -> Option<Duration> {
    int(value).map(Duration::from_micros)
}

pub(super) fn token(value: &Value) -> Option<Token> {
    int(value).and_then(Token::new)
}

pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

pub(super) fn parsed<T: std::str::FromStr>(value: &Value) -> Option<T> {
    text(value)?.parse().ok()
}

pub(super) fn array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}
