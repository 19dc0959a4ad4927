//! Checks the record machine exhaustively: every state that three clients of one
//! lock can bring about, with requests that come late or twice, answers that get
//! lost, processes that die, breaks, collected records and passing time.
//!
//! The machine is the shipped one, and the rules are those that random histories
//! are checked by. `cargo run --bin model` prints what was checked and that each
//! rule, broken on purpose, is noticed; `cargo test` asserts the same.
//!
//! # Layout
//!
//! * `scope`: which clients, and how long things last.
//! * `state`: one state, made finite.
//! * `model`: what may happen.
//! * `properties`: what must hold.
//! * `cases`: the scopes that are checked, and the broken rules.

#![forbid(unsafe_code)]

mod cases;
#[path = "../../../crates/core/tests/oracle/machine.rs"]
mod machine;
mod model;
mod properties;
#[path = "../../../crates/core/tests/oracle/rules.rs"]
mod rules;
mod scope;
mod state;

use std::process::ExitCode;

fn main() -> ExitCode {
    println!(
        "{:<50} {:>10} {:>6} {:>8}",
        "scope", "states", "depth", "seconds"
    );
    let mut sound = true;
    for scope in cases::SCOPES {
        let checked = cases::check(*scope, machine::Machine::SHIPPED, true);
        println!(
            "{:<50} {:>10} {:>6} {:>8.1}  {}",
            scope.name,
            checked.states,
            checked.depth,
            checked.seconds,
            checked.verdict(),
        );
        sound &= checked.wrong.is_empty();
    }
    println!("\n{:<50} noticed as", "rule broken on purpose");
    let by_rules = cases::FLAWS.iter().map(|case| (case, true));
    let as_seen = cases::SEEN.iter().map(|case| (case, false));
    for ((flaw, scope, expected), by_rules) in by_rules.chain(as_seen) {
        let checked = cases::check(*scope, machine::Machine::with(*flaw), by_rules);
        println!("{:<50} {}", format!("{flaw:?}"), checked.wrong.join(", "));
        sound &= checked.wrong.contains(expected);
    }
    if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
