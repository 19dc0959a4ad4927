//! House rules for every Rust file: not too long, nothing left undone, no test switched off.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Lines in a file: above the first number a warning, above the second an error.
const LONG: usize = 400;
const TOO_LONG: usize = 500;

/// Text that must not occur, in two halves so that this file may hold the table.
const FORBIDDEN: &[(&str, &str)] = &[
    ("#[", "ignore"),
    ("to", "do!("),
    ("unimple", "mented!("),
    ("FIX", "ME"),
];

pub(crate) const REMEDY: &str =
    "split the file along its concepts; finish or remove what is left undone";

/// Every Rust file of the repository, whichever workspace it belongs to, keeps the rules.
///
/// # Errors
///
/// When one does not, or cannot be read.
pub(crate) fn check() -> Result<String> {
    let root = workspace::root_dir();
    let mut files = Vec::new();
    rust_files(root, &mut files)?;
    files.sort();

    let mut problems = Vec::new();
    let mut long = 0;
    for file in &files {
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let shown = file.strip_prefix(root).unwrap_or(file).display();
        let lines = text.lines().count();
        match length(lines) {
            Length::Fine => {}
            Length::Long => {
                long += 1;
                println!("    warning: {shown} has {lines} lines, above {LONG}");
            }
            Length::TooLong => {
                problems.push(format!("{shown} has {lines} lines, above {TOO_LONG}"))
            }
        }
        for (line, found) in forbidden(&text) {
            problems.push(format!("{shown}:{line} has `{found}`"));
        }
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    Ok(format!("{} files, {long} above {LONG} lines", files.len()))
}

#[derive(Debug, PartialEq)]
enum Length {
    Fine,
    Long,
    TooLong,
}

fn length(lines: usize) -> Length {
    match lines {
        _ if lines > TOO_LONG => Length::TooLong,
        _ if lines > LONG => Length::Long,
        _ => Length::Fine,
    }
}

/// The forbidden texts in a file, each with the number of its line.
fn forbidden(text: &str) -> Vec<(usize, String)> {
    let patterns: Vec<_> = FORBIDDEN.iter().map(|(a, b)| format!("{a}{b}")).collect();
    text.lines()
        .enumerate()
        .flat_map(|(index, line)| {
            patterns
                .iter()
                .filter(|pattern| line.contains(pattern.as_str()))
                .map(move |pattern| (index + 1, pattern.clone()))
        })
        .collect()
}

/// Collects Rust files below `dir`, leaving out build output, hidden folders and what lies behind
/// symbolic links.
fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if kind.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            rust_files(&entry.path(), found)?;
        } else if kind.is_file() && entry.path().extension().is_some_and(|ext| ext == "rs") {
            found.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_judged_at_both_limits() {
        assert_eq!(length(0), Length::Fine);
        assert_eq!(length(400), Length::Fine);
        assert_eq!(length(401), Length::Long);
        assert_eq!(length(500), Length::Long);
        assert_eq!(length(501), Length::TooLong);
    }

    #[test]
    fn forbidden_text_is_found_with_its_line() {
        let mark = ["FIX", "ME"].concat();
        let switched_off = ["#[", "ignore = \"slow\"]"].concat();
        let text = format!("fn a() {{}}\n// {mark}: later\n\n{switched_off}\n");
        assert_eq!(
            forbidden(&text),
            [(2, mark), (4, ["#[", "ignore"].concat())]
        );
        assert!(forbidden("fn fixme() { ignore() }").is_empty());
    }

    #[test]
    fn build_output_and_other_files_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["src/deep", "target/debug", ".git"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for file in [
            "src/deep/a.rs",
            "src/b.txt",
            "target/debug/c.rs",
            ".git/d.rs",
        ] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let mut found = Vec::new();
        rust_files(dir.path(), &mut found).unwrap();
        assert_eq!(found, [dir.path().join("src/deep/a.rs")]);
    }
}
