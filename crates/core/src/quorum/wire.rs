//! What a client and a node say to each other, one word of each per script.

use std::time::Duration;

use super::NodeSet;
use crate::{Nonce, Token};

/// What is sent to nodes about one lock. Its name, the nonce and the server's
/// run id travel with it; the driver has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take the key, if it is free.
    Acquire {
        /// How long the key lives: TTL plus grace.
        hold: Duration,
        /// The smallest counter wanted.
        proposal: Token,
    },
    /// Raise the counter, if the key is still ours.
    Promote {
        /// The smallest counter wanted.
        to: Token,
    },
    /// Let the key live longer, if it is still ours.
    Extend {
        /// How long from now on: TTL plus grace.
        hold: Duration,
    },
    /// Delete the key, if it is still ours.
    Release,
}

/// A node's answer to [`Command::Acquire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireReply {
    /// The key is ours.
    Granted {
        /// The counter of this grant on this node.
        counter: Token,
        /// The greatest counter ever granted there, for whatever name.
        high: Token,
    },
    /// The key is somebody else's.
    Busy {
        /// How long it lives unless extended.
        free_in: Duration,
        /// Whose it is; `None` if not one of ours (a plain Redlock client).
        holder: Option<Nonce>,
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

/// A node's answer to [`Command::Promote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromoteReply {
    /// The key is ours, and this is its counter now.
    At(Token),
    /// The key is no longer ours.
    Gone,
    /// The node has forgotten, or may have.
    NotJoined,
}

/// A node's answer to [`Command::Extend`] or [`Command::Release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerReply {
    /// The key was ours, and it is done.
    Done,
    /// The key was not ours; nothing changed.
    Gone,
}

/// A lock on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Whose key it is, and how long it lives unless extended.
    pub held: Option<(Nonce, Duration)>,
    /// The last counter granted here, if the node still has it.
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
