//! A record as bytes: JSON, so that a person with the store's own tools can read
//! it, with the version of the format in front and a checksum at the end.
//!
//! The checksum is the CRC-32 of all bytes before it. A store may be damaged in ways
//! that leave good JSON behind: one digit of a token is enough to grant it again.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Record;

/// The version of the format, first among a record's fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Format;

/// The version this code writes.
const VERSION: u32 = 2;
/// The version before the checksum. It is read as well, and written anew by the next
/// change.
const UNCHECKED: u32 = 1;
/// How a record without a checksum begins.
const UNCHECKED_START: &[u8] = b"{\"v\":1,";
/// What is around the eight hex digits of the checksum.
const SUM_START: &[u8] = b",\"x\":\"";
const SUM_END: &[u8] = b"\"}";
const SUM_DIGITS: usize = 8;

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(VERSION)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u32::deserialize(from)? {
            VERSION | UNCHECKED => Ok(Self),
            other => Err(D::Error::custom(format!(
                "the record has format version {other}, this program knows {VERSION}"
            ))),
        }
    }
}

impl Record {
    /// The record as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        // Writing plain data into memory has no way to fail.
        if let Err(error) = serde_json::to_writer(&mut bytes, self) {
            unreachable!("a record is plain data: {error}");
        }
        // The closing brace comes last.
        bytes.pop();
        let sum = format!("{:08x}", crc32fast::hash(&bytes));
        bytes.extend_from_slice(SUM_START);
        bytes.extend_from_slice(sum.as_bytes());
        bytes.extend_from_slice(SUM_END);
        bytes
    }

    /// The record that was written as `bytes`.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in words. Any bytes may be given; none panic.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let unchecked = bytes.starts_with(UNCHECKED_START);
        let whole = if unchecked { None } else { checked(bytes)? };
        let text = whole.as_deref().unwrap_or(bytes);
        let record: Self =
            serde_json::from_slice(text).map_err(|error| format!("not a record: {error}"))?;
        if whole.is_none() && !unchecked {
            return Err("not a record: it has no checksum".to_owned());
        }
        match record
            .grants
            .iter()
            .find(|grant| grant.token > record.token)
        {
            Some(grant) => Err(format!(
                "a grant has token {}, above the record's last token {}",
                grant.token, record.token
            )),
            None => Ok(record),
        }
    }
}

/// The record without its checksum; nothing if it has none.
fn checked(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let parts = bytes.strip_suffix(SUM_END).and_then(|rest| {
        let (rest, digits) = rest.split_last_chunk::<SUM_DIGITS>()?;
        Some((rest.strip_suffix(SUM_START)?, digits))
    });
    let Some((rest, digits)) = parts else {
        return Ok(None);
    };
    let sum = format!("{:08x}", crc32fast::hash(rest));
    if sum.as_bytes() != digits {
        // What a newer program wrote may be summed in another way.
        #[derive(Deserialize)]
        struct Version {
            #[serde(rename = "v")]
            _version: Format,
        }
        let newer = |text| serde_json::from_slice::<Version>(text).err();
        if let Some(error) = newer([rest, b"}"].concat().as_slice()) {
            return Err(format!("not a record: {error}"));
        }
        let said = String::from_utf8_lossy(digits);
        return Err(format!("its checksum is {sum}, and it says {said:?}"));
    }
    Ok(Some([rest, b"}"].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Break, Grant, Waiter};
    use crate::{Mode, Nonce, StoreTime, Token};
    use proptest::prelude::*;
    use std::time::Duration;

    fn full() -> Record {
        let nonce = Nonce::from_bytes([3; 16]);
        let (ttl, grace) = (Duration::from_secs(30), Duration::from_secs(5));
        let at = StoreTime::from_micros(17);
        let session = Some(crate::SessionId::from_bytes([9; 16]));
        Record {
            token: Token::new(8).unwrap(),
            floor: Token::new(4).unwrap(),
            grants: vec![Grant {
                mode: Mode::permit_of(3).unwrap(),
                nonce,
                owner: "\"quoted\" ünï".into(),
                token: Token::new(8).unwrap(),
                ttl,
                grace,
                session,
                granted: at,
                renewed: at,
                unclaimed: Some(grace),
            }],
            waiters: vec![Waiter {
                mode: Mode::Shared,
                nonce,
                owner: "w".into(),
                ttl,
                grace,
                session: None,
                since: at,
                refreshed: at,
                interval: grace,
            }],
            last_break: Some(Break {
                by: "op".into(),
                reason: "stuck".into(),
                unix_seconds: 1,
                ended: vec![Token::new(7).unwrap()],
            }),
            changed: at,
            ..Record::new()
        }
    }

    #[test]
    fn bytes_round_trip_and_begin_with_the_version() {
        for record in [Record::new(), full()] {
            let bytes = record.encode();
            assert!(bytes.starts_with(b"{\"v\":2,"));
            assert_eq!(Record::decode(&bytes).unwrap(), record);
        }
    }

    /// As it was written before there were checksums.
    fn unchecked(record: &Record) -> String {
        let text = serde_json::to_string(record).unwrap();
        text.replacen("\"v\":2", "\"v\":1", 1)
    }

    /// With the checksum that it should have.
    fn summed(text: &str) -> Vec<u8> {
        let rest = text.strip_suffix('}').unwrap();
        format!(
            "{rest},\"x\":\"{:08x}\"}}",
            crc32fast::hash(rest.as_bytes())
        )
        .into_bytes()
    }

    #[test]
    fn records_from_before_the_checksum_are_read() {
        let old = unchecked(&full());
        assert_eq!(Record::decode(old.as_bytes()).unwrap(), full());
        // But none that says it has one.
        for text in [
            old.replacen("\"v\":1", "\"v\":2", 1),
            old.replacen('{', "{ ", 1),
        ] {
            let error = Record::decode(text.as_bytes()).unwrap_err();
            assert!(error.contains("no checksum"), "{error}");
        }
        let both = String::from_utf8(summed(&old)).unwrap();
        assert!(
            Record::decode(both.as_bytes())
                .unwrap_err()
                .contains("unknown field")
        );
    }

    #[test]
    fn other_versions_fields_and_tokens_are_refused() {
        let text = serde_json::to_string(&full()).unwrap();
        for (from, to, said) in [
            ("\"v\":2", "\"v\":3", "format version 3"),
            ("\"v\":2,", "", "missing field"),
            ("\"f\":4", "\"f\":4,\"new\":1", "unknown field"),
            ("\"f\":4", "\"f\":9007199254740992", "tokens end at"),
            (
                "\"v\":2,\"t\":8",
                "\"v\":2,\"t\":7",
                "above the record's last token",
            ),
        ] {
            let error = Record::decode(&summed(&text.replacen(from, to, 1))).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Record::decode(&bytes).is_err());
        }

        #[test]
        fn damage_does_not_go_unnoticed(
            at in any::<prop::sample::Index>(),
            length in 0usize..40,
            new in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let whole = full().encode();
            let at = at.index(whole.len());
            let end = (at + length).min(whole.len());
            let damaged = [&whole[..at], &new[..], &whole[end..]].concat();
            prop_assert!(damaged == whole || Record::decode(&damaged).is_err());
        }
    }
}
