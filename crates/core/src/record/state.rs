//! What a record holds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Hint;
use super::codec::Format;
use crate::{HeldBy, Mode, Nonce, Owner, SessionId, StoreTime, Token, Ttl};

/// How many missed intervals put a waiter out of the line.
const MISSED_INTERVALS: u32 = 3;

/// Everything there is to know about one lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    #[serde(rename = "v")]
    pub(super) format: Format,
    /// The last token granted.
    #[serde(rename = "t")]
    pub token: Token,
    /// The smallest value the next token may take.
    #[serde(rename = "f", default)]
    pub floor: Token,
    /// Who holds the lock.
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// Who waits, in order.
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    pub waiters: Vec<Waiter>,
    /// The last break by hand.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub last_break: Option<Break>,
    /// When the record last changed.
    #[serde(rename = "c", default)]
    pub changed: StoreTime,
}

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// How the lock is held.
    #[serde(rename = "m")]
    pub mode: Mode,
    /// The grant's identity.
    #[serde(rename = "n")]
    pub nonce: Nonce,
    /// The holder's label.
    #[serde(rename = "o")]
    pub owner: Owner,
    /// The grant's token.
    #[serde(rename = "t")]
    pub token: Token,
    /// The TTL.
    #[serde(rename = "l", with = "micros")]
    pub ttl: Duration,
    /// How much longer than the TTL the grant is kept.
    #[serde(rename = "r", with = "micros")]
    pub grace: Duration,
    /// The session whose death ends the grant.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// When it was granted.
    #[serde(rename = "a")]
    pub granted: StoreTime,
    /// From when the TTL counts.
    #[serde(rename = "e")]
    pub renewed: StoreTime,
    /// For a lock handed over and not yet claimed: how long it is reserved.
    #[serde(
        rename = "u",
        default,
        skip_serializing_if = "Option::is_none",
        with = "micros::option"
    )]
    pub unclaimed: Option<Duration>,
}

/// One waiter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiter {
    /// How the lock is wanted.
    #[serde(rename = "m")]
    pub mode: Mode,
    /// The identity the grant will have.
    #[serde(rename = "n")]
    pub nonce: Nonce,
    /// The waiter's label.
    #[serde(rename = "o")]
    pub owner: Owner,
    /// The TTL the grant will have.
    #[serde(rename = "l", with = "micros")]
    pub ttl: Duration,
    /// The grace the grant will have.
    #[serde(rename = "r", with = "micros")]
    pub grace: Duration,
    /// The session whose death puts it out of the line.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Since when it waits.
    #[serde(rename = "a")]
    pub since: StoreTime,
    /// When it last asked.
    #[serde(rename = "e")]
    pub refreshed: StoreTime,
    /// How often it promised to ask.
    #[serde(rename = "i", with = "micros")]
    pub interval: Duration,
}

/// A break by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Break {
    /// Who did it.
    pub by: Owner,
    /// Why.
    pub reason: String,
    /// When, by that person's wall clock; nothing is decided by it.
    pub unix_seconds: u64,
    /// The tokens it ended.
    pub ended: Vec<Token>,
}

impl Record {
    /// The record of a name that was never locked.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nobody holds the lock or waits for it.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.grants.is_empty() && self.waiters.is_empty()
    }

    /// The store's floor after this record, being idle, is collected.
    #[must_use]
    pub fn folded_into(&self, floor: Token) -> Token {
        floor.max(self.floor).max(self.token.saturating_add(1))
    }

    /// Dates every grant and waiter anew at `now`.
    ///
    /// For a record written under an earlier run of the store's clock (the machine
    /// was restarted): how long ago that was cannot be known, so what was held
    /// then is held for a whole TTL + grace from now.
    pub fn restart_clock(&mut self, now: StoreTime) {
        for grant in &mut self.grants {
            (grant.granted, grant.renewed) = (now, now);
        }
        for waiter in &mut self.waiters {
            (waiter.since, waiter.refreshed) = (now, now);
        }
        self.changed = now;
    }
}

impl Grant {
    /// When the store lets go of it, unless it is renewed.
    #[must_use]
    pub fn ends(&self) -> StoreTime {
        self.renewed
            .saturating_add(self.unclaimed.unwrap_or(self.ttl + self.grace))
    }

    /// Whether it can still be extended: claimed, and within its TTL.
    #[must_use]
    pub fn is_extendable(&self, now: StoreTime) -> bool {
        self.unclaimed.is_none() && now.saturating_since(self.renewed) <= self.ttl
    }

    /// Counts the lease anew from `now`, as claimed.
    ///
    /// It never ends sooner than before: requests overtake each other and answers
    /// get lost, so the holder may still rely on the longer TTL of an earlier one.
    pub(super) fn renew(&mut self, ttl: Ttl, now: StoreTime) {
        let promised = match self.unclaimed.take() {
            Some(_) => Duration::ZERO,
            None => self.renewed.saturating_add(self.ttl).saturating_since(now),
        };
        self.ttl = promised.max(ttl.get());
        self.renewed = now;
    }

    /// The holder, as an error names it.
    #[must_use]
    pub fn held_by(&self, now: StoreTime) -> HeldBy {
        HeldBy {
            owner: self.owner.to_string(),
            token: self.token,
            nonce: self.nonce,
            held_for: now.saturating_since(self.granted),
        }
    }
}

impl Waiter {
    /// How long it may be silent before it is out of the line.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.interval * MISSED_INTERVALS
    }

    /// The wake-up for it.
    pub(super) const fn hint(&self) -> Hint {
        Hint {
            nonce: self.nonce,
            session: self.session,
        }
    }

    /// When it falls out of the line, unless it asks again.
    #[must_use]
    pub fn ends(&self) -> StoreTime {
        self.refreshed.saturating_add(self.patience())
    }
}

/// Durations as whole microseconds.
mod micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(length: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(length.as_micros()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_micros)
    }

    pub(super) mod option {
        use super::{Deserialize, Deserializer, Duration, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(
            length: &Option<Duration>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match length {
                Some(length) => super::serialize(length, to),
                None => to.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<u64>::deserialize(from)?.map(Duration::from_micros))
        }
    }
}
