//! `cargo xtask faults`: real servers that are broken while clients use them. The work is done
//! in `faults/`, which links what the clients are made of; this builds and starts it.

use anyhow::Result;

use crate::process;
use crate::servers;
use crate::workspace;

/// Runs the faults, with these arguments for them.
///
/// # Errors
///
/// When a promise was broken, or the run could not be carried out.
pub(crate) fn run(args: &[String]) -> Result<()> {
    println!("{}", servers::ensure(servers::FOR_FAULTS)?);
    let mut command = process::cargo_for_tests(&workspace::root());
    command
        .args("run --quiet --locked --package leasehold-faults --".split(' '))
        .args(args);
    process::run(&mut command)
}
