//! A lock as it stands, for people and programs to read.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::{HeldBy, LockName, Mode, Nonce, Owner, Token};

/// A lock as it stands. All durations are by the store's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LockStatus {
    /// The lock.
    pub name: LockName,
    /// The last token granted; [`Token::NONE`] if none was.
    pub token: Token,
    /// The smallest value the next token may take.
    pub floor: Token,
    /// Who holds it.
    pub holders: Vec<HolderStatus>,
    /// Who waits, in order.
    pub waiters: Vec<WaiterStatus>,
    /// The last time it was broken by hand.
    pub last_break: Option<BreakStatus>,
}

/// One holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HolderStatus {
    /// Its label.
    pub owner: Owner,
    /// How it holds the lock.
    pub mode: Mode,
    /// Its token.
    pub token: Token,
    /// The identity of its grant.
    pub nonce: Nonce,
    /// How long ago it was granted, in seconds.
    #[serde(rename = "held_seconds", serialize_with = "seconds")]
    pub held_for: Duration,
    /// How long until its TTL ends unless it renews, in seconds; zero while only
    /// the grace is left.
    #[serde(rename = "remaining_seconds", serialize_with = "seconds")]
    pub remaining: Duration,
    /// How long until the store lets go of it unless it renews, in seconds.
    #[serde(rename = "free_in_seconds", serialize_with = "seconds")]
    pub free_in: Duration,
}

/// One waiter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WaiterStatus {
    /// Its label.
    pub owner: Owner,
    /// How it wants the lock.
    pub mode: Mode,
    /// The identity of its request.
    pub nonce: Nonce,
    /// How long it has waited, in seconds.
    #[serde(rename = "waited_seconds", serialize_with = "seconds")]
    pub waited: Duration,
}

/// A break by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BreakStatus {
    /// Who did it.
    pub by: Owner,
    /// Why.
    pub reason: String,
    /// When, by the wall clock of whoever did it; for people only.
    pub unix_seconds: u64,
    /// The tokens of the grants it ended.
    pub ended: Vec<Token>,
}

impl LockStatus {
    /// A lock that nobody holds or waits for.
    #[must_use]
    pub const fn free(name: LockName, token: Token, floor: Token) -> Self {
        Self {
            name,
            token,
            floor,
            holders: Vec::new(),
            waiters: Vec::new(),
            last_break: None,
        }
    }

    /// Whether anybody holds the lock or waits for it.
    #[must_use]
    pub const fn is_in_use(&self) -> bool {
        !self.holders.is_empty() || !self.waiters.is_empty()
    }

    /// The holders, as an error names them.
    #[must_use]
    pub fn held_by(&self) -> Vec<HeldBy> {
        self.holders.iter().map(HolderStatus::held_by).collect()
    }
}

impl HolderStatus {
    /// This holder, with the parts that an engine knows.
    #[must_use]
    pub const fn new(owner: Owner, mode: Mode, token: Token, nonce: Nonce) -> Self {
        let zero = Duration::ZERO;
        Self {
            owner,
            mode,
            token,
            nonce,
            held_for: zero,
            remaining: zero,
            free_in: zero,
        }
    }

    /// This holder, as an error names it.
    #[must_use]
    pub fn held_by(&self) -> HeldBy {
        HeldBy {
            owner: self.owner.to_string(),
            token: self.token,
            nonce: self.nonce,
            held_for: self.held_for,
        }
    }
}

impl WaiterStatus {
    /// This waiter, with the parts that an engine knows.
    #[must_use]
    pub const fn new(owner: Owner, mode: Mode, nonce: Nonce) -> Self {
        Self {
            owner,
            mode,
            nonce,
            waited: Duration::ZERO,
        }
    }
}

impl BreakStatus {
    /// A break by hand.
    #[must_use]
    pub const fn new(by: Owner, reason: String, unix_seconds: u64, ended: Vec<Token>) -> Self {
        Self {
            by,
            reason,
            unix_seconds,
            ended,
        }
    }
}

fn seconds<S: Serializer>(length: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(length.as_secs_f64())
}
