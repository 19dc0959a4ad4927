//! `cargo xtask interop`: other projects' clients beside ours, at full length.

use anyhow::Result;

use crate::process;
use crate::python;
use crate::servers;
use crate::steps::Steps;
use crate::workspace;

/// How often each of the eight processes increments the counter.
const INCREMENTS: &str = "2000";

/// Runs the Python package `redlock` and Leasehold on the same lock.
///
/// # Errors
///
/// When an increment was lost, or the test could not be run.
pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::new("interop");
    steps.step("servers", servers::REMEDY, || {
        servers::ensure(servers::FOR_TESTS)
    });
    steps.step("Python packages", python::REMEDY, python::ensure);
    steps.step(
        "Python redlock",
        "read the failure above; engines/redis/tests/python.rs is the test",
        || {
            let mut command = process::cargo(&workspace::root());
            command.args("test --locked --package leasehold-redis --test python".split(' '));
            command.env("LEASEHOLD_INCREMENTS", INCREMENTS);
            process::run(&mut command)?;
            Ok(format!(
                "4 + 4 processes, {INCREMENTS} increments each, none lost"
            ))
        },
    );
    steps.finish()
}
