//! How many crates the default builds compile, held against a budget, so that a dependency that
//! brings thirty others is noticed on the day it is added.

use anyhow::{Result, bail};

use super::tree;
use crate::workspace;

/// Our packages, each with the greatest number of crates its default build may compile on this
/// machine's target: itself, its dependencies, and theirs; build scripts and macros included.
const BUDGET: &[(&str, usize)] = &[("leasehold", 55), ("leasehold-cli", 214)];

pub(crate) const REMEDY: &str = "drop the dependency or switch off its default features; \
     if it is worth its weight, raise BUDGET in xtask/src/checks/budget.rs";

/// Every package with a budget keeps to it.
///
/// # Errors
///
/// When one exceeds it or is not in the workspace.
pub(crate) fn check() -> Result<String> {
    let root = workspace::root();
    let mut counts = Vec::new();
    for (package, _) in BUDGET {
        let selected = format!("--package={package}");
        let packages = tree::packages(&root, &[&selected, "--edges=normal,build"])?;
        counts.push(packages.len());
    }
    report(BUDGET, &counts)
}

fn report(budget: &[(&str, usize)], counts: &[usize]) -> Result<String> {
    let shown: Vec<_> = budget
        .iter()
        .zip(counts)
        .map(|((package, most), count)| {
            format!("{package} builds {count} of at most {most} crates")
        })
        .collect();
    let shown = shown.join(", ");
    if budget
        .iter()
        .zip(counts)
        .any(|((_, most), count)| count > most)
    {
        bail!("{shown}");
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_itself_is_still_within_it() {
        assert_eq!(
            report(&[("a", 5), ("b", 7)], &[5, 1]).unwrap(),
            "a builds 5 of at most 5 crates, b builds 1 of at most 7 crates"
        );
    }

    #[test]
    fn one_crate_too_many_is_an_error_that_shows_the_numbers() {
        let error = report(&[("a", 5), ("b", 7)], &[4, 8]).unwrap_err();
        assert!(error.to_string().contains("b builds 8 of at most 7 crates"));
    }
}
