//! `cargo xtask bench NAME`: runs a program of `bench/src/bin` in a release build.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::servers;
use crate::workspace;

/// Runs the benchmark of that name with `args`, or lists the names.
///
/// # Errors
///
/// When there is no such benchmark, or it failed.
pub(crate) fn run(name: Option<&str>, args: &[String]) -> Result<()> {
    let root = workspace::root();
    let bench = root.dir.join("bench");
    if !bench.join("Cargo.toml").is_file() {
        bail!("there is no bench/ workspace in this checkout, so there is nothing to run");
    }
    let names = names(&bench.join("src/bin"))?;
    let Some(name) = name else {
        println!("{}", names.join("\n"));
        return Ok(());
    };
    if !names.iter().any(|known| known == name) {
        bail!(
            "no benchmark is called `{name}`; bench/src/bin has: {}",
            names.join(", ")
        );
    }
    servers::ensure(servers::FOR_BENCHES)?;
    let mut command = process::cargo(&root);
    command
        .args("run --release --locked --manifest-path bench/Cargo.toml --bin".split(' '))
        .arg(name)
        .arg("--")
        .args(args);
    process::run(&mut command)
}

/// The programs in a `src/bin` folder, sorted: `NAME.rs`, or a folder `NAME` with a `main.rs`.
fn names(bin: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(bin).with_context(|| format!("cannot list {}", bin.display()))? {
        let path = entry?.path();
        let is_program =
            path.extension().is_some_and(|ext| ext == "rs") || path.join("main.rs").is_file();
        if let (true, Some(stem)) = (is_program, path.file_stem()) {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_files_and_folders_with_a_main() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("local.rs"), "").unwrap();
        fs::write(dir.path().join("notes.md"), "").unwrap();
        fs::create_dir(dir.path().join("data")).unwrap();
        fs::create_dir(dir.path().join("big")).unwrap();
        fs::write(dir.path().join("big/main.rs"), "").unwrap();
        assert_eq!(names(dir.path()).unwrap(), ["big", "local"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("bin");
        let error = names(&missing).unwrap_err();
        assert!(error.to_string().contains(&missing.display().to_string()));
    }
}
