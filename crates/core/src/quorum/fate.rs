//! What became of one node in one acquire.

use std::time::Duration;

use super::{AcquireReply, Failure, Holder, PromoteReply};
use crate::Token;

/// What became of one node in one acquire. A failed acquire lists these, so that
/// its error can say which node failed how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It was not asked: a quorum was found, or missed, without it.
    #[default]
    NotAsked,
    /// It has not answered. It may have the key.
    Waiting,
    /// It has our key, with this counter.
    Granted(Token),
    /// Somebody else has the lock there, and we have no place in its line.
    Busy {
        /// How long until what is in the way has run out unless extended.
        free_in: Duration,
        /// Who has the lock.
        holder: Holder,
    },
    /// Somebody else has the lock there, and we have a place in its line.
    Queued {
        /// The place.
        place: u64,
        /// How many places are before it.
        ahead: u32,
        /// How long until what is in the way has run out unless extended.
        free_in: Duration,
        /// Who has the lock.
        holder: Holder,
    },
    /// Others hold or wait for another number of permits.
    Clash(u32),
    /// It has to rejoin before it votes.
    NotJoined,
    /// The TTL plus grace is longer than the node's `max_ttl`.
    TooLong(Duration),
    /// Its tokens are used up.
    Exhausted,
    /// It had our key and no longer has: expired or forgotten in the meantime.
    Gone,
    /// It is out of reach and was not asked.
    NotSent,
    /// It refused with an error of its own.
    Refused,
    /// The connection broke after it was asked. It may have the key.
    Lost,
}

impl Fate {
    /// The counter that counts for this node.
    #[must_use]
    pub const fn counter(&self) -> Option<Token> {
        match self {
            Self::Granted(counter) => Some(*counter),
            _ => None,
        }
    }

    /// Our place in the node's line.
    pub(super) const fn place(&self) -> Option<u64> {
        match self {
            Self::Queued { place, .. } => Some(*place),
            _ => None,
        }
    }

    /// Whether the node has our grant or may have it.
    #[must_use]
    pub const fn may_hold(&self) -> bool {
        matches!(self, Self::Waiting | Self::Granted(_) | Self::Lost)
    }

    /// Who has the lock there instead, and for how long.
    #[must_use]
    pub const fn in_the_way(&self) -> Option<(Holder, Duration)> {
        match self {
            Self::Busy { free_in, holder }
            | Self::Queued {
                free_in, holder, ..
            } => Some((*holder, *free_in)),
            _ => None,
        }
    }

    /// Whether a release has anything to end there.
    pub(super) const fn may_be_known(&self) -> bool {
        self.may_hold() || matches!(self, Self::Queued { .. })
    }

    /// Whether it gave no answer and will not.
    pub(super) const fn is_out_of_reach(&self) -> bool {
        matches!(self, Self::NotSent | Self::Lost | Self::NotJoined)
    }

    pub(super) const fn of(answer: Result<AcquireReply, Failure>) -> Self {
        match answer {
            Ok(AcquireReply::Granted { counter }) => Self::Granted(counter),
            Ok(AcquireReply::Busy { free_in, holder }) => Self::Busy { free_in, holder },
            Ok(AcquireReply::Queued {
                place,
                ahead,
                free_in,
                holder,
            }) => Self::Queued {
                place,
                ahead,
                free_in,
                holder,
            },
            Ok(AcquireReply::Clash { permits }) => Self::Clash(permits),
            Ok(AcquireReply::NotJoined) => Self::NotJoined,
            Ok(AcquireReply::TooLong { most }) => Self::TooLong(most),
            Ok(AcquireReply::Exhausted) => Self::Exhausted,
            Err(failure) => Self::failed(failure),
        }
    }

    /// A promote was answered, or not: a node that does not say what counter it
    /// has no longer counts.
    pub(super) fn promoted(&mut self, answer: Result<PromoteReply, Failure>) {
        let Self::Granted(counter) = *self else {
            return;
        };
        *self = match answer {
            // Answers may overtake each other; counters only grow.
            Ok(PromoteReply::At(now)) => Self::Granted(counter.max(now)),
            Ok(PromoteReply::Gone) => Self::Gone,
            // The key may be there still, so it has to be released.
            Ok(PromoteReply::NotJoined) | Err(_) => Self::Lost,
        };
    }

    const fn failed(failure: Failure) -> Self {
        match failure {
            Failure::NotSent => Self::NotSent,
            Failure::Refused => Self::Refused,
            Failure::Lost => Self::Lost,
        }
    }
}
