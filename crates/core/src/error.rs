//! What can go wrong, and what each failure leaves behind (C5).

use std::fmt;
use std::time::Duration;

use crate::{LockName, Nonce, Token};

/// What an operation that failed has done to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The operation was not carried out.
    NotApplied,
    /// The operation may or may not have been carried out, now or a little later.
    Indeterminate,
}

/// What was being done when the outcome was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Taking a lock or a place in its line.
    Acquire,
    /// Prolonging a lease.
    Extend,
    /// Giving a lease or a place in the line back.
    Release,
    /// Ending somebody else's lease by force.
    Break,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Acquire => "acquire",
            Self::Extend => "extend",
            Self::Release => "release",
            Self::Break => "break",
        })
    }
}

/// Why a lease is over without having been released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// The deadline came before a renewal succeeded.
    Expired,
    /// The store no longer has the grant: broken by hand, taken after expiry, or
    /// forgotten with the store's state.
    Gone,
    /// The lease reached the longest time its holder allowed itself.
    MaxHold,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "its deadline passed before a renewal succeeded",
            Self::Gone => "the store no longer has the grant (broken, or taken after it ran out)",
            Self::MaxHold => "it reached its max_hold",
        })
    }
}

/// A holder, as far as an error needs to name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBy {
    /// The holder's label.
    pub owner: String,
    /// The token of its grant.
    pub token: Token,
    /// The grant's identity.
    pub nonce: Nonce,
    /// How long ago the grant was made, by the store's clock.
    pub held_for: Duration,
}

/// An operation failed. Each variant says whether anything changed and whether
/// the lock may be held; [`Error::effect`] and [`Error::may_be_held`] say the
/// same to a program.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else holds the lock, and waiting was not asked for.
    ///
    /// Not applied. The lock is not held by the caller.
    #[error("lock {name:?} is busy{}", held_by(.holders))]
    Contended {
        /// The lock.
        name: LockName,
        /// Who holds it. Empty if the store could not tell.
        holders: Vec<HeldBy>,
    },

    /// The caller's own limit on waiting ran out. The place in the line was
    /// given back.
    ///
    /// Not applied. The lock is not held by the caller.
    #[error("lock {name:?} was not free within {waited:?}{}", held_by(.holders))]
    TimedOut {
        /// The lock.
        name: LockName,
        /// How long the caller waited.
        waited: Duration,
        /// Who held it at the end. Empty if the store could not tell.
        holders: Vec<HeldBy>,
    },

    /// The engine cannot be used: not reachable, not permitted, out of space.
    ///
    /// Not applied: the request was not sent, or was refused whole. The lock is
    /// not held by an acquire that failed so; a lease held before is still held
    /// until its deadline.
    #[error("the {engine} engine is unavailable: {detail}; {remedy}")]
    Unavailable {
        /// The kind of engine.
        engine: &'static str,
        /// What happened.
        detail: String,
        /// What to do about it.
        remedy: String,
    },

    /// The outcome is not known: the request was sent and no answer came.
    ///
    /// Indeterminate. **The lock may be held** until TTL + grace have passed,
    /// unless the clean-up release that follows by itself gets through.
    #[error("the outcome of the {operation} on the {engine} engine is not known: {detail}")]
    Indeterminate {
        /// What was being done.
        operation: Operation,
        /// The kind of engine.
        engine: &'static str,
        /// What happened.
        detail: String,
    },

    /// The lease is over.
    ///
    /// Not applied. The lock is not held by the caller; somebody else may hold it.
    #[error("the lease of lock {name:?} with token {token} is lost: {why}")]
    Lost {
        /// The lock.
        name: LockName,
        /// The token of the lost lease.
        token: Token,
        /// Why it is over.
        why: Loss,
    },

    /// A value is not acceptable.
    ///
    /// Not applied: nothing was sent. The lock is not held.
    #[error("{setting} {value:?} is not valid: {remedy}")]
    Invalid {
        /// The setting's name.
        setting: String,
        /// The value, abridged if it is long.
        value: String,
        /// What to give instead.
        remedy: String,
    },

    /// The engine cannot do what was asked.
    ///
    /// Not applied: nothing was sent. The lock is not held.
    #[error("the {engine} engine has no {feature}: {remedy}")]
    Unsupported {
        /// The kind of engine.
        engine: &'static str,
        /// What it lacks.
        feature: &'static str,
        /// What to do instead.
        remedy: String,
    },

    /// The store holds something that is not ours, is damaged, or was written by
    /// a newer version.
    ///
    /// Not applied, and nothing in the store was changed. The lock is not held by
    /// an acquire that failed so; a lease held before is still held until its
    /// deadline.
    #[error("{what} cannot be used: {detail}; {remedy}")]
    Damaged {
        /// What is damaged.
        what: String,
        /// What was found.
        detail: String,
        /// What to do about it.
        remedy: String,
    },
}

impl Error {
    /// An [`Error::Invalid`].
    pub fn invalid(
        setting: impl Into<String>,
        value: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Invalid {
            setting: setting.into(),
            value: value.into(),
            remedy: remedy.into(),
        }
    }

    /// An [`Error::Unavailable`].
    pub fn unavailable(
        engine: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Unavailable {
            engine,
            detail: detail.into(),
            remedy: remedy.into(),
        }
    }

    /// An [`Error::Unsupported`].
    pub fn unsupported(
        engine: &'static str,
        feature: &'static str,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Unsupported {
            engine,
            feature,
            remedy: remedy.into(),
        }
    }

    /// An [`Error::Damaged`].
    pub fn damaged(
        what: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Damaged {
            what: what.into(),
            detail: detail.into(),
            remedy: remedy.into(),
        }
    }

    /// What the failed operation has done to the store.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        match self {
            Self::Indeterminate { .. } => Effect::Indeterminate,
            _ => Effect::NotApplied,
        }
    }

    /// Whether an acquire that failed with this error may still hold the lock.
    #[must_use]
    pub const fn may_be_held(&self) -> bool {
        matches!(self.effect(), Effect::Indeterminate)
    }

    /// Whether the same call may succeed later with nothing changed by hand.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Contended { .. }
                | Self::TimedOut { .. }
                | Self::Unavailable { .. }
                | Self::Indeterminate { .. }
        )
    }
}

fn held_by(holders: &[HeldBy]) -> String {
    match holders {
        [] => String::new(),
        [one] => format!(
            ", held by {} with token {} for {:.1?}",
            one.owner, one.token, one.held_for
        ),
        [one, rest @ ..] => format!(", held by {} and {} more", one.owner, rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unknown_outcome_may_hold_the_lock() {
        let unknown = Error::Indeterminate {
            operation: Operation::Acquire,
            engine: "test",
            detail: "no answer".into(),
        };
        assert!(unknown.may_be_held() && unknown.is_passing());
        let refused = Error::unavailable("test", "down", "start it");
        assert!(!refused.may_be_held() && refused.is_passing());
        assert!(!Error::invalid("ttl", "0", "more").is_passing());
    }

    #[test]
    fn a_busy_lock_names_its_holder() {
        let name = LockName::new("jobs/1").unwrap();
        let holders = vec![HeldBy {
            owner: "web-1 pid 7".into(),
            token: Token::new(5).unwrap(),
            nonce: Nonce::from_bytes([1; 16]),
            held_for: Duration::from_secs(3),
        }];
        let said = Error::Contended { name, holders }.to_string();
        assert_eq!(
            said,
            "lock \"jobs/1\" is busy, held by web-1 pid 7 with token 5 for 3.0s"
        );
    }
}
