//! `cargo xtask test`: the README's test command.

use anyhow::Result;

use crate::process;
use crate::servers;
use crate::steps::Steps;
use crate::workspace;

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
    steps.step(
        "servers",
        "install the programs by hand; the table is xtask/src/servers.rs",
        || servers::ensure(servers::FOR_TESTS),
    );
    for workspace in workspace::all() {
        steps.step(
            format!("cargo test ({})", workspace.name),
            "read the failures above; one package alone: cargo test -p PACKAGE",
            || {
                let mut command = process::cargo(&workspace);
                command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
                command.args(args);
                process::run(&mut command)?;
                Ok(String::new())
            },
        );
    }
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
