//! What it ran with.

use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use super::parts::first_line;
use crate::process;
use crate::workspace;

/// The time, in UTC.
///
/// # Errors
///
/// When there is no `date`.
pub(crate) fn now() -> Result<String> {
    let said = process::read(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))?;
    Ok(said.trim().to_owned())
}

/// The commit, and whether anything was changed since.
pub(crate) fn commit() -> String {
    let root = workspace::root_dir().display().to_string();
    let commit = first_line("git", &["-C", &root, "rev-parse", "--short", "HEAD"]);
    let changed = first_line(
        "git",
        &[
            "-C",
            &root,
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--",
            "*.rs",
            "*.lua",
            "*.toml",
        ],
    );
    match changed.is_empty() || changed == "not there" {
        true => commit,
        false => format!("{commit} with changes"),
    }
}

/// A table of them all.
pub(crate) fn table() -> String {
    let rows = [
        ("system", first_line("uname", &["-srm"])),
        ("processors", first_line("nproc", &[])),
        ("Rust", first_line("rustc", &["--version"])),
        ("Redis", first_line("redis-server", &["--version"])),
        ("libfaketime", first_line("faketime", &["--version"])),
        ("Python", first_line("python3", &["--version"])),
        ("Python packages", python_packages()),
        ("Node", first_line("node", &["--version"])),
        ("Node packages", node_packages()),
        ("rslock", rslock()),
    ];
    let lines = rows
        .iter()
        .map(|(what, version)| format!("| {what} | {version} |"));
    let head = "| | version |\n|---|---|".to_owned();
    std::iter::once(head)
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

fn python_packages() -> String {
    let file = workspace::root_dir().join("engines/redis/tests/python/requirements.txt");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(", ")
}

/// As the lock file has them.
fn node_packages() -> String {
    let file = workspace::root_dir().join("peers/node/package-lock.json");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lock: Value = serde_json::from_str(&text).unwrap_or_default();
    let version = |name: &str| {
        let version = lock["packages"][format!("node_modules/{name}")]["version"].as_str();
        format!("{name} {}", version.unwrap_or("not there"))
    };
    format!("{}, {}", version("redlock"), version("ioredis"))
}

/// As its manifest has it.
fn rslock() -> String {
    let file = workspace::root_dir().join("peers/rslock/Cargo.toml");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("rslock"));
    let version = line.and_then(|line| line.split('"').nth(1));
    version.map_or("not there".to_owned(), |version| {
        version.trim_start_matches('=').to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peers_versions_are_known() {
        for version in [python_packages(), node_packages(), rslock()] {
            assert!(version.contains(|c: char| c.is_ascii_digit()), "{version}");
            assert!(!version.contains("not there"), "{version}");
        }
    }
}
