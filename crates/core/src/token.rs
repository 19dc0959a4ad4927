//! The fencing token.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A fencing token: greater with every grant of a lock name, never reused (C1).
///
/// Hand it to the protected resource with every write, and let the resource
/// refuse a token smaller than one it has seen. That, and not the lock, is what
/// stops a holder that was paused beyond its lease (Kleppmann, "How to do
/// distributed locking", 2016).
///
/// Tokens fit in 53 bits, so JSON, Lua and JavaScript keep them exact. Zero
/// means "none yet" and is never granted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(try_from = "u64", into = "u64")]
pub struct Token(u64);

impl Token {
    /// No token yet.
    pub const NONE: Self = Self(0);
    /// The greatest token there can be: 2⁵³ − 1.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// A token of this value, or `None` above [`Token::MAX`].
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX.0 {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The value.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The next token, or `None` when the 53 bits are used up.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    /// This token plus `n`, at most [`Token::MAX`].
    #[must_use]
    pub const fn saturating_add(self, n: u64) -> Self {
        match Self::new(self.0.saturating_add(n)) {
            Some(token) => token,
            None => Self::MAX,
        }
    }

    /// Where a store that has no memory starts: 2²⁰ tokens for each second since
    /// the Unix epoch.
    ///
    /// A store that lost everything (a deleted file, a wiped server) so begins
    /// above whatever it granted before, as long as it granted fewer than 2²⁰
    /// tokens a second and the clock was not set back by more than the outage.
    /// This is the only use of a wall clock, and only a store without memory
    /// looks at it.
    #[must_use]
    pub const fn era(unix_seconds: u64) -> Self {
        match unix_seconds.checked_mul(1 << 20) {
            Some(value) if value <= Self::MAX.0 => Self(value),
            _ => Self::MAX,
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        s.parse().ok().and_then(Self::new).ok_or_else(|| {
            Error::invalid(
                "token",
                s.escape_debug().to_string(),
                "give a whole number from 0 to 9007199254740991",
            )
        })
    }
}

impl TryFrom<u64> for Token {
    type Error = Error;

    fn try_from(value: u64) -> Result<Self, Error> {
        Self::new(value).ok_or_else(|| {
            Error::invalid("token", value.to_string(), "tokens end at 9007199254740991")
        })
    }
}

impl From<Token> for u64 {
    fn from(token: Token) -> Self {
        token.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_end_at_53_bits() {
        assert_eq!(Token::MAX.next(), None);
        assert_eq!(Token::new(1 << 53), None);
        assert_eq!(Token::MAX.saturating_add(1), Token::MAX);
        assert_eq!(Token::NONE.next(), Token::new(1));
    }

    #[test]
    fn an_era_leaves_room_for_two_centuries() {
        let year_2200 = 7_258_118_400;
        assert!(Token::era(year_2200) < Token::MAX);
        assert!(Token::era(1_795_000_000) > Token::new(1 << 50).unwrap());
    }
}
