//! The scopes that are checked, and the broken rules that must be noticed.

use std::num::NonZeroU32;
use std::time::Instant;

use leasehold_core::Mode;
use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::machine::{Flaw, Machine};
use crate::model::Lock;
use crate::properties::{C3, SERVED};
use crate::scope::{Profile, Scope};

const EXCLUSIVE: Mode = Mode::Exclusive;
const SHARED: Mode = Mode::Shared;
const PERMIT: Mode = Mode::Permit(NonZeroU32::new(2).unwrap());

/// What the shipped machine is checked in.
pub(crate) const SCOPES: &[Scope] = &[
    ALL_WAIT,
    ONE_TRIES,
    scope(
        "exclusive, one that only tries comes late",
        [
            Profile::trying(EXCLUSIVE),
            Profile::waiting(EXCLUSIVE),
            Profile::waiting(EXCLUSIVE),
        ],
    ),
    NO_GRACE,
    SHARED_LATE,
    scope(
        "two shared, one exclusive that comes late",
        [
            Profile::waiting(EXCLUSIVE),
            Profile::detached(SHARED),
            Profile::waiting(SHARED),
        ],
    ),
    PERMITS,
];

const ALL_WAIT: Scope = scope(
    "exclusive, all wait, one detached",
    [
        Profile::waiting(EXCLUSIVE),
        Profile::waiting(EXCLUSIVE),
        Profile::detached(EXCLUSIVE),
    ],
);

const ONE_TRIES: Scope = scope(
    "exclusive, one only tries",
    [
        Profile::waiting(EXCLUSIVE),
        Profile::waiting(EXCLUSIVE),
        Profile::trying(EXCLUSIVE),
    ],
);

const SHARED_LATE: Scope = scope(
    "two shared of which one comes late, one exclusive",
    [
        Profile::waiting(SHARED),
        Profile::waiting(SHARED),
        Profile::waiting(EXCLUSIVE),
    ],
);

const PERMITS: Scope = scope(
    "two permits",
    [
        Profile::waiting(PERMIT),
        Profile::waiting(PERMIT),
        Profile::waiting(PERMIT),
    ],
);

/// Where a TTL cut short shows in spite of the grace.
const NO_GRACE: Scope = Scope {
    ttl: 3,
    grace: 0,
    ..scope(
        "exclusive, a longer TTL and no grace",
        [
            Profile::waiting(EXCLUSIVE),
            Profile::waiting(EXCLUSIVE),
            Profile::trying(EXCLUSIVE),
        ],
    )
};

const fn scope(name: &'static str, clients: [Profile; 3]) -> Scope {
    Scope {
        name,
        clients,
        ttl: 2,
        grace: 1,
    }
}

/// Broken rules, where they show, and as what.
pub(crate) const FLAWS: &[(Flaw, Scope, &str)] = &[
    (Flaw::Barging, SHARED_LATE, "no barging"),
    (Flaw::OneTooMany, PERMITS, "C3 in the record"),
    (Flaw::EndsEarly, ALL_WAIT, "C4"),
    (Flaw::ForgetsRefresh, ALL_WAIT, "no starving"),
    (Flaw::IgnoresDeath, ALL_WAIT, "no lost hand-over"),
    (Flaw::KeepsHandover, ALL_WAIT, SERVED),
    (Flaw::HidesChange, ONE_TRIES, "changes are told"),
    (Flaw::ExtendRevives, ALL_WAIT, "C4"),
    (Flaw::ExtendShortens, ALL_WAIT, "no shortening"),
    (Flaw::ReleasesOthers, ALL_WAIT, "C4"),
    (Flaw::DropsHandover, ALL_WAIT, "no lost hand-over"),
    (Flaw::DropsHints, ALL_WAIT, "hints are exact"),
    (Flaw::TokenReset, ALL_WAIT, "C1"),
    (Flaw::FoldsNothing, ALL_WAIT, "C1"),
];

/// The same for what holders and waiters see, with the rules for single steps not
/// applied.
pub(crate) const SEEN: &[(Flaw, Scope, &str)] = &[
    (Flaw::EndsEarly, ALL_WAIT, C3),
    (Flaw::ExtendShortens, NO_GRACE, C3),
    (Flaw::OneTooMany, PERMITS, C3),
    (Flaw::KeepsHandover, ALL_WAIT, SERVED),
];

/// What a check came to.
pub(crate) struct Checked {
    pub(crate) states: usize,
    pub(crate) depth: usize,
    pub(crate) seconds: f64,
    /// The properties and rules that do not hold.
    pub(crate) wrong: Vec<&'static str>,
    /// A shortest way to one of them.
    pub(crate) example: String,
}

impl Checked {
    pub(crate) fn verdict(&self) -> String {
        match self.wrong.is_empty() {
            true => "holds".to_owned(),
            false => format!("BROKEN: {}\n{}", self.wrong.join(", "), self.example),
        }
    }
}

/// Goes through every state, breadth first, until something is wrong.
pub(crate) fn check(scope: Scope, machine: Machine, by_rules: bool) -> Checked {
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = Lock::new(scope, machine, by_rules)
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let found = checker.discoveries();
    let found = &found;
    let properties = checker.model().properties();
    let unmet = |to_reach| {
        let kind = properties
            .iter()
            .filter(move |p| (p.expectation == Expectation::Sometimes) == to_reach);
        kind.filter(move |p| found.contains_key(p.name) != to_reach)
    };
    let mut wrong: Vec<_> = unmet(false)
        .map(|property| {
            let broken = &found[property.name].last_state().broken;
            broken.as_ref().map_or(property.name, |is| is.rule)
        })
        .collect();
    let example = unmet(false).next().map(|p| format!("{:#?}", found[p.name]));
    if wrong.is_empty() {
        // All was gone through, so what was not reached cannot be.
        wrong.extend(unmet(true).map(|property| property.name));
    }
    Checked {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        seconds: began.elapsed().as_secs_f64(),
        wrong,
        example: example.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_machine_holds_in_every_state_of_every_scope() {
        for scope in SCOPES {
            let checked = check(*scope, Machine::SHIPPED, true);
            println!("{}: {} states", scope.name, checked.states);
            assert!(
                checked.wrong.is_empty(),
                "{}: {}",
                scope.name,
                checked.verdict()
            );
            assert!(checked.states > 10_000, "hardly anything happened");
        }
    }

    #[test]
    fn every_broken_rule_is_noticed() {
        for (flaw, scope, rule) in FLAWS {
            let wrong = check(*scope, Machine::with(*flaw), true).wrong;
            assert!(wrong.contains(rule), "{flaw:?} was noticed as {wrong:?}");
        }
    }

    #[test]
    fn holders_and_waiters_notice_without_the_rules() {
        for (flaw, scope, property) in SEEN {
            let wrong = check(*scope, Machine::with(*flaw), false).wrong;
            assert!(
                wrong.contains(property),
                "{flaw:?} was noticed as {wrong:?}"
            );
        }
    }
}
