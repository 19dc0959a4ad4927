//! Crates that must not come in: anywhere, or into the core.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::tree::{self, Package};
use crate::workspace::{self, Workspace};

/// TLS is rustls with ring: these need a C toolchain, cmake or a system library besides.
const ANYWHERE: &[&str] = &["openssl-sys", "aws-lc-sys", "aws-lc-fips-sys"];

/// The core has no clock, no socket and no executor of its own.
const IN_CORE: &[&str] = &[
    "actix-rt",
    "async-executor",
    "async-global-executor",
    "async-io",
    "async-std",
    "compio",
    "embassy-executor",
    "futures-executor",
    "glommio",
    "mio",
    "monoio",
    "smol",
    "tokio",
];

pub(crate) const REMEDY: &str = "switch off the feature that brings the crate in (`default-features = false`); \
     `cargo tree --workspace --all-features --target all --invert CRATE` shows whose it is";

/// No crate of the workspace brings in one that is banned, on any target, with any feature.
///
/// # Errors
///
/// When one does.
pub(crate) fn check(workspace: &Workspace) -> Result<String> {
    report(&tree::packages(workspace, tree::EVERYTHING)?, ANYWHERE)
}

/// The core brings in no async runtime, on any target, with any feature.
///
/// # Errors
///
/// When it does.
pub(crate) fn check_core() -> Result<String> {
    let args = "--package=leasehold-core --all-features --target=all --edges=normal";
    let args: Vec<_> = args.split(' ').collect();
    report(&tree::packages(&workspace::root(), &args)?, IN_CORE)
}

fn report(packages: &BTreeSet<Package>, banned: &[&str]) -> Result<String> {
    let found: Vec<_> = packages
        .iter()
        .filter(|package| banned.contains(&package.name.as_str()))
        .map(|package| format!("{} {} is banned here", package.name, package.version))
        .collect();
    if !found.is_empty() {
        bail!("{}", found.join("\n"));
    }
    Ok(format!("none among {} packages", packages.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: "v1.0.0".to_owned(),
            licence: "MIT".to_owned(),
        }
    }

    #[test]
    fn a_banned_crate_is_named() {
        let packages = BTreeSet::from([package("serde"), package("tokio")]);
        assert_eq!(
            report(&packages, IN_CORE).unwrap_err().to_string(),
            "tokio v1.0.0 is banned here"
        );
        assert_eq!(
            report(&packages, ANYWHERE).unwrap(),
            "none among 2 packages"
        );
    }

    #[test]
    fn names_are_compared_whole() {
        let packages = BTreeSet::from([package("openssl-sys-extras"), package("ring")]);
        assert!(report(&packages, ANYWHERE).is_ok());
    }
}
