//! A record as bytes: JSON, so that a person with the store's own tools can read
//! it, with the version of the format in front.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Record;

/// The version of the format, first among a record's fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Format;

/// The version this code writes, and the only one it reads.
const VERSION: u32 = 1;

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(VERSION)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u32::deserialize(from)? {
            VERSION => Ok(Self),
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
        bytes
    }

    /// The record that was written as `bytes`.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in words. Any bytes may be given; none panic.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let record: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("not a record: {error}"))?;
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
            assert!(bytes.starts_with(b"{\"v\":1,"));
            assert_eq!(Record::decode(&bytes).unwrap(), record);
        }
    }

    #[test]
    fn other_versions_fields_and_tokens_are_refused() {
        let text = String::from_utf8(full().encode()).unwrap();
        for (from, to, said) in [
            ("\"v\":1", "\"v\":2", "format version 2"),
            ("\"v\":1,", "", "missing field"),
            ("\"f\":4", "\"f\":4,\"new\":1", "unknown field"),
            ("\"f\":4", "\"f\":9007199254740992", "tokens end at"),
            (
                "\"v\":1,\"t\":8",
                "\"v\":1,\"t\":7",
                "above the record's last token",
            ),
        ] {
            let error = Record::decode(text.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Record::decode(&bytes).is_err());
        }

        #[test]
        fn damage_never_lowers_the_token_unnoticed(at in 0usize..300, to in any::<u8>()) {
            let mut bytes = full().encode();
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(record) = Record::decode(&bytes) {
                prop_assert!(record.grants.iter().all(|grant| grant.token <= record.token));
            }
        }
    }
}
