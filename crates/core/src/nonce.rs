//! The random identity of one grant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The random identity of one grant: 128 bits, written as 32 hex digits.
///
/// Whoever knows the nonce may extend and release the grant (C4). The core has
/// no source of randomness; callers bring the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// A nonce of these bytes, which must come from a good source of randomness.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0u8; 32];
        for (i, byte) in self.0.iter().enumerate() {
            text[2 * i] = DIGITS[usize::from(byte >> 4)];
            text[2 * i + 1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Nonce {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let refuse = || {
            Error::invalid(
                "nonce",
                s.escape_debug().to_string(),
                "give the 32 hex digits that the acquire printed",
            )
        };
        if s.len() != 32 || !s.is_ascii() {
            return Err(refuse());
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(s.as_bytes().chunks_exact(2)) {
            let digit = |d: u8| {
                char::from(d)
                    .to_digit(16)
                    .and_then(|d| u8::try_from(d).ok())
            };
            *byte = digit(pair[0]).ok_or_else(refuse)? << 4 | digit(pair[1]).ok_or_else(refuse)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Nonce {
    type Error = Error;

    fn try_from(s: String) -> Result<Self, Error> {
        s.parse()
    }
}

impl From<Nonce> for String {
    fn from(nonce: Nonce) -> Self {
        nonce.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let nonce = Nonce::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0xfe, 0xff]);
        assert_eq!(
            nonce.to_string(),
            "000102030405060708090a0b0c0d0eff".replace("0eff", "feff")
        );
        assert_eq!(nonce.to_string().parse::<Nonce>().unwrap(), nonce);
    }

    #[test]
    fn other_text_is_refused() {
        for bad in [
            "",
            "12",
            "zz0102030405060708090a0b0c0d0e0f",
            "+f0102030405060708090a0b0c0d0e0f",
        ] {
            assert!(bad.parse::<Nonce>().is_err(), "{bad}");
        }
    }
}
