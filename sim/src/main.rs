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
#[path = "../../crates/core/tests/oracle/machine.rs"]
mod machine;
mod model;
mod properties;
#[path = "../../crates/core/tests/oracle/rules.rs"]
mod rules;
mod scope;
mod state;

use std::process::ExitCode;

fn main() -> ExitCode {
    println!("{:<44} {:>12} {:>7} {:>8}", "scope", "states", "depth", "seconds");
    let mut sound = true;
    for scope in cases::SCOPES {
        let checked = cases::check(*scope, machine::Machine::SHIPPED);
        println!(
            "{:<44} {:>12} {:>7} {:>8.1}  {}",
            scope.name,
            checked.states,
            checked.depth,
            checked.seconds,
            checked.verdict(),
        );
        sound &= checked.wrong.is_empty();
    }
    println!("\n{:<44} noticed as", "broken rule");
    for (flaw, scope, rule) in cases::FLAWS {
        let checked = cases::check(*scope, machine::Machine::with(*flaw));
        println!("{:<44} {}", format!("{flaw:?}"), checked.wrong.join(", "));
        sound &= checked.wrong.contains(rule);
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
