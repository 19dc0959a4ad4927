//! The `leasehold` command.
//!
//! # Layout
//!
//! * `args`: what can be typed.
//! * `commands`: one file for each command, and the `watchdog` of `run`.
//! * `take`, `waiting`, `view`: asking for a lock, and what is shown meanwhile.
//! * `job`: the command that `run` starts, its signals and its terminal.
//! * `config`, `context`, `owner`: which engine to use, and as whom.
//! * `clock`, `sync`: time that counts suspends, and what threads share.
//! * `output`: tables, durations, colours, JSON.
//! * `failure`: what is said when something fails, and the exit codes.

mod args;
mod clock;
mod commands;
mod config;
mod context;
mod failure;
mod job;
mod output;
mod owner;
mod sync;
mod take;
mod view;
mod waiting;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::context::Context;

fn main() -> ExitCode {
    if let Some(code) = job::guard_if_asked() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    let context = Context::new(cli.global);
    match commands::dispatch(&context, cli.command) {
        Ok(code) => code,
        Err(failure) => {
            context.fail(&failure);
            ExitCode::from(failure.code)
        }
    }
}
