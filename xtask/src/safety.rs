//! `cargo xtask safety`: runs every proof, and writes docs/safety.md.
//!
//! The text is in `safety/template.md`, written by hand. Every figure comes from a result, and
//! each result is kept under target/safety/ with its command, its date and the commit it was made
//! on; one that is not there is printed as "not run".
//!
//! * [`parts`]: what is run. [`saved`]: its results. [`table`]: results as tables. [`versions`]:
//!   what it ran with.

mod parts;
mod saved;
mod table;
mod versions;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::peers;
use crate::servers;
use crate::steps::Steps;
use crate::workspace;
use parts::{Length, PARTS, Part};
use saved::Saved;

/// The page.
const PAGE: &str = "docs/safety.md";
/// Drawings that it shows.
const DRAWINGS: &str = "docs/safety";
/// The text around the figures.
const TEMPLATE: &str = include_str!("safety/template.md");

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Short runs: minutes instead of hours.
    #[arg(long)]
    quick: bool,
    /// Run only these parts; take the others from what is saved.
    #[arg(long, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<String>,
    /// For how long each of the runs that are measured in minutes.
    #[arg(long, value_name = "N")]
    minutes: Option<u32>,
    /// Run nothing: write the page from what is saved.
    #[arg(long, conflicts_with_all = ["quick", "only", "minutes"])]
    saved: bool,
}

impl Options {
    fn length(&self) -> Length {
        match (self.minutes, self.quick) {
            (Some(minutes), _) => Length::Minutes(minutes),
            (None, true) => Length::Quick,
            (None, false) => Length::Full,
        }
    }
}

/// Runs what is asked for, and writes the page.
///
/// # Errors
///
/// When a part failed, after all have run and the page is written; it says so, too.
pub(crate) fn run(options: &Options) -> Result<()> {
    for name in &options.only {
        if PARTS.iter().all(|part| part.name != name) {
            let names: Vec<_> = PARTS.iter().map(|part| part.name).collect();
            bail!(
                "--only {name}: no part is called so; there are: {}",
                names.join(", ")
            );
        }
    }
    let wanted =
        |part: &&Part| options.only.is_empty() || options.only.iter().any(|name| name == part.name);
    let mut steps = Steps::new("safety");
    if !options.saved {
        prepare(&mut steps, PARTS.iter().filter(wanted));
        for part in PARTS.iter().filter(wanted) {
            steps.step(part.name, parts::REMEDY, || {
                part.run(options.length(), &folder())
            });
        }
    }
    steps.step(PAGE, "read the error above", write);
    steps.finish()
}

fn prepare<'a>(steps: &mut Steps, mut wanted: impl Iterator<Item = &'a Part>) {
    steps.step("servers", servers::REMEDY, || {
        servers::ensure(servers::FOR_TESTS)
    });
    if wanted.any(|part| part.name.starts_with("faults-")) {
        peers::prepare(steps);
    }
}

/// Where results are kept.
fn folder() -> PathBuf {
    workspace::root_dir().join("target/safety")
}

fn write() -> Result<String> {
    let mut page = TEMPLATE.to_owned();
    let mut missing = Vec::new();
    let mut all = Vec::new();
    for part in PARTS {
        let saved = Saved::read(&folder(), part.name)?;
        if saved.is_none() {
            missing.push(part.name);
        }
        let shown = match &saved {
            Some(saved) => format!("{}\n\n{}", saved.provenance(), part.show(saved)),
            None => format!("*Not run.* Its command: `{}`.", part.command(Length::Full)),
        };
        page = put(&page, part.name, &shown)?;
        all.push((part, saved));
    }
    page = put(&page, "overview", &table::overview(&all))?;
    page = put(&page, "peers", &table::peers(&all))?;
    page = put(&page, "drawing", &drawing(&all)?)?;
    page = put(&page, "versions", &versions::table())?;
    let file = workspace::root_dir().join(PAGE);
    fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(match missing.is_empty() {
        true => "all parts".to_owned(),
        false => format!("not run: {}", missing.join(", ")),
    })
}

/// Puts figures where the template wants them.
fn put(page: &str, name: &str, figures: &str) -> Result<String> {
    let mark = format!("{{{{{name}}}}}");
    if !page.contains(&mark) {
        bail!("xtask/src/safety/template.md has no {mark}");
    }
    Ok(page.replace(&mark, figures))
}

/// An overlap of a peer's leases, as it was drawn from its run.
fn drawing(all: &[(&Part, Option<Saved>)]) -> Result<String> {
    for (part, saved) in all {
        let (Some(saved), Some(report)) = (saved, part.report(&folder())) else {
            continue;
        };
        for servers in ["memory", "durable"] {
            let drawn = report.join(format!("{servers}-overlap.svg"));
            if part.name == "faults" || !drawn.is_file() {
                continue;
            }
            let name = format!("{}-overlap.svg", part.name);
            let to = workspace::root_dir().join(DRAWINGS);
            fs::create_dir_all(&to).context("cannot make docs/safety")?;
            fs::copy(&drawn, to.join(&name)).context("cannot write to docs/safety")?;
            let client = table::client(saved);
            let seed = saved.figures["seed"].as_u64().unwrap_or_default();
            return Ok(format!(
                "![Leases of {client} that overlap](safety/{name})\n\n*{client}, {servers} servers, seed {seed}: bars are leases by the client's own figure, red is where two of them were valid at once. The band is the fault. Hover for details.*"
            ));
        }
    }
    Ok("*No overlap of a peer's leases is among the saved results.*".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_wants_every_part_and_nothing_else() {
        let mut page = TEMPLATE.to_owned();
        for name in PARTS
            .iter()
            .map(|part| part.name)
            .chain(["overview", "peers", "drawing", "versions"])
        {
            page = put(&page, name, "figures").unwrap();
        }
        assert!(!page.contains("{{"), "{page}");
        assert!(put(TEMPLATE, "nonsense", "").is_err());
    }

    #[test]
    fn the_template_has_no_figures_of_its_own() {
        for line in TEMPLATE.lines().filter(|line| !line.starts_with('|')) {
            let figures = ["violations:", "0 violations", "overlaps were"];
            assert!(
                !figures.iter().any(|figure| line.contains(figure)),
                "{line}"
            );
        }
    }
}
