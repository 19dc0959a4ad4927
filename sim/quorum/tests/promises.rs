//! The promises hold over many random runs, and each deliberate mistake is noticed.

use leasehold_core::quorum::{Mutation, mutate};
use leasehold_sim_quorum::{Run, timed, untimed};

/// The runs of these seeds, until one breaks a promise.
fn first_broken(seeds: std::ops::Range<u64>, play: impl Fn(u64) -> Run) -> Option<String> {
    seeds.into_iter().find_map(|seed| {
        let broken = play(seed).broken?;
        Some(format!("seed {seed}: {broken}"))
    })
}

fn without_time(nodes: usize) -> impl Fn(u64) -> Run {
    move |seed| untimed::run(untimed::Setup::of(nodes), seed, false)
}

fn with_time(nodes: usize) -> impl Fn(u64) -> Run {
    move |seed| timed::run(timed::Setup::of(nodes), seed, false)
}

#[test]
fn tokens_hold_without_any_clock_on_three_nodes() {
    assert_eq!(first_broken(0..10_000, without_time(3)), None);
}

#[test]
fn tokens_hold_without_any_clock_on_five_nodes() {
    assert_eq!(first_broken(0..8_000, without_time(5)), None);
}

#[test]
fn all_promises_hold_within_the_margin_on_three_nodes() {
    assert_eq!(first_broken(0..1_500, with_time(3)), None);
}

#[test]
fn all_promises_hold_within_the_margin_on_five_nodes() {
    assert_eq!(first_broken(0..1_000, with_time(5)), None);
}

#[test]
fn one_two_and_four_nodes_work_too() {
    for nodes in [1, 2, 4] {
        assert_eq!(first_broken(0..500, without_time(nodes)), None, "{nodes}");
        assert_eq!(first_broken(0..100, with_time(nodes)), None, "{nodes}");
    }
}

#[test]
fn the_same_seed_twice_gives_the_same_log() {
    for seed in 0..5 {
        let twice = [(); 2].map(|()| untimed::run(untimed::Setup::of(3), seed, true).lines);
        assert!(twice[0].len() > 300 && twice[0] == twice[1]);
        let twice = [(); 2].map(|()| timed::run(timed::Setup::of(3), seed, true).lines);
        assert!(twice[0].len() > 300 && twice[0] == twice[1]);
    }
}

#[test]
fn mistakes_that_break_tokens_are_noticed() {
    for (mutation, runs) in [
        (Mutation::NoPromote, 1_000),
        (Mutation::ReachableQuorum, 3_000),
        (Mutation::ExtendCreates, 100),
        (Mutation::ReleaseAnything, 100),
    ] {
        mutate(Some(mutation));
        let broken = first_broken(0..runs, without_time(3));
        assert!(broken.is_some(), "{mutation:?}");
    }
    // Without step 4 it takes a node that forgets twice in one grant.
    mutate(Some(Mutation::NoRaise));
    let seed = NO_RAISE_SEED;
    assert!(first_broken(seed..seed + 1, without_time(3)).is_some());
    mutate(None);
    assert_eq!(first_broken(seed..seed + 1, without_time(3)), None);
}

#[test]
fn mistakes_that_break_exclusion_are_noticed() {
    for (mutation, runs) in [
        (Mutation::NoQuarantine, 300),
        (Mutation::ExtendShortens, 50),
        (Mutation::ExtendCreates, 50),
        (Mutation::ReleaseAnything, 50),
        (Mutation::ReachableQuorum, 300),
        (Mutation::NoPromote, 50),
    ] {
        mutate(Some(mutation));
        let broken = first_broken(0..runs, with_time(3));
        assert!(broken.is_some(), "{mutation:?}");
    }
}

/// One of three among 1,500,000 in which the mistake of no-raise shows.
const NO_RAISE_SEED: u64 = 369_762;
