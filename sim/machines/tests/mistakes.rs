//! Every deliberate mistake is noticed, and a failing schedule shrinks.

use leasehold_sim::log::Keep;
use leasehold_sim::mistakes::{self, Mistake};
use leasehold_sim::schedule::Schedule;
use leasehold_sim::shrink;

/// What takes more schedules than this to notice is in `sim/regressions` by its seed.
const SOON: u64 = 20_000;

#[test]
fn every_mistake_that_shows_soon_is_noticed() {
    let mut soon = 0;
    for mistake in mistakes::ALL.iter().filter(|m| m.budget <= SOON) {
        let found = mistake.noticed(1);
        assert!(found.is_some(), "{}", mistake.name);
        soon += 1;
    }
    assert!(soon > 12);
}

#[test]
fn a_failing_schedule_shrinks_to_what_matters() {
    for name in ["no-promote", "extend-shortens", "unknown-is-failure"] {
        let (_, promise, schedule) = Mistake::named(name).unwrap().noticed(40).unwrap();
        let small = shrink::shrink(&schedule).unwrap();
        let run = small.play(Keep::Nothing);
        assert_eq!(run.promise(), Some(&*promise), "{small}");
        let before = schedule.play(Keep::Nothing).choices.len();
        let kept = small.only.as_ref().map_or(usize::MAX, |only| only.len());
        assert!(kept < before, "{small}: {before} choices before");
        let again: Schedule = small.to_string().parse().unwrap();
        assert_eq!(again, small);
    }
}

#[test]
fn what_breaks_nothing_does_not_shrink() {
    let schedule: Schedule = "untimed nodes=3 seed=1".parse().unwrap();
    assert_eq!(shrink::shrink(&schedule), None);
}
