//! C6: nobody waits for a lock that is free.

use super::leases::{Attempt, Leases, Span};
use super::spans::{minus, union};
use super::verdict::{Promise, Verdict};
use crate::history::{Band, Scope};
use crate::protocol::Outcome;

/// How long a waiter may be left beside a free lock beyond one TTL before it counts
/// as stuck: the bounded poll behind every wake-up, with room for a slow machine.
/// One TTL passes if the lock was handed to a client that died or was stopped.
const PATIENCE_US: u64 = 2_000_000;

/// A client whose attempt failed comes back after a rest; it wants the lock all the
/// while.
const REST_US: u64 = 100_000;

/// For each lock: the stretches in which somebody wanted it and nobody had it. The
/// longest is the longest time without a grant. An attempt that lies beside such a
/// stretch for too long is stuck, unless something whose outcome is not known may
/// have held the lock then.
pub(super) fn check(leases: &Leases, verdict: &mut Verdict) {
    let bands = verdict.bands().to_vec();
    let majority = of_majorities(&bands);
    for (name, of_name) in leases.by_name() {
        let attempts: Vec<_> = leases.attempts.iter().filter(|a| a.name == name).collect();
        let awake = attempts.iter().copied();
        let awake: Vec<_> = awake
            .filter(|a| a.waits && !stood_still(a, &bands))
            .collect();
        let wanted = union(awake.iter().map(|attempt| wants(attempt)).collect());
        let held = of_name.iter().map(|lease| Span {
            from: lease.got,
            to: lease.gone,
        });
        let held = union(held.collect());
        let free = minus(&wanted, &held);
        for gap in &free {
            verdict.was_free(gap.from, gap.to);
        }
        let unknown = attempts.iter().map(|attempt| Span {
            from: attempt.span.from,
            to: attempt.may_hold,
        });
        let excused = attempts
            .iter()
            .zip(unknown)
            .filter(|(a, _)| a.may_hold > a.span.to);
        let excused = excused
            .map(|(_, span)| span)
            .chain(majority.iter().copied());
        let free = minus(&free, &union(excused.collect()));
        let bound = of_name.iter().map(|lease| lease.ttl_us).max().unwrap_or(0) + PATIENCE_US;
        stuck(name, &awake, &free, bound, verdict);
    }
}

/// When the lock was wanted because of an attempt.
fn wants(attempt: &Attempt) -> Span {
    let failed = matches!(
        attempt.outcome,
        Some(Outcome::Unknown | Outcome::Error) | None
    );
    Span {
        from: attempt.span.from,
        to: attempt.span.to + if failed { REST_US } else { 0 },
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
