//! The servers' wall clocks. A lease's deadline is by its holder's monotonic clock
//! (C2); servers' clocks count for the expiry of keys, each on its own, and for
//! where a new era begins.

use leasehold_core::{Finding, Promise, Severity};

use super::super::facts::Facts;
use super::{Case, Node, spoken, spoken_micros};

use Promise::{C1, C3, C6};

const CHECK: &str = "clock";
const SECOND: i64 = 1_000_000;
/// How far a clock may move by itself while it is looked at: scheduling, slewing.
const JITTER: i64 = SECOND / 4;

/// One server's clock, against ours and against its own past.
pub(super) fn of_node(node: Node<'_>) -> Vec<Finding> {
    vec![against_ours(node), steps(node)]
}

fn against_ours(node: Node<'_>) -> Finding {
    let clock = node.facts.clock;
    let sure = clock.ahead_micros.abs() - clock.unsure_micros;
    let side = match clock.ahead_micros {
        ..0 => "behind",
        _ => "ahead of",
    };
    let said = format!(
        "its clock is {} {side} ours, give or take {}",
        spoken_micros(clock.ahead_micros),
        spoken_micros(clock.unsure_micros)
    );
    match sure < SECOND {
        true => node.finding(Severity::Ok, CHECK, said),
        false => node
            .finding(Severity::Note, CHECK, said)
            .means(&[], "no promise rests on it: no client's wall clock is compared with anything; but one of the two is wrong")
            .remedy("synchronise the clocks (chrony, systemd-timesyncd)"),
    }
}

/// What is known of steps. Redis keeps no history of them; but times that it has
/// written down must not lie ahead of its clock.
fn steps(node: Node<'_>) -> Finding {
    const CHECK: &str = "clock-steps";
    let meaning = "Redis lets keys expire by its wall clock: a step forward ends leases early there, a step back keeps a crashed holder's lock; and a new era must not begin before the last one";
    let remedy = "let the clock be slewed, not stepped, while Redis runs (chrony: makestep at the start only)";
    let finding = |detail: String| {
        node.finding(Severity::Warning, CHECK, detail)
            .means(&[C1, C3, C6], meaning)
            .remedy(remedy)
    };
    let step = node.facts.clock.step_micros;
    if step.abs() > JITTER {
        let way = if step > 0 { "forward" } else { "back" };
        return finding(format!(
            "its clock went {} {way} while we looked",
            spoken_micros(step)
        ));
    }
    let ahead = remembered(node.facts)
        .map(|micros| micros - node.facts.clock.unix_micros)
        .max();
    match ahead {
        Some(ahead) if ahead > SECOND => finding(format!(
            "its clock was set back by {} at least: it has written down a later time",
            spoken_micros(ahead)
        )),
        _ => node.finding(
            Severity::Ok,
            CHECK,
            "none while we looked, and no time that it has written down lies ahead; Redis tells no history",
        ),
    }
}

/// Times by its clock that it remembers, in microseconds.
fn remembered(facts: &Facts) -> impl Iterator<Item = i64> {
    let saved = facts
        .info
        .as_ref()
        .and_then(|info| info.number("rdb_last_save_time"));
    let saved = saved.and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(SECOND));
    let record = facts.record.as_ref().ok();
    let since = record.and_then(|record| record.since_micros);
    let noticed = record.and_then(|record| record.noticed_micros);
    [saved, since, noticed].into_iter().flatten()
}

/// The servers' clocks against each other.
pub(super) fn of_set(case: &Case<'_>) -> Option<Finding> {
    const CHECK: &str = "clocks";
    let clocks: Vec<_> = case.reached().map(|node| node.facts.clock).collect();
    let first = clocks.iter().min_by_key(|clock| clock.ahead_micros)?;
    let last = clocks.iter().max_by_key(|clock| clock.ahead_micros)?;
    if clocks.len() < 2 {
        return None;
    }
    let apart = last.ahead_micros - first.ahead_micros;
    let sure = apart - first.unsure_micros - last.unsure_micros;
    let said = format!("the servers' clocks are {} apart", spoken_micros(apart));
    let longest = i64::try_from(case.longest.as_micros()).unwrap_or(i64::MAX);
    let finding = |severity| Finding::new(severity, CHECK, Finding::SET, said.clone());
    let remedy = "synchronise them (chrony, systemd-timesyncd)";
    Some(match sure {
        sure if sure >= longest => finding(Severity::Warning)
            .means(
                &[C1],
                format!(
                    "where a quorum loses its memory, the new era begins at the latest of the clocks that answer; servers further apart than the quarantine ({}) could begin one below tokens granted before. Nothing else rests on them",
                    spoken(case.longest)
                ),
            )
            .remedy(remedy),
        SECOND.. => finding(Severity::Note)
            .means(&[C1], "only a new era begins by the clock, and it may differ by less than the quarantine")
            .remedy(remedy),
        _ => finding(Severity::Ok),
    })
}
