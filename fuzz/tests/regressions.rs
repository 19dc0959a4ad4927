//! Whatever is kept, and a little that is not, is fed to every target.

use std::time::Duration;

use leasehold_fuzz::corpus;
use leasehold_fuzz::run;
use leasehold_fuzz::target::Kind;

/// Everything that is kept, once; by the order in which a run takes its inputs.
fn replay(name: &str) {
    let kind = Kind::named(name).unwrap();
    let kept = corpus::load(name).unwrap();
    let mut target = kind.open(1).unwrap().pop().unwrap();
    for input in &kept {
        if let Err(problem) = target.check(input) {
            panic!("{name}: {problem}\n  input: {}", corpus::escape(input));
        }
    }
}

/// A short run from a fixed place.
fn run_briefly(name: &str, seed: u64) {
    let kind = Kind::named(name).unwrap();
    let outcome = run::run(kind, Duration::from_millis(300), seed).unwrap();
    assert!(outcome.cases > 0);
    if let Some(found) = outcome.found {
        panic!(
            "{name}: {}\n  input: {}",
            found.problem,
            corpus::escape(&found.input)
        );
    }
}

#[test]
fn all_that_is_kept_is_fed_to_every_target() {
    for kind in Kind::ALL {
        replay(kind.name);
    }
    // In one test, since memory is counted for the whole process.
    for kind in Kind::ALL {
        run_briefly(kind.name, 1);
    }
}
