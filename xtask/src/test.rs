//! `cargo xtask test`: the README's test command.

use anyhow::Result;

use crate::fuzz;
use crate::process;
use crate::python;
use crate::servers;
use crate::sim;
use crate::steps::Steps;
use crate::trixie::{self, Server};
use crate::workspace;

/// How many schedules the simulation plays, from a new seed each time.
const SCHEDULES: u64 = 200_000;

/// The library's examples, which are run as they stand.
const EXAMPLES: &[&str] = &["quickstart", "fenced_write", "semaphore", "blocking"];

/// Installs what the tests need, then runs every test of every workspace, doctests included, and
/// the examples.
/// `args` go to each `cargo test`.
///
/// # Errors
///
/// When a test failed or could not be run, after all workspaces have had their turn.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut steps = Steps::new("test");
    prepare(&mut steps);
    for workspace in workspace::all() {
        steps.step(
            format!("cargo test ({})", workspace.name),
            "read the failures above; one package alone: cargo test -p PACKAGE",
            || {
                let mut command = process::cargo_for_tests(&workspace);
                command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
                command.args(args);
                process::run(&mut command)?;
                Ok(String::new())
            },
        );
    }
    steps.step("fuzz", fuzz::REMEDY, fuzz::briefly);
    steps.step(
        format!("simulation ({SCHEDULES} schedules)"),
        "play the line that was printed: cargo xtask sim --replay LINE --log",
        || sim::schedules(SCHEDULES),
    );
    for example in EXAMPLES {
        steps.step(
            format!("example {example}"),
            "mend it: it is what newcomers copy",
            || {
                let mut command = process::cargo(&workspace::root());
                command.args([
                    "run",
                    "--quiet",
                    "--locked",
                    "--package=leasehold",
                    "--example",
                ]);
                // Nothing of the user's own store is touched.
                command.args([example, "--", "memory:"]);
                process::run(&mut command)?;
                Ok(String::new())
            },
        );
    }
    steps.finish()
}

/// Runs the tests of the Redis engine with other servers than the system's own.
///
/// # Errors
///
/// When a name is not known, a server cannot be had, or a test failed.
pub(crate) fn with_servers(names: &[String], args: &[String]) -> Result<()> {
    let servers = names.iter().map(|name| Server::named(name));
    let servers = servers.collect::<Result<Vec<_>>>()?;
    let mut steps = Steps::new("test");
    prepare(&mut steps);
    for server in servers {
        steps.step(
            format!("the Redis engine on {}", server.name),
            "read the failures above; LEASEHOLD_REDIS_SERVER=PROGRAM chooses the server of cargo test",
            || {
                let program = server.ensure()?;
                let version = trixie::version(&program)?;
                println!("    {version}");
                let mut command = process::cargo_for_tests(&workspace::root());
                command
                    .args("test --package leasehold-redis --locked --no-fail-fast".split(' '))
                    .args(args)
                    .env("LEASEHOLD_REDIS_SERVER", program);
                process::run(&mut command)?;
                Ok(version)
            },
        );
    }
    steps.finish()
}

fn prepare(steps: &mut Steps) {
    steps.step("servers", servers::REMEDY, || {
        servers::ensure(servers::FOR_TESTS)
    });
    steps.step("Python packages", python::REMEDY, python::ensure);
}
