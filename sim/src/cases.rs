//! The scopes that are checked.

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
    LIVELY,
];

const LIVELY: Scope = Scope {
    name: "exclusive",
    clients: [Profile::waiting(EXCLUSIVE), Profile::waiting(EXCLUSIVE), Profile::detached(EXCLUSIVE)],
    strays: true,
    deaths: false,
    breaks: false,
};

/// Broken rules, where they show, and as what.
pub(crate) const FLAWS: &[(Flaw, Scope, &str)] = &[
    (Flaw::DropsHandover, LIVELY, "no lost hand-over"),
];

/// What a check came to.
pub(crate) struct Checked {
    pub(crate) states: usize,
    pub(crate) depth: usize,
    pub(crate) seconds: f64,
    /// The properties that do not hold.
    pub(crate) wrong: Vec<&'static str>,
    /// The shortest way to the first of them.
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

/// Goes through every state; through none behind a broken rule.
pub(crate) fn check(scope: Scope, machine: Machine) -> Checked {
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = Lock::new(scope, machine)
        .checker()
        .threads(threads).target_max_depth(14)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let found = checker.discoveries();
    let properties = checker.model().properties();
    let wrong: Vec<_> = properties
        .iter()
        .filter(|property| {
            let to_reach = property.expectation == Expectation::Sometimes;
            to_reach != found.contains_key(property.name)
        })
        .map(|property| match found.get(property.name) {
            Some(path) => path.last_state().broken.unwrap_or(property.name),
            None => property.name,
        })
        .collect();
    let example = found.values().find(|path| path.last_state().broken.is_some());
    Checked {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        seconds: began.elapsed().as_secs_f64(),
        example: example.map_or_else(String::new, |path| format!("{path:#?}")),
        wrong,
    }
}
const _: (&str, &str) = (C3, SERVED);
const _: (Mode, Mode) = (SHARED, PERMIT);
