//! Every dependency may be used under a licence we accept.

use anyhow::{Context, Result, bail};
use spdx::{Expression, ParseMode};

use super::tree;
use crate::workspace::Workspace;

/// Licences, by their SPDX names, that ask no more of users of Leasehold than to pass on notices
/// (and, MPL-2.0, changes to the dependency's own files).
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages whose manifest names no licence, each with the expression that its files amount to.
const CLARIFIED: &[(&str, &str)] = &[];

pub(crate) const REMEDY: &str = "do without the crate, or extend ALLOWED or CLARIFIED in \
     xtask/src/checks/licences.rs after reading its licence";

/// Every package, on any target and with any feature, has an accepted licence.
///
/// # Errors
///
/// When one has not, or has an expression that is not SPDX.
pub(crate) fn check(workspace: &Workspace) -> Result<String> {
    let packages = tree::packages(workspace, tree::EVERYTHING)?;
    let mut problems = Vec::new();
    for package in &packages {
        let clarified = CLARIFIED.iter().find(|(name, _)| *name == package.name);
        let expression = clarified.map_or(package.licence.as_str(), |(_, expression)| expression);
        match accepted(expression) {
            Ok(true) => {}
            Ok(false) => problems.push(format!(
                "{} {}: `{expression}` is not accepted",
                package.name, package.version
            )),
            Err(error) => problems.push(format!("{} {}: {error:#}", package.name, package.version)),
        }
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    Ok(format!("{} packages", packages.len()))
}

/// Whether the expression can be met with accepted licences alone: one side of an `OR` is enough,
/// an `AND` takes both, and a `WITH` only adds permissions.
fn accepted(expression: &str) -> Result<bool> {
    if expression.is_empty() {
        bail!("its manifest names no licence");
    }
    // Lax, because old manifests separate alternatives with a slash.
    let parsed = Expression::parse_mode(expression, ParseMode::LAX)
        .with_context(|| format!("`{expression}` is not an SPDX expression"))?;
    Ok(parsed.evaluate(|requirement| {
        requirement
            .license
            .id()
            .is_some_and(|id| ALLOWED.contains(&id.name))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_judged_as_logic() {
        for (expression, expected) in [
            ("MIT", true),
            ("MIT OR Apache-2.0", true),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0-only", false),
            ("GPL-3.0-only OR MIT", true),
            ("GPL-3.0-only AND MIT", false),
            ("Apache-2.0 AND ISC", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND GPL-2.0-only", false),
            ("MIT OR (GPL-2.0-only AND ISC)", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("GPL-2.0-only WITH Classpath-exception-2.0", false),
            ("LicenseRef-Proprietary", false),
        ] {
            assert_eq!(accepted(expression).unwrap(), expected, "{expression}");
        }
    }

    #[test]
    fn what_cannot_be_judged_is_an_error() {
        assert!(accepted("").unwrap_err().to_string().contains("no licence"));
        let error = accepted("Do what you like").unwrap_err();
        assert!(error.to_string().contains("Do what you like"));
    }

    #[test]
    fn every_accepted_name_is_an_spdx_licence() {
        for name in ALLOWED {
            assert!(spdx::license_id(name).is_some(), "{name}");
            assert!(accepted(name).unwrap(), "{name}");
        }
    }
}
