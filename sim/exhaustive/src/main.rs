//! Checks the quorum machines exhaustively: every order of events that two or three
//! clients of one lock can bring about on three nodes that run out of keys, forget
//! and rejoin, without any clock.
//!
//! The machines and the nodes' model are the shipped ones. Connections keep their
//! order and may hang for ever; the untimed world of `leasehold-sim` lets messages
//! overtake each other as well. States are told apart by all that the machines hold.
//!
//! # Layout
//!
//! * `scope`: how much may happen.
//! * `state`: one state, and what happens in it.
//! * `client`: what clients and their machines do.
//! * `model`: which events a state allows, and what must hold (C1).

#![forbid(unsafe_code)]

mod client;
mod model;
mod scope;
mod state;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use model::check;
use scope::SCOPES;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let minutes = match (words.next().as_deref(), words.next()) {
        (None, _) => Some(10),
        (Some("--minutes"), Some(value)) => value.parse::<u64>().ok().filter(|m| *m > 0),
        _ => None,
    };
    let Some(minutes) = minutes else {
        eprintln!("usage: exhaustive [--minutes N], N at least 1");
        return ExitCode::from(2);
    };
    println!(
        "{:<58} {:>12} {:>6} {:>8}  outcome",
        "scope (3 nodes)", "states", "depth", "seconds"
    );
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let mut sound = true;
    let mut states = 0;
    for (at, scope) in SCOPES.iter().enumerate() {
        // What an earlier scope leaves over is the later ones'.
        let left = end.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(SCOPES.len() - at).unwrap_or(1);
        let checked = check(*scope, None, share);
        println!(
            "{:<58} {:>12} {:>6} {:>8.1}  {}",
            scope.name,
            checked.states,
            checked.depth,
            checked.seconds,
            checked.verdict(),
        );
        states += checked.states;
        sound &= checked.broken.is_none();
    }
    println!("{states} states in all");
    match sound {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
