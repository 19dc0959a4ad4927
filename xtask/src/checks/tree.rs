//! The resolved dependency graph, flattened, as `cargo tree` prints it. Unlike `Cargo.lock` and
//! `cargo metadata` it leaves out what is only there for features nobody asks for.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

/// Arguments for all packages any build of the workspace can contain.
pub(crate) const EVERYTHING: &[&str] = &[
    "--workspace",
    "--all-features",
    "--target=all",
    "--edges=normal,build,dev",
];

/// A package of the graph.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// As cargo shows it, `v1.2.3`.
    pub(crate) version: String,
    /// The SPDX expression of its manifest; empty if it has none.
    pub(crate) licence: String,
}

/// The packages `cargo tree ARGS` reaches, the starting ones included.
///
/// # Errors
///
/// When cargo fails, for example because `Cargo.lock` is out of date.
pub(crate) fn packages(workspace: &Workspace, args: &[&str]) -> Result<BTreeSet<Package>> {
    let mut command = process::cargo(workspace);
    command
        .args(["tree", "--locked", "--prefix=none", "--format={p}\t{l}"])
        .args(args)
        .env("CARGO_TERM_COLOR", "never");
    parse(&process::read(&mut command)?)
}

/// Reads lines such as `serde v1.0.1 (proc-macro)<tab>MIT OR Apache-2.0 (*)`.
fn parse(text: &str) -> Result<BTreeSet<Package>> {
    text.lines()
        // Headings such as `[build-dependencies]` stand between the packages.
        .filter(|line| line.contains('\t'))
        .map(|line| {
            // The mark of a package whose dependencies were shown before.
            let line = line.strip_suffix(" (*)").unwrap_or(line);
            let (package, licence) = line.split_once('\t').unwrap_or((line, ""));
            let mut words = package.split(' ');
            let (name, version) = words
                .next()
                .zip(words.next())
                .with_context(|| format!("cannot understand this line of `cargo tree`: {line}"))?;
            Ok(Package {
                name: name.to_owned(),
                version: version.to_owned(),
                licence: licence.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_once_however_often_it_is_shown() {
        let text = "leasehold v0.1.0 (/src/crates/leasehold)\tMIT OR Apache-2.0\n\
                    thiserror-impl v2.0.1 (proc-macro)\tMIT OR Apache-2.0\n\
                    syn v2.0.1\tMIT OR Apache-2.0\n\
                    [build-dependencies]\n\
                    syn v2.0.1\tMIT OR Apache-2.0 (*)\n\
                    syn v1.0.9\t\n";
        let packages = parse(text).unwrap();
        let shown: Vec<_> = packages
            .iter()
            .map(|p| format!("{} {} {}", p.name, p.version, p.licence))
            .collect();
        assert_eq!(
            shown,
            [
                "leasehold v0.1.0 MIT OR Apache-2.0",
                "syn v1.0.9 ",
                "syn v2.0.1 MIT OR Apache-2.0",
                "thiserror-impl v2.0.1 MIT OR Apache-2.0",
            ]
        );
    }

    #[test]
    fn a_line_without_a_version_is_an_error() {
        assert!(parse("leasehold\tMIT").is_err());
    }
}
