//! Deliberate mistakes, so that the simulation can show that it would notice.
//!
//! Without the feature `mutations` the question is answered at compile time and
//! leaves no trace.

/// A mistake that peers have made, or that the proof says would matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "mutations"), expect(unreachable_pub))]
pub enum Mutation {
    /// The greatest counter is the token, whether or not a quorum has it.
    NoPromote,
    /// Promoted counters are the token as soon as one node has confirmed them.
    PromoteWithoutQuorum,
    /// A deadline counts from the answer, not from before the request.
    DeadlineFromAnswer,
    /// A node joins without raising the others (step 4).
    NoRaise,
    /// A node that forgot grants at once.
    NoQuarantine,
    /// An extend sets the key if it is free.
    ExtendCreates,
    /// An extend may bring the end of a key forward.
    ExtendShortens,
    /// A release deletes whatever key is there.
    ReleaseAnything,
    /// A quorum is more than half of the nodes that answered.
    ReachableQuorum,
    /// A node joins one counter above the others instead of 2¹⁶.
    NoLeap,
    /// A join is finished without looking whether the node forgot once more
    /// since it began.
    NoTicket,
    /// A node that does not vote hands over.
    HandoverFromNotJoined,
    /// The deadline of a lease that was handed over counts from when that was heard.
    #[cfg(feature = "mutations")]
    HandoverDeadlineFromPush,
    /// A grant ends when the client's wall clock says so, compared with the node's.
    #[cfg(feature = "mutations")]
    WallClock,
    /// Permits are counted by each node, with no slots.
    PermitsCountedPerNode,
}

#[cfg(feature = "mutations")]
mod switch {
    use std::cell::Cell;

    use super::Mutation;

    thread_local! {
        static MADE: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// Makes this mistake from now on, in this thread.
    pub fn mutate(mutation: Option<Mutation>) {
        MADE.set(mutation);
    }

    /// Whether this mistake is to be made.
    #[must_use]
    pub fn made(mutation: Mutation) -> bool {
        MADE.get() == Some(mutation)
    }
}

#[cfg(feature = "mutations")]
pub use switch::{made, mutate};

/// Whether this mistake is to be made.
#[cfg(not(feature = "mutations"))]
pub(super) const fn made(_: Mutation) -> bool {
    false
}
