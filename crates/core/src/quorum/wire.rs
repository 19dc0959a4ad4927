//! What a client and a node say to each other, one word of each per script.

use std::time::Duration;

use super::NodeSet;
use crate::{Mode, Nonce, Token};

/// What an acquire asks of each node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// How many may hold the lock at once.
    pub mode: Mode,
    /// Which of the n permits, from 0; 0 for the other modes. A permit is a lock of
    /// its own, held by a quorum; n counted node by node would admit too many.
    pub slot: u32,
    /// How long the grant lives: TTL plus grace.
    pub hold: Duration,
    /// Take a place in the line if the lock is busy, and keep it for so long unless
    /// asked again. A lock handed over to it is kept for what is left of that.
    pub line: Option<Duration>,
    /// The smallest counter wanted; see [`Proposals`](super::Proposals). Who asks
    /// again must propose more than any counter that it was answered: by that a
    /// node knows the request from an older one.
    pub proposal: Token,
}

/// What is sent to nodes about one lock. Its name, the nonce and the server's
/// run id travel with it; the driver has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take the lock, or a place in its line.
    Acquire(Ask),
    /// Raise the counter of our grant.
    Promote {
        /// The smallest counter wanted.
        to: Token,
    },
    /// Move our place in the line, so that all nodes have the same order. Has no
    /// answer that matters.
    Place {
        /// The place to have.
        to: u64,
    },
    /// Give up our grant for a place in the line, in favour of another client that
    /// has the lock on more nodes. Has no answer that matters.
    Yield {
        /// Whose it is to be.
        to: Nonce,
        /// The greatest counter that we know of a grant of ours. A later grant is not
        /// meant: this may have been held up on a broken connection until we asked
        /// again and had the lock.
        up_to: Token,
        /// Our place in the line.
        place: u64,
        /// How long the place is kept.
        line: Duration,
    },
    /// Let our grant live longer.
    Extend {
        /// Which permit it is; 0 for the other modes. A grant of another permit, left
        /// from an earlier attempt, is none of this lease.
        slot: u32,
        /// How long from now on: TTL plus grace.
        hold: Duration,
    },
    /// End our grant, or leave the line.
    Release,
}

/// Who keeps somebody else from having a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody: others in the line come first.
    Nobody,
    /// An exclusive lease of ours, or one that was handed over.
    Lease(Nonce),
    /// Shared leases; or, to those who ask for a permit, the lease that has it.
    Several {
        /// Whose it is; of several, the one with the smallest nonce.
        first: Nonce,
    },
    /// A client that is not one of ours (a plain Redlock client), by a hash of the
    /// value it wrote.
    Foreign(u64),
}

/// A node's answer to [`Command::Acquire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireReply {
    /// The lock is ours there.
    Granted {
        /// The counter of this grant on this node.
        counter: Token,
    },
    /// It is not, and we have a place in the line.
    Queued {
        /// The place: smaller ones come first.
        place: u64,
        /// How many places are before it.
        ahead: u32,
        /// How long until what is in the way has run out unless extended.
        free_in: Duration,
        /// Who has the lock.
        holder: Holder,
    },
    /// It is not, and nothing changed.
    Busy {
        /// How long until what is in the way has run out unless extended.
        free_in: Duration,
        /// Who has the lock.
        holder: Holder,
    },
    /// Others hold or wait for permits of this lock, and name another number.
    Clash {
        /// The number that they name.
        permits: u32,
    },
    /// The node has forgotten, or may have: it must rejoin first.
    NotJoined,
    /// Longer than what the node's quarantine covers.
    TooLong {
        /// The longest it takes: `max_ttl`.
        most: Duration,
    },
    /// The 53 bits of the counter are used up.
    Exhausted,
}

/// What a node tells a waiter unasked, when something was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// The lock is the waiter's on this node, for as long as its place would have
    /// been kept.
    Handed {
        /// The counter of the grant on this node.
        counter: Token,
    },
    /// Worth asking again.
    Free {
        /// A permit that is free, from 0.
        slot: u32,
    },
}

/// A node's answer to [`Command::Promote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromoteReply {
    /// The grant is ours, and this is its counter now.
    At(Token),
    /// The grant is no longer ours.
    Gone,
    /// The node has forgotten, or may have.
    NotJoined,
}

/// A node's answer to [`Command::Extend`] or [`Command::Release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerReply {
    /// The grant (or, to a release, the place in the line) was ours, and it is done.
    Done,
    /// It was not ours; nothing changed.
    Gone,
}

/// A lock on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Whose it is, and how long each grant lives unless extended.
    pub held: Vec<(Nonce, Duration)>,
    /// Who waits, in order.
    pub waiting: Vec<Nonce>,
    /// A counter no smaller than that of the last grant there, if the node has one.
    pub counter: Option<Token>,
}

/// Why a command had no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was not sent: no connection, or the circuit is open. Not applied.
    NotSent,
    /// The node refused it with an error of its own (no memory, no permission, a
    /// replica, another type of key). Not applied.
    Refused,
    /// The connection broke after it was sent. Indeterminate.
    Lost,
}

/// An answer to one of the commands of an acquire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Command::Acquire`].
    Acquire(Result<AcquireReply, Failure>),
    /// To [`Command::Promote`].
    Promote(Result<PromoteReply, Failure>),
    /// To [`Command::Release`].
    Release(Result<OwnerReply, Failure>),
    /// To [`Command::Place`] and [`Command::Yield`], whatever came of it.
    Noted,
}

/// What a machine wants done after an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Step<C, O> {
    /// Send this command to each of these nodes, on the connection the earlier
    /// commands of this operation went over, if it still stands.
    pub send: Option<(C, NodeSet)>,
    /// What came of the operation, given once. (A join reports its progress here.)
    pub outcome: Option<O>,
}

impl<C, O> Step<C, O> {
    /// Nothing to do.
    pub(super) const fn none() -> Self {
        Self {
            send: None,
            outcome: None,
        }
    }

    /// Send, unless there is nobody to send to.
    pub(super) const fn send(command: C, to: NodeSet) -> Self
    where
        C: Copy,
        O: Copy,
    {
        Self {
            send: if to.is_empty() {
                None
            } else {
                Some((command, to))
            },
            outcome: None,
        }
    }
}
