//! `cargo xtask fuzz`: feeds parsers, decoders and the Redis engine with what nobody should send.

use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::servers;
use crate::workspace;

/// How long `cargo xtask test` spends on it, all targets together.
const IN_TESTS: &str = "20";

pub(crate) const REMEDY: &str = "read the failure above; `cargo xtask fuzz --seed SEED TARGET` \
     runs it again, and fuzz/regressions/TARGET.txt keeps what failed";

/// Runs the fuzzer with these arguments.
///
/// # Errors
///
/// When a target failed, or could not be run.
pub(crate) fn run(args: &[String]) -> Result<()> {
    servers::ensure(servers::FOR_TESTS)?;
    process::run(command().args(args))
}

/// The run that is part of every test, from a new seed.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn briefly() -> Result<String> {
    process::run(command().args(["--seconds", IN_TESTS]))?;
    Ok(format!("{IN_TESTS} s, nothing found"))
}

/// With the checks of a development build, optimised all the same: overflow is an error there.
fn command() -> Command {
    let mut command = process::cargo(&workspace::root());
    command.args("run --quiet --locked --manifest-path fuzz/Cargo.toml --".split(' '));
    command
}
