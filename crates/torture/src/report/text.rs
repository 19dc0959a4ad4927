//! The summary in text.

use std::fmt::Write as _;

use super::length;
use crate::check::{Class, Figures, Spread, Verdict};
use crate::history::Scope;

/// How many broken promises are told one by one.
const SHOWN: usize = 10;

/// The figures of a verdict, for a terminal. Ends with a line break.
#[must_use]
pub fn summary(verdict: &Verdict) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut text, verdict);
    text
}

/// The figures by kind of fault, as a table for a terminal.
#[must_use]
pub fn classes(classes: &[Class]) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = table(&mut text, classes);
    text
}

/// What was run, in a line.
pub(super) fn headline(verdict: &Verdict) -> String {
    let Some(run) = &verdict.run else {
        return "nothing was run".into();
    };
    format!(
        "{} {} on {}: {} clients in {} processes, {} {}, {}, TTL {} ms, {}, seed {}",
        run.worker.hello,
        run.worker.version,
        run.url,
        run.clients,
        run.processes,
        run.names,
        if run.names == 1 { "lock" } else { "locks" },
        run.mode,
        run.ttl_ms,
        length(verdict.lasted_us),
        run.seed
    )
}

/// The promises and how often each was broken; `None` for what was not judged.
pub(super) fn promises(verdict: &Verdict) -> Vec<(&'static str, Option<u64>)> {
    let totals = &verdict.totals;
    let tokens = verdict.run.as_ref().is_none_or(|run| run.worker.tokens);
    vec![
        (
            "C1 tokens are unique and grow",
            tokens.then_some(totals.token_violations),
        ),
        (
            "C2 nobody relies on a lease beyond its deadline",
            Some(totals.deadline_violations),
        ),
        (
            "C3 no two leases that exclude each other are valid at once",
            Some(totals.overlaps),
        ),
        (
            "C4 extend and release act on one's own grant only",
            Some(totals.ownership_violations),
        ),
        (
            "C6 nobody waits beside a free lock",
            Some(totals.stuck_waiters),
        ),
        (
            "the fence takes no write that was overtaken",
            tokens.then_some(totals.wrongly_accepted),
        ),
    ]
}

fn write(text: &mut String, verdict: &Verdict) -> std::fmt::Result {
    let totals = &verdict.totals;
    writeln!(text, "{}", headline(verdict))?;
    writeln!(
        text,
        "  {} grants, {} busy, {} given up, {} unknown, {} failed",
        totals.grants, totals.busy, totals.cancelled, totals.unknown, totals.errors
    )?;
    writeln!(text, "  waits: {}", spread(&verdict.waits))?;
    writeln!(text, "  holds: {}", spread(&verdict.holds))?;
    writeln!(
        text,
        "  longest time without a grant while somebody wanted one: {}",
        length(totals.longest_without_grant_us)
    )?;
    writeln!(
        text,
        "  {} writes, {} of them by holders that had been overtaken: an unfenced resource takes those",
        totals.writes, totals.stale_writes
    )?;
    writeln!(
        text,
        "  {} writes refused by the fence",
        totals.refused_writes
    )?;
    writeln!(text)?;
    for (promise, broken) in promises(verdict) {
        let broken = broken.map_or("not judged: no tokens".into(), |count| match count {
            0 => "kept".into(),
            count => format!("BROKEN {count} times"),
        });
        writeln!(text, "  {promise:<60} {broken}")?;
    }
    if totals.overlaps_outside > 0 {
        writeln!(
            text,
            "  {} overlaps where clocks or state had been broken beyond what C3 assumes",
            totals.overlaps_outside
        )?;
    }
    if verdict.classes.len() > 1 {
        writeln!(text)?;
        table(text, &verdict.classes)?;
    }
    for violation in verdict.violations.iter().filter(|v| v.inside).take(SHOWN) {
        writeln!(text, "  {}: {}", violation.promise.title(), violation.said)?;
    }
    Ok(())
}

fn spread(of: &Spread) -> String {
    format!(
        "median {}, 90 % {}, 99 % {}, longest {}",
        length(of.median),
        length(of.p90),
        length(of.p99),
        length(of.max)
    )
}

/// The headings of the table of faults.
pub(super) const COLUMNS: [&str; 11] = [
    "times",
    "grants",
    "failed",
    "C1",
    "C3",
    "beyond",
    "C2+C4",
    "fence",
    "stale",
    "stuck",
    "longest gap",
];

/// What a class is called.
pub(super) fn class_title(class: &Class) -> String {
    let scope = match class.scope {
        None => return "no fault".into(),
        Some(Scope::Minority) => "a minority",
        Some(Scope::Majority) => "a majority",
        Some(Scope::Client) => "clients",
    };
    format!("{}, {scope}", class.kind)
}

/// The cells of a row of the table of faults.
pub(super) fn cells(windows: u64, figures: &Figures) -> [String; 11] {
    [
        windows.to_string(),
        figures.grants.to_string(),
        (figures.errors + figures.unknown).to_string(),
        figures.token_violations.to_string(),
        figures.overlaps.to_string(),
        figures.overlaps_outside.to_string(),
        (figures.deadline_violations + figures.ownership_violations).to_string(),
        figures.wrongly_accepted.to_string(),
        figures.stale_writes.to_string(),
        figures.stuck_waiters.to_string(),
        length(figures.longest_without_grant_us),
    ]
}

fn table(text: &mut String, classes: &[Class]) -> std::fmt::Result {
    let rows = classes.iter().map(|class| {
        let figures = cells(class.windows, &class.figures);
        (class_title(class), figures)
    });
    let rows: Vec<_> = rows.collect();
    let first = rows.iter().map(|(title, _)| title.len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|at| {
            let cells = rows.iter().map(|(_, cells)| cells[at].chars().count());
            cells.max().unwrap_or(0).max(COLUMNS[at].len())
        })
        .collect();
    write!(text, "  {:first$}", "fault")?;
    for (heading, width) in COLUMNS.iter().zip(&widths) {
        write!(text, "  {heading:>width$}")?;
    }
    writeln!(text)?;
    for (title, cells) in rows {
        write!(text, "  {title:first$}")?;
        for (cell, width) in cells.iter().zip(&widths) {
            write!(text, "  {cell:>width$}")?;
        }
        writeln!(text)?;
    }
    Ok(())
}
