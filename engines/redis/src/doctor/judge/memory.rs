//! Whether a node votes: joined, quarantined, forgotten. The reasons are those of
//! the join; see `leasehold_core::quorum::Join`.

use std::time::Duration;

use leasehold_core::{Finding, Promise, Severity};

use super::super::facts::{Facts, Info, Record};
use super::{Case, Node, spoken};
use crate::scripts::NODE;

use Promise::{C1, C3, C6};

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has joined in this run of the server.
    Votes,
    /// It was restarted and has kept everything: it votes with the next client.
    Kept,
    /// It has a record of an earlier run, and cannot vouch for it.
    Restarted {
        /// How much of the quarantine is left.
        left: Duration,
    },
    /// It has no record: new, wiped, flushed.
    Empty {
        /// How much of the quarantine is left.
        left: Duration,
    },
    /// Its record or its run id cannot be read.
    Unknown,
}

pub(super) fn standing(case: &Case<'_>, facts: &Facts) -> Standing {
    let server = facts.info.as_ref().and_then(|info| info.server.as_ref());
    let (Some(server), Ok(record)) = (server, &facts.record) else {
        return Standing::Unknown;
    };
    if record.damaged {
        return Standing::Unknown;
    }
    match record.joined {
        Some(run) if run == server.run_id => Standing::Votes,
        Some(_) if case.options.durable => Standing::Kept,
        Some(_) => Standing::Restarted {
            left: left(case, facts, record),
        },
        None => Standing::Empty {
            left: left(case, facts, record),
        },
    }
}

/// How long ago it joined in this run, by its own clock.
pub(super) fn joined_for(facts: &Facts) -> Option<Duration> {
    let server = facts.info.as_ref()?.server.as_ref()?;
    let record = facts.record.as_ref().ok()?;
    let since = record
        .since_micros
        .filter(|_| record.joined == Some(server.run_id))?;
    Some(ago(facts, since))
}

fn ago(facts: &Facts, micros: i64) -> Duration {
    let length = facts.clock.unix_micros.saturating_sub(micros).max(0);
    Duration::from_micros(length.unsigned_abs())
}

fn left(case: &Case<'_>, facts: &Facts, record: &Record) -> Duration {
    let Some(server) = facts.info.as_ref().and_then(|info| info.server.as_ref()) else {
        return Duration::ZERO;
    };
    if case.options.fresh && record.joined.is_none() && !case.is_old {
        return Duration::ZERO;
    }
    let noticed = record
        .noticed_micros
        .filter(|_| record.noticed_run == Some(server.run_id));
    let elapsed = match server.disturbed {
        // Told in whole seconds.
        false => server.uptime.saturating_sub(Duration::from_secs(1)),
        true => noticed.map_or(Duration::ZERO, |at| ago(facts, at)),
    };
    case.longest.saturating_sub(elapsed)
}

pub(super) fn findings(case: &Case<'_>, node: Node<'_>) -> Vec<Finding> {
    let mut all = vec![record(case, node)];
    if let Ok(record) = &node.facts.record
        && let Some(max_ttl) = record.max_ttl
        && max_ttl > case.options.max_ttl
    {
        let detail = format!(
            "its record has max_ttl {}, the URL {}",
            spoken(max_ttl),
            spoken(case.options.max_ttl)
        );
        all.push(node.finding(Severity::Note, "max_ttl", detail).means(
            &[C6],
            "some client has given more; a loss keeps the node away for the longer time",
        ));
    }
    all
}

fn record(case: &Case<'_>, node: Node<'_>) -> Finding {
    const CHECK: &str = "memory";
    let facts = node.facts;
    let finding = |severity, detail: String| node.finding(severity, CHECK, detail);
    match standing(case, facts) {
        Standing::Votes => {
            let mark = facts.record.as_ref().map_or(0, |record| record.mark.get());
            finding(Severity::Ok, format!("it has joined and votes; its greatest counter is {mark}"))
        }
        Standing::Kept => finding(
            Severity::Note,
            "it was restarted with what it keeps, and votes again with the next client".to_owned(),
        )
        .means(&[C1, C3], "durable=yes vouches for it"),
        Standing::Restarted { left } => away(
            node,
            left,
            "it was restarted, and what it has may be older than what it granted".to_owned(),
        )
        .remedy("wait; if it syncs each write to its disk (appendfsync always), durable=yes in the URL spares that"),
        Standing::Empty { left } => empty(case, node, left),
        Standing::Unknown => match &facts.record {
            Err(trouble) => finding(
                Severity::Error,
                format!("its record cannot be read: {}", trouble.detail),
            )
            .means(&[C1, C3], "it is not known to remember anything, so it does not vote")
            .remedy(trouble.remedy),
            Ok(_) => finding(
                Severity::Error,
                format!("its record or its run id makes no sense; the record is the hash {NODE}"),
            )
            .means(&[C1, C3], "it is not known to remember anything, so it does not vote")
            .remedy(format!(
                "find out who else writes keys that begin with `leasehold:`, then DEL {NODE}: the node joins anew"
            )),
        },
    }
}

fn empty(case: &Case<'_>, node: Node<'_>, left: Duration) -> Finding {
    let others = case.standings().any(|standing| standing == Standing::Votes);
    let flushed = node.facts.info.as_ref().is_some_and(was_flushed);
    let detail = match (others, flushed) {
        (_, true) => "it has no record, and FLUSHALL or FLUSHDB was run there",
        (true, false) => {
            "it has no record, and other nodes have: it has lost its data, or is new in the set"
        }
        (false, false) => "it has no record: it is new, or has lost its data",
    };
    let mut finding = away(node, left, detail.to_owned());
    let remedy = match (flushed, left.is_zero()) {
        (true, _) => "keep whatever runs FLUSHALL away from this server".to_owned(),
        (false, true) => "nothing, if it is new; else see why it has lost its data".to_owned(),
        (false, false) => format!(
            "wait {}; at a first installation fresh=yes in the URL spares that",
            whole(left)
        ),
    };
    if others {
        finding.severity = Severity::Warning;
    }
    finding.remedy(remedy)
}

/// It does not vote, and will when its quarantine is over.
fn away(node: Node<'_>, left: Duration, detail: String) -> Finding {
    let meaning = "it may not vote before every lease that it may have forgotten has run out, and then counts on above what the others remember";
    let (severity, when) = match left.is_zero() {
        true => (Severity::Note, "it joins with the next client".to_owned()),
        false => (
            Severity::Warning,
            format!("it is in quarantine for {} more", whole(left)),
        ),
    };
    node.finding(severity, "memory", format!("{detail}; {when}"))
        .means(&[C1, C3, C6], meaning)
}

/// Rounded up to seconds.
pub(super) fn whole(left: Duration) -> String {
    let more = u64::from(left.subsec_nanos() > 0);
    spoken(Duration::from_secs(left.as_secs() + more))
}

fn was_flushed(info: &Info) -> bool {
    let ran = |command: &str| {
        let calls = info.get(&format!("cmdstat_{command}"));
        calls.is_some_and(|calls| !calls.starts_with("calls=0,"))
    };
    ran("flushall") || ran("flushdb")
}
