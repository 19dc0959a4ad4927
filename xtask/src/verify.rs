//! `cargo xtask verify`: every check that needs no test run. It writes nothing outside the target
//! directory; in particular every cargo call is `--locked`, so no `Cargo.lock` changes.

use anyhow::Result;

use crate::checks::{banned, budget, house, licences, lockfile, rooms};
use crate::process;
use crate::steps::Steps;
use crate::workspace::{self, Workspace};

const CLIPPY_REMEDY: &str = "cargo xtask fix, then correct by hand what remains";
const DOCS_REMEDY: &str = "correct the doc comments named above";

/// Runs all checks.
///
/// # Errors
///
/// When one of them failed, after all have run.
pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::new("verify");
    steps.step("house rules", house::REMEDY, house::check);
    steps.step("rooms", rooms::REMEDY, rooms::check);
    for workspace in workspace::all() {
        verify_workspace(&mut steps, &workspace);
    }
    steps.finish()
}

fn verify_workspace(steps: &mut Steps, workspace: &Workspace) {
    let name = workspace.name;
    steps.step(format!("formatting ({name})"), "cargo xtask fix", || {
        cargo(workspace, &["fmt", "--all", "--check"], &[])
    });
    let locked = steps.step(format!("Cargo.lock ({name})"), lockfile::REMEDY, || {
        lockfile::check(workspace)
    });
    if !locked {
        // Every check below would fail for this same reason and bury it.
        return;
    }
    steps.step(format!("banned crates ({name})"), banned::REMEDY, || {
        banned::check(workspace)
    });
    steps.step(format!("licences ({name})"), licences::REMEDY, || {
        licences::check(workspace)
    });
    if name == workspace::ROOT {
        steps.step(
            "core without async runtime",
            banned::REMEDY,
            banned::check_core,
        );
        steps.step("crate budget", budget::REMEDY, budget::check);
    }
    steps.step(format!("clippy ({name})"), CLIPPY_REMEDY, || {
        let args = "clippy --workspace --all-targets --locked -- -D warnings";
        cargo(workspace, &args.split(' ').collect::<Vec<_>>(), &[])
    });
    steps.step(format!("docs ({name})"), DOCS_REMEDY, || {
        let args = ["doc", "--workspace", "--no-deps", "--locked"];
        cargo(workspace, &args, &[("RUSTDOCFLAGS", "-D warnings")])
    });
}

fn cargo(workspace: &Workspace, args: &[&str], env: &[(&str, &str)]) -> Result<String> {
    let mut command = process::cargo(workspace);
    process::run(command.args(args).envs(env.iter().copied()))?;
    Ok(String::new())
}
