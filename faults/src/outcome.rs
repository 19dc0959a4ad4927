//! What came of all campaigns, as text and JSON.

use std::fmt::Write as _;

use leasehold_torture::check::{Class, Figures, Verdict};
use leasehold_torture::report;
use serde::Serialize;

/// What came of all campaigns against one client.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The client.
    pub client: String,
    /// Its version.
    pub version: String,
    /// Whether its grants have tokens; without them C1 and the fence are not judged.
    pub tokens: bool,
    /// What all choices came from.
    pub seed: u64,
    /// What the servers said of themselves.
    pub server: String,
    /// The TTL of each lease, in milliseconds.
    pub ttl_ms: u64,
    /// How long a server that forgot stays away, in milliseconds.
    pub max_ttl_ms: u64,
    /// How long all campaigns took, in seconds.
    pub seconds: u64,
    /// What could not be tried here, and why.
    pub left_out: Vec<String>,
    /// Everything counted.
    pub totals: Figures,
    /// The same by kind of fault, over all campaigns.
    pub classes: Vec<Class>,
    /// Whether nothing that is promised was broken.
    pub holds: bool,
    /// Each campaign.
    pub parts: Vec<Part>,
}

/// One campaign.
#[derive(Debug, Serialize)]
pub struct Part {
    /// What the servers kept.
    pub servers: String,
    /// Its verdict.
    pub verdict: Verdict,
}

impl Outcome {
    /// Adds a campaign.
    pub fn add(&mut self, part: Part) {
        let verdict = &part.verdict;
        if let Some(run) = &verdict.run {
            self.client.clone_from(&run.worker.hello);
            self.version.clone_from(&run.worker.version);
            self.tokens = run.worker.tokens;
        }
        self.seconds += verdict.lasted_us / 1_000_000;
        self.holds &= verdict.holds();
        sum(&mut self.totals, &verdict.totals);
        for class in &verdict.classes {
            let same = |known: &&mut Class| known.kind == class.kind && known.scope == class.scope;
            match self.classes.iter_mut().find(same) {
                Some(known) => {
                    known.windows += class.windows;
                    known.voids |= class.voids;
                    sum(&mut known.figures, &class.figures);
                }
                None => self.classes.push(class.clone()),
            }
        }
        self.parts.push(part);
    }

    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{} servers: {}",
                part.servers,
                report::summary(&part.verdict)
            );
        }
        let tokens = if self.tokens {
            ""
        } else {
            " (no tokens: C1 and the fence are not judged)"
        };
        let _ = writeln!(
            text,
            "all campaigns: {} {}{tokens}, {}, seed {}, {} s",
            self.client, self.version, self.server, self.seed, self.seconds
        );
        text.push_str(&report::classes(&self.classes));
        let _ = writeln!(
            text,
            "  in all: {} grants, {} token violations, {} overlaps ({} more beyond what C3 assumes), \
             {} fenced writes wrongly accepted, {} stale writes, {} stuck waiters",
            self.totals.grants,
            self.totals.token_violations,
            self.totals.overlaps,
            self.totals.overlaps_outside,
            self.totals.wrongly_accepted,
            self.totals.stale_writes,
            self.totals.stuck_waiters
        );
        for left in &self.left_out {
            let _ = writeln!(text, "  left out: {left}");
        }
        text
    }
}

fn sum(into: &mut Figures, more: &Figures) {
    into.grants += more.grants;
    into.busy += more.busy;
    into.cancelled += more.cancelled;
    into.unknown += more.unknown;
    into.errors += more.errors;
    into.writes += more.writes;
    into.stale_writes += more.stale_writes;
    into.refused_writes += more.refused_writes;
    into.wrongly_accepted += more.wrongly_accepted;
    into.token_violations += more.token_violations;
    into.overlaps += more.overlaps;
    into.overlaps_outside += more.overlaps_outside;
    into.deadline_violations += more.deadline_violations;
    into.ownership_violations += more.ownership_violations;
    into.stuck_waiters += more.stuck_waiters;
    into.longest_without_grant_us = into
        .longest_without_grant_us
        .max(more.longest_without_grant_us);
}
