//! The promises hold over many random schedules, the same seed gives the same log,
//! and what broke a promise once is played again.

use leasehold_sim::campaign;
use leasehold_sim::faults::Fault;
use leasehold_sim::log::Keep;
use leasehold_sim::schedule::{Schedule, World};
use leasehold_sim::timed::Clocks;
use leasehold_sim::untimed::Mix;

const COUNT: u64 = 6_000;

#[test]
fn all_promises_hold_and_every_fault_was_met() {
    let total = campaign::play(0, COUNT, 2);
    assert!(total.failed.is_empty(), "{:?}", total.failed);
    let sum = total.sum();
    assert_eq!(sum.schedules, COUNT);
    assert!(sum.tally.grants > 4 * COUNT && sum.tally.handed > COUNT);
    assert!(sum.tally.rejoined > COUNT / 4 && sum.tally.writes > COUNT);
    assert!(sum.tally.refused > COUNT / 10 && sum.tally.overlaps > 10);
    for &fault in Fault::ALL {
        assert!(sum.tally.faults.of(fault) > COUNT / 100, "{}", fault.name());
    }
}

#[test]
fn other_numbers_of_nodes_work_too() {
    for nodes in [2, 4, 7] {
        for seed in 0..150 {
            for world in [
                World::Untimed(nodes, Mix::Usual),
                World::Timed(nodes, Clocks::Within),
            ] {
                let schedule = Schedule {
                    world,
                    seed,
                    mistake: None,
                    only: None,
                };
                let broken = schedule.play(Keep::Nothing).broken;
                assert_eq!(broken, None, "{schedule}");
            }
        }
    }
}

#[test]
fn the_same_seed_twice_gives_the_same_log() {
    for &world in campaign::WORLDS {
        for seed in 0..3 {
            let schedule = Schedule {
                world,
                seed,
                mistake: None,
                only: None,
            };
            let [first, second] = [(); 2].map(|()| schedule.play(Keep::Lines));
            assert!(
                first.lines.len() > 10,
                "{schedule}: hardly anything happened"
            );
            assert_eq!(first.lines, second.lines, "{schedule}");
            let digest = schedule.play(Keep::Digest).digest;
            assert_eq!((first.digest, second.digest), (digest, digest));
            let other = Schedule {
                seed: seed + 1,
                ..schedule
            };
            assert_ne!(other.play(Keep::Digest).digest, digest);
        }
    }
}

/// Each line of `sim/regressions` broke a promise once: because of a mistake in the
/// protocol, since mended, or because of one made on purpose, which it names.
#[test]
fn what_broke_a_promise_once_is_played_again() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../regressions");
    let mut played = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let lines = text
            .lines()
            .filter(|l| !l.is_empty() && !l.starts_with('#'));
        for line in lines {
            let schedule: Schedule = line.parse().unwrap();
            let broken = schedule.play(Keep::Nothing).broken;
            assert_eq!(
                broken.is_some(),
                schedule.mistake.is_some(),
                "{line}: {broken:?}"
            );
            let sound = Schedule {
                mistake: None,
                ..schedule
            };
            assert_eq!(sound.play(Keep::Nothing).broken, None, "{line}");
            played += 1;
        }
    }
    assert!(played > 0);
}
