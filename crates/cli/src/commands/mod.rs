//! One file for each command.

mod acquire;
mod break_lock;
mod completions;
mod doctor;
mod engines;
mod grant;
mod ls;
mod man;
mod release;
mod renew;
mod run;
mod status;
mod torture;
mod watch;
mod watchdog;

use std::process::ExitCode;

use crate::args::Command;
use crate::context::Context;
use crate::failure::Failure;

/// Carries a command out.
pub(crate) fn dispatch(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Run(args) => return run::run(context, args),
        Command::Acquire(args) => return acquire::acquire(context, args),
        Command::Doctor(args) => return doctor::doctor(context, args),
        Command::Torture(args) => return torture::torture(context, args),
        Command::TortureWorker => torture::worker(context)?,
        Command::Renew(args) => renew::renew(context, args)?,
        Command::Release(args) => release::release(context, args)?,
        Command::Status(args) => status::status(context, args)?,
        Command::Ls(args) => ls::ls(context, args)?,
        Command::Watch(args) => watch::watch(context, args)?,
        Command::Break(args) => break_lock::break_lock(context, args)?,
        Command::Engines(args) => engines::engines(context, args)?,
        Command::Completions(args) => completions::completions(args)?,
        Command::Man(args) => man::man(args)?,
    }
    Ok(ExitCode::SUCCESS)
}
