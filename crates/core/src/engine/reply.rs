//! What an engine answers.

use std::time::Duration;

use crate::{Deadline, HeldBy, StoreTime, Token};

/// The answer to an acquire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The nonce has the lock.
    Granted(Granted),
    /// The nonce has a place in the line.
    Queued(Queued),
    /// The lock is busy and the request did not ask to queue; nothing changed.
    Busy(Vec<HeldBy>),
}

/// A grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Its fencing token.
    pub token: Token,
    /// Its deadline, if that is sooner than the TTL counted from the request on: a
    /// lease that was handed over before it was asked for is known to last from the
    /// hand-over on. Extend it to have the whole TTL.
    pub until: Option<Deadline>,
}

impl Granted {
    /// A grant for the whole TTL.
    #[must_use]
    pub const fn whole(token: Token) -> Self {
        Self { token, until: None }
    }
}

/// A place in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// How many wait in front.
    pub ahead: usize,
    /// Who holds the lock.
    pub holders: Vec<HeldBy>,
    /// Ask again after this long at the latest: something in front may have run
    /// out by then, or the place needs refreshing.
    pub recheck_after: Duration,
}

/// The answer to an extend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// The grant lasts at least its new TTL from the request on.
    Extended,
    /// The store has no live grant of this nonce.
    Lost,
}

/// The answer to a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// The grant, or the place in the line, was given back.
    Released,
    /// It was over already: run out, broken, or released before.
    AlreadyLost,
}

/// The answer to a break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The grants that were ended. Empty if the lock was free.
    pub ended: Vec<HeldBy>,
    /// The smallest value the next token may take; every token below is dead.
    pub floor: Token,
    /// When, by the store's clock.
    pub at: StoreTime,
}
