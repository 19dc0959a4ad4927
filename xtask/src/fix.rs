//! `cargo xtask fix`: everything `verify` asks for that a program can do.

use anyhow::Result;

use crate::process;
use crate::steps::Steps;
use crate::workspace;

/// Rewrites the source files of every workspace.
///
/// # Errors
///
/// When a tool failed, for example because a file does not compile; what came before is kept.
pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::new("fix");
    for workspace in workspace::all() {
        let name = workspace.name;
        steps.step(
            format!("clippy --fix ({name})"),
            "make the code compile, then run this again",
            || {
                let args = "clippy --fix --allow-dirty --allow-staged --workspace --all-targets";
                process::run(process::cargo(&workspace).args(args.split(' ')))?;
                Ok(String::new())
            },
        );
        // Formatting comes last, because a suggestion of clippy may leave a line unformatted.
        steps.step(
            format!("fmt ({name})"),
            "correct the syntax errors named above",
            || {
                process::run(process::cargo(&workspace).args(["fmt", "--all"]))?;
                Ok(String::new())
            },
        );
    }
    steps.finish()
}
