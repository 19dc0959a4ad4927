//! `Cargo.lock` is there and agrees with the manifests.

use anyhow::{Result, bail};

use super::tree;
use crate::process;
use crate::workspace::Workspace;

pub(crate) const REMEDY: &str = "run `cargo update --workspace` in that workspace's folder and commit Cargo.lock; \
     until then the steps that need it are left out";

/// Lets cargo resolve the workspace with `--locked`, which fails rather than changing the file.
///
/// # Errors
///
/// When the file is missing or would have to change.
pub(crate) fn check(workspace: &Workspace) -> Result<String> {
    if !workspace.dir.join("Cargo.lock").is_file() {
        bail!("{} has no Cargo.lock", workspace.dir.display());
    }
    let args = "metadata --locked --format-version 1";
    process::read(process::cargo(workspace).args(args.split(' ')))?;
    let locked = tree::packages(workspace, tree::EVERYTHING)?;
    Ok(format!("{} packages on all targets", locked.len()))
}
