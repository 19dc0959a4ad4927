//! Deliberate mistakes, and how soon each is noticed.

use leasehold_core::quorum::{Mutation, mutate};

use crate::log::Keep;
use crate::promise;
use crate::record::{Flaw, flaw};
use crate::schedule::{Schedule, World};
use crate::timed::Clocks;
use crate::untimed::Mix;

/// A deliberate mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is wrong, for people.
    pub what: &'static str,
    kind: Kind,
    /// Where it shows soonest.
    pub world: World,
    /// How many schedules may go by until it is noticed.
    pub budget: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Quorum(Mutation),
    Record(Flaw),
}

const UNTIMED: World = World::Untimed(3, Mix::Usual);
const AMNESIA: World = World::Untimed(3, Mix::Amnesia);
const STALE: World = World::Untimed(3, Mix::Stale);
const TIMED: World = World::Timed(3, Clocks::Within);
const RECORD: World = World::Record(Clocks::Within);

const fn quorum(
    name: &'static str,
    mutation: Mutation,
    world: World,
    budget: u64,
    what: &'static str,
) -> Mistake {
    Mistake {
        name,
        what,
        kind: Kind::Quorum(mutation),
        world,
        budget,
    }
}

const fn record(name: &'static str, flaw: Flaw, what: &'static str) -> Mistake {
    Mistake {
        name,
        what,
        kind: Kind::Record(flaw),
        world: RECORD,
        budget: 5_000,
    }
}

/// All of them.
pub const ALL: &[Mistake] = &[
    quorum(
        "no-promote",
        Mutation::NoPromote,
        UNTIMED,
        10_000,
        "the greatest counter is the token, whoever has it",
    ),
    quorum(
        "promote-without-quorum",
        Mutation::PromoteWithoutQuorum,
        UNTIMED,
        100_000,
        "a promotion counts as soon as one node confirms it",
    ),
    quorum(
        "no-raise",
        Mutation::NoRaise,
        AMNESIA,
        1_000_000,
        "a node joins without raising the others (step 4)",
    ),
    quorum(
        "no-leap",
        Mutation::NoLeap,
        AMNESIA,
        1_000_000,
        "a node joins one counter above the others",
    ),
    quorum(
        "no-ticket",
        Mutation::NoTicket,
        AMNESIA,
        1_000_000,
        "a join is finished though the node forgot once more",
    ),
    quorum(
        "no-quarantine",
        Mutation::NoQuarantine,
        TIMED,
        20_000,
        "a node that forgot votes at once",
    ),
    quorum(
        "deadline-from-answer",
        Mutation::DeadlineFromAnswer,
        TIMED,
        1_000,
        "validity is measured from after the send",
    ),
    quorum(
        "extend-creates",
        Mutation::ExtendCreates,
        TIMED,
        1_000,
        "an extend sets the key if it is free",
    ),
    quorum(
        "extend-shortens",
        Mutation::ExtendShortens,
        TIMED,
        10_000,
        "an extend brings the end of a key forward",
    ),
    quorum(
        "release-anything",
        Mutation::ReleaseAnything,
        TIMED,
        1_000,
        "a release goes without the nonce",
    ),
    quorum(
        "wall-clock",
        Mutation::WallClock,
        TIMED,
        10_000,
        "a key ends when the client's wall clock says so",
    ),
    quorum(
        "reachable-quorum",
        Mutation::ReachableQuorum,
        TIMED,
        20_000,
        "a quorum is more than half of the reachable nodes",
    ),
    quorum(
        "handover-from-not-joined",
        Mutation::HandoverFromNotJoined,
        STALE,
        1_000_000,
        "a node that does not vote hands over",
    ),
    quorum(
        "handover-deadline-from-push",
        Mutation::HandoverDeadlineFromPush,
        TIMED,
        1_000,
        "a lease handed over counts from when that was heard",
    ),
    quorum(
        "permits-counted-per-node",
        Mutation::PermitsCountedPerNode,
        TIMED,
        20_000,
        "permits are counted by each node, with no slots",
    ),
    record(
        "swap-without-version",
        Flaw::SwapWithoutVersion,
        "record: a swap is written whatever the version",
    ),
    record(
        "age-from-wall-clock",
        Flaw::AgeFromWallClock,
        "record: ages go by the client's wall clock",
    ),
    record(
        "token-reset",
        Flaw::TokenReset,
        "record: a free lock's record is deleted, token and all",
    ),
    record(
        "unknown-is-failure",
        Flaw::UnknownIsFailure,
        "record: a swap of unknown outcome is called a failure",
    ),
];

impl Mistake {
    /// The one of this name.
    ///
    /// # Errors
    ///
    /// If there is none: lists the names.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = ALL.iter().find(|mistake| mistake.name == name);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = ALL.iter().map(|mistake| mistake.name).collect();
            format!(
                "no mistake is called {name}; there are: {}",
                names.join(", ")
            )
        })
    }

    /// After how many schedules from this seed on it is noticed, as what, and in
    /// which.
    #[must_use]
    pub fn noticed(self, from: u64) -> Option<(u64, String, Schedule)> {
        (0..self.budget).find_map(|count| {
            let schedule = Schedule {
                world: self.world,
                seed: from.wrapping_add(count),
                mistake: Some(self),
                only: None,
            };
            let broken = schedule.play(Keep::Nothing).broken?;
            Some((count + 1, promise(&broken).to_owned(), schedule))
        })
    }
}

/// Makes this mistake from now on, in this thread.
pub fn make(mistake: Option<Mistake>) {
    let (mut mutation, mut flawed) = (None, None);
    match mistake.map(|mistake| mistake.kind) {
        Some(Kind::Quorum(of)) => mutation = Some(of),
        Some(Kind::Record(of)) => flawed = Some(of),
        None => {}
    }
    mutate(mutation);
    flaw(flawed);
}
