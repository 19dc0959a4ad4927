//! The record machine under random histories: several clients, time that passes by
//! clocks of different rates, processes that die, answers that get lost, requests
//! that come late or twice, breaks, collected records and restarted clocks. What
//! must hold is in `rules`; that the rules can fail is checked by machines with one
//! rule broken.

#![allow(missing_docs, clippy::unwrap_used)]

mod client;
mod command;
#[path = "../oracle/machine.rs"]
mod machine;
mod request;
#[path = "../oracle/rules.rs"]
mod rules;
mod world;

use std::num::NonZeroU32;

use leasehold_core::Mode;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use command::{Command, history};
use machine::{Flaw, Machine};
use world::World;

const TWO: Mode = Mode::Permit(NonZeroU32::new(2).unwrap());
const THREE: Mode = Mode::Permit(NonZeroU32::new(3).unwrap());

const EXCLUSIVE: &[Mode] = &[Mode::Exclusive];
const MIXED: &[Mode] = &[Mode::Exclusive, Mode::Shared, Mode::Shared];
const PERMITS: &[Mode] = &[TWO];
const CLASHING: &[Mode] = &[TWO, TWO, TWO, THREE, Mode::Exclusive, Mode::Shared];

/// Histories per set of modes; there are four sets.
const CASES: u32 = 30_000;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

fn obeys_the_rules(machine: Machine, history: &[Command]) -> Result<(), TestCaseError> {
    let mut world = World::new(machine);
    history
        .iter()
        .try_for_each(|command| world.run(command))
        .and_then(|()| world.heal())
        .map_err(|broken| TestCaseError::fail(format!("{}: {}", broken.rule, broken.detail)))
}

proptest! {
    #![proptest_config(config(CASES))]

    #[test]
    fn exclusive_locks_obey_the_rules(history in history(EXCLUSIVE)) {
        obeys_the_rules(Machine::SHIPPED, &history)?;
    }

    #[test]
    fn shared_and_exclusive_locks_obey_the_rules(history in history(MIXED)) {
        obeys_the_rules(Machine::SHIPPED, &history)?;
    }

    #[test]
    fn permits_obey_the_rules(history in history(PERMITS)) {
        obeys_the_rules(Machine::SHIPPED, &history)?;
    }

    #[test]
    fn all_modes_at_once_obey_the_rules(history in history(CLASHING)) {
        obeys_the_rules(Machine::SHIPPED, &history)?;
    }
}

#[test]
fn every_broken_rule_is_noticed() {
    for (flaw, modes, rules) in [
        (
            Flaw::Barging,
            MIXED,
            &["no barging", "order of arrival"][..],
        ),
        (Flaw::OneTooMany, PERMITS, &["C3"]),
        (Flaw::EndsEarly, EXCLUSIVE, &["C4"]),
        (Flaw::ForgetsRefresh, EXCLUSIVE, &["no starving"]),
        (Flaw::IgnoresDeath, EXCLUSIVE, &["no lost hand-over"]),
        (Flaw::KeepsHandover, EXCLUSIVE, &["C4"]),
        (Flaw::HidesChange, EXCLUSIVE, &["changes are told"]),
        (Flaw::ExtendRevives, EXCLUSIVE, &["C4"]),
        (Flaw::ExtendShortens, EXCLUSIVE, &["no shortening"]),
        (Flaw::ReleasesOthers, EXCLUSIVE, &["C4"]),
        (Flaw::DropsHandover, EXCLUSIVE, &["no lost hand-over"]),
        (Flaw::DropsHints, EXCLUSIVE, &["hints are exact"]),
        (Flaw::TokenReset, EXCLUSIVE, &["C1"]),
        (Flaw::FoldsNothing, EXCLUSIVE, &["C1"]),
    ] {
        let broken = broken_rule(Machine::with(flaw), modes);
        assert!(
            broken
                .as_ref()
                .is_some_and(|said| rules.iter().any(|rule| said.starts_with(rule))),
            "{flaw:?} was noticed as {broken:?}"
        );
    }
}

/// What the rules say of this machine, on the same histories each time.
fn broken_rule(machine: Machine, modes: &'static [Mode]) -> Option<String> {
    let config = ProptestConfig {
        max_shrink_iters: 0,
        ..config(CASES)
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&history(modes), |history| {
        obeys_the_rules(machine, &history)
    });
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(reason, _)) => Some(reason.message().to_owned()),
        Err(other) => panic!("the checks themselves failed: {other}"),
    }
}
