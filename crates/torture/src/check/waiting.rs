//! C6: nobody waits for a lock that is free.

use super::leases::{Attempt, Leases, Span};
use super::spans::{minus, union};
use super::verdict::{Promise, Verdict};
use crate::history::{Band, Scope};

/// How long a waiter may be left beside a free lock beyond one TTL before it counts
/// as stuck: the bounded poll behind every wake-up, with room for a slow machine.
/// One TTL passes if the lock was handed to a client that died or was stopped.
const PATIENCE_US: u64 = 2_000_000;

/// For each lock: the stretches in which somebody waited and nobody that we know of
/// had it. The longest is the longest time without a grant; an attempt that lies
/// beside such a stretch for too long is stuck.
pub(super) fn check(leases: &Leases, verdict: &mut Verdict) {
    let bands = verdict.bands().to_vec();
    let majority = of_majorities(&bands);
    for (name, of_name) in leases.by_name() {
        let attempts = leases.attempts.iter().filter(|a| a.name == name);
        let (waiting, unknown): (Vec<_>, Vec<_>) = attempts
            .map(|attempt| {
                let held = Span {
                    from: attempt.span.to,
                    to: attempt.may_hold,
                };
                (attempt, held)
            })
            .unzip();
        let held = of_name.iter().map(|lease| Span {
            from: lease.got,
            to: lease.gone,
        });
        let held = union(held.chain(unknown).collect());
        let awake: Vec<_> = waiting
            .iter()
            .copied()
            .filter(|a| a.waits && !stood_still(a, &bands))
            .collect();
        let waited = union(awake.iter().map(|attempt| attempt.span).collect());
        let free = minus(&waited, &held);
        for gap in &free {
            verdict.was_free(gap.from, gap.to);
        }
        let bound = of_name.iter().map(|lease| lease.ttl_us).max().unwrap_or(0) + PATIENCE_US;
        stuck(name, &awake, &minus(&free, &majority), bound, verdict);
    }
}

fn stuck(name: &str, awake: &[&Attempt], free: &[Span], bound: u64, verdict: &mut Verdict) {
    let long: Vec<_> = free
        .iter()
        .filter(|gap| gap.to - gap.from > bound)
        .collect();
    for attempt in awake {
        let beside = |gap: &&&Span| {
            let to = gap.to.min(attempt.span.to);
            to.saturating_sub(gap.from.max(attempt.span.from)) > bound
        };
        if let Some(gap) = long.iter().find(beside) {
            let lasted = (gap.to - gap.from) as f64 / 1e6;
            let said = format!(
                "{name}: client {} waited while the lock was free for {lasted:.1} s",
                attempt.client
            );
            verdict.breaks(Promise::Liveness, gap.from, gap.to, said);
        }
    }
}

/// Without a quorum nothing can be granted.
fn of_majorities(bands: &[Band]) -> Vec<Span> {
    let bands = bands.iter().filter(|band| band.scope == Scope::Majority);
    union(
        bands
            .map(|band| Span {
                from: band.from_us,
                to: band.to_us + band.tail_us,
            })
            .collect(),
    )
}

/// Whether the waiter itself was stopped for a part of its wait: what it did not
/// notice then nobody kept from it.
fn stood_still(attempt: &Attempt, bands: &[Band]) -> bool {
    bands.iter().any(|band| {
        band.processes.contains(&attempt.process)
            && band.from_us < attempt.span.to
            && attempt.span.from < band.to_us + band.tail_us
    })
}
