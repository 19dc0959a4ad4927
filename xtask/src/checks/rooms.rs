//! Which of our crates may depend on which.

use anyhow::{Context, Result, bail};

use super::metadata::Metadata;
use crate::workspace;

/// A folder of the root workspace and the folders its crates may depend on. A name that ends in a
/// slash stands for every crate below it.
struct Room {
    folder: &'static str,
    /// For the crate itself and its build script.
    normal: &'static [&'static str],
    /// For its tests and examples, besides.
    dev: &'static [&'static str],
}

const ROOMS: &[Room] = &[
    Room {
        folder: "crates/core",
        normal: &[],
        dev: &[],
    },
    Room {
        folder: "crates/conformance",
        normal: &["crates/core"],
        dev: &["engines/"],
    },
    Room {
        folder: "engines/",
        normal: &["crates/core"],
        dev: &["crates/conformance"],
    },
    Room {
        folder: "crates/leasehold",
        normal: &["crates/core", "engines/"],
        dev: &["crates/conformance"],
    },
    Room {
        folder: "crates/torture",
        normal: &["crates/leasehold"],
        dev: &[],
    },
    Room {
        folder: "crates/cli",
        normal: &["crates/leasehold", "crates/torture"],
        dev: &[],
    },
    Room {
        folder: "faults",
        normal: &["crates/torture"],
        dev: &[],
    },
    Room {
        folder: "xtask",
        normal: &[],
        dev: &[],
    },
];

pub(crate) const REMEDY: &str = "move the code to the room it belongs to (CONTRIBUTING.md, \"Rooms\"); \
     a new room is an entry of ROOMS in xtask/src/checks/rooms.rs";

/// One of our crates and those of our crates it declares as dependencies.
struct OurCrate {
    folder: String,
    dependencies: Vec<Use>,
}

struct Use {
    folder: String,
    dev: bool,
}

/// Every crate of the root workspace depends only on what its room allows.
///
/// # Errors
///
/// When one does not, or stands in no room.
pub(crate) fn check() -> Result<String> {
    let crates = our_crates()?;
    let problems: Vec<_> = crates.iter().flat_map(problems).collect();
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    Ok(format!("{} crates", crates.len()))
}

fn our_crates() -> Result<Vec<OurCrate>> {
    let members = Metadata::read(&workspace::root())?.packages;
    let mut folders = std::collections::BTreeMap::new();
    for member in &members {
        let folder = member
            .manifest_path
            .parent()
            .and_then(|dir| dir.strip_prefix(workspace::root_dir()).ok())
            .with_context(|| format!("{} is outside the repository", member.name))?;
        // Cargo names folders with the platform's separator, ROOMS with a slash.
        let parts: Vec<_> = folder.iter().map(|part| part.to_string_lossy()).collect();
        folders.insert(member.name.as_str(), parts.join("/"));
    }
    let uses = |member: &super::metadata::Member| {
        member
            .dependencies
            .iter()
            .filter_map(|dependency| {
                Some(Use {
                    folder: folders.get(dependency.name.as_str())?.clone(),
                    dev: dependency.kind.as_deref() == Some("dev"),
                })
            })
            .collect()
    };
    Ok(members
        .iter()
        .map(|member| OurCrate {
            folder: folders[member.name.as_str()].clone(),
            dependencies: uses(member),
        })
        .collect())
}

fn problems(krate: &OurCrate) -> Vec<String> {
    let folder = &krate.folder;
    let Some(room) = ROOMS.iter().find(|room| covers(room.folder, folder)) else {
        return vec![format!("{folder} stands in no room")];
    };
    krate
        .dependencies
        .iter()
        .filter(|used| {
            let normal = room.normal.iter();
            let dev = room.dev.iter().filter(|_| used.dev);
            !normal
                .chain(dev)
                .any(|allowed| covers(allowed, &used.folder))
        })
        .map(|used| {
            let purpose = if used.dev { ", even in tests" } else { "" };
            format!("{folder} must not depend on {}{purpose}", used.folder)
        })
        .collect()
}

fn covers(pattern: &str, folder: &str) -> bool {
    if pattern.ends_with('/') {
        folder.starts_with(pattern)
    } else {
        folder == pattern
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &str, uses: &[(&str, bool)]) -> Vec<String> {
        problems(&OurCrate {
            folder: folder.to_owned(),
            dependencies: uses
                .iter()
                .map(|(folder, dev)| Use {
                    folder: (*folder).to_owned(),
                    dev: *dev,
                })
                .collect(),
        })
    }

    #[test]
    fn an_engine_depends_on_the_core_alone() {
        let core = ("crates/core", false);
        let suite = ("crates/conformance", true);
        assert!(found("engines/local", &[core, suite]).is_empty());
        assert_eq!(
            found("engines/local", &[core, ("crates/conformance", false)]),
            ["engines/local must not depend on crates/conformance"]
        );
        assert_eq!(
            found("engines/local", &[("engines/memory", true)]),
            ["engines/local must not depend on engines/memory, even in tests"]
        );
    }

    #[test]
    fn the_core_depends_on_none_of_ours() {
        assert!(found("crates/core", &[]).is_empty());
        assert_eq!(found("crates/core", &[("crates/leasehold", true)]).len(), 1);
    }

    #[test]
    fn the_command_reaches_the_core_through_the_library() {
        assert!(found("crates/cli", &[("crates/leasehold", false)]).is_empty());
        assert_eq!(found("crates/cli", &[("crates/core", false)]).len(), 1);
        let library = [("crates/core", false), ("engines/local", false)];
        assert!(found("crates/leasehold", &library).is_empty());
    }

    #[test]
    fn a_crate_elsewhere_needs_a_room() {
        assert_eq!(found("crates/new", &[]), ["crates/new stands in no room"]);
    }
}
