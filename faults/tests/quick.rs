//! Twenty seconds of real servers that fail, with our own client.

#![cfg(target_os = "linux")]
#![allow(missing_docs)]

use std::thread;
use std::time::Duration;

use leasehold_faults::{Campaign, Deck, Flavour, Kind, Length, Scene, campaign};
use leasehold_torture::history::Scope;
use leasehold_torture::protocol::Kind as Mode;
use leasehold_torture::{Plan, WorkerCommand, clock, report};

const MAX_TTL: Duration = Duration::from_secs(2);

#[test]
fn promises_are_kept_while_a_minority_is_frozen_flushed_or_restarted_empty() {
    let mut scene = Scene::start(Flavour::Memory).expect("five servers start");
    thread::sleep(MAX_TTL + Duration::from_secs(1));
    let ttl = Duration::from_millis(600);
    let seed = clock::now_us();
    println!("seed {seed}");
    let kinds = [Kind::Freeze, Kind::Flush, Kind::Kill];
    let faults = kinds.map(|kind| (kind, Scope::Minority)).to_vec();
    let worker = WorkerCommand {
        program: env!("CARGO_BIN_EXE_leasehold-faults").into(),
        args: vec!["worker".into()],
    };
    let run = Campaign {
        plan: Plan {
            url: scene.url("max_ttl=2s"),
            clients: 6,
            processes: 3,
            duration: Duration::from_secs(1),
            names: 2,
            ttl,
            hold: Duration::from_millis(5),
            think: Duration::from_millis(5),
            wait: ttl * 5,
            pauses: 5.0,
            mode: Mode::Exclusive,
            seed,
        },
        worker: &worker,
        max_ttl: MAX_TTL,
        length: Length::Faults(kinds.len()),
        history: None,
        loud: false,
    };
    let mut deck = Deck::with(faults, ttl, 3, seed);
    let done = campaign(&run, &mut scene, &mut deck).expect("the campaign runs");
    let said = report::summary(&done.verdict);
    println!("{said}");
    let totals = done.verdict.totals;
    for (broken, promise) in [
        (totals.token_violations, "C1"),
        (totals.deadline_violations, "C2"),
        (totals.overlaps, "C3"),
        (totals.ownership_violations, "C4"),
        (totals.wrongly_accepted, "fence"),
    ] {
        assert_eq!(broken, 0, "{promise}, seed {seed}\n{said}");
    }
    for kind in kinds {
        let class = done
            .verdict
            .classes
            .iter()
            .find(|class| class.kind == kind.title());
        let class = class.expect("every kind was injected");
        assert!(
            class.figures.grants > 0,
            "{}: nothing granted\n{said}",
            class.kind
        );
    }
}
