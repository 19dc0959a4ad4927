//! `cargo xtask man`: man pages and shell completions, as the command itself describes them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::checks::metadata::Metadata;
use crate::process;
use crate::workspace::{self, Workspace};

/// Shells, each with the file name under which it looks for completions of `leasehold`.
const SHELLS: &[(&str, &str)] = &[
    ("bash", "leasehold.bash"),
    ("zsh", "_leasehold"),
    ("fish", "leasehold.fish"),
    ("elvish", "leasehold.elv"),
    ("powershell", "_leasehold.ps1"),
];

/// Writes `assets/man` and `assets/completions` in the target directory.
///
/// # Errors
///
/// When the command cannot be built or writes nothing, or a file cannot be written.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let assets = Metadata::read(&root)?.target_directory.join("assets");
    let man = assets.join("man");
    let completions = assets.join("completions");
    fresh_dir(&man)?;
    fresh_dir(&completions)?;

    for (shell, file) in SHELLS {
        let script = process::read(leasehold(&root).args(["completions", shell]))?;
        if script.trim().is_empty() {
            bail!("`leasehold completions {shell}` wrote nothing");
        }
        let path = completions.join(file);
        fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))?;
    }
    process::run(leasehold(&root).args(["man", "--out"]).arg(&man))?;
    let pages = fs::read_dir(&man)?.count();
    if pages == 0 {
        bail!("`leasehold man --out` wrote no page to {}", man.display());
    }
    println!(
        "{pages} man pages and {} completion scripts in {}",
        SHELLS.len(),
        assets.display()
    );
    Ok(())
}

/// The command of this checkout, built if need be.
fn leasehold(root: &Workspace) -> std::process::Command {
    let mut command = process::cargo(root);
    command.args("run --quiet --locked --package leasehold-cli --bin leasehold --".split(' '));
    command
}

/// An empty folder: pages of commands that are gone must not stay behind.
fn fresh_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}
