use proptest::prelude::*;

use super::samples::{Sample, TTL, answer};
use super::*;
use crate::history::Scope;
use crate::protocol::{Kind, Outcome, What};

fn broken(sample: &Sample) -> Vec<(Promise, bool)> {
    let verdict = check(&sample.records);
    let pairs = verdict.violations.iter().map(|v| (v.promise, v.inside));
    pairs.collect()
}

#[test]
fn leases_one_after_the_other_are_well() {
    let mut sample = Sample::default();
    let first = sample.grant(0, 1, 0, 2);
    sample.write(first, 1, 5, true);
    sample.release(0, first, 10, Outcome::Released);
    let second = sample.grant(1, 2, 1, 12);
    sample.extend(1, second, 900, 905);
    sample.release(1, second, 1_500, Outcome::Released);
    let verdict = check(&sample.records);
    assert!(verdict.holds(), "{:?}", verdict.violations);
    assert_eq!((verdict.totals.grants, verdict.totals.writes), (2, 1));
    assert_eq!(verdict.holds, Spread::of(vec![8_000, 1_488_000]));
}

#[test]
fn a_lease_is_over_at_its_deadline_loss_or_release_whichever_is_first() {
    for end in 0..3 {
        let mut sample = Sample::default();
        let first = sample.grant(0, 1, 0, 2);
        match end {
            0 => sample.lost(first, 500),
            1 => sample.release(0, first, 499, Outcome::Unknown),
            _ => {}
        }
        let begun = if end == 2 { TTL } else { 501 };
        sample.grant(1, 2, begun - 1, begun);
        assert_eq!(broken(&sample), [], "end {end}");
        sample.grant(2, 3, begun - 2, begun + 10);
        assert_eq!(broken(&sample), [(Promise::Exclusion, true)], "end {end}");
    }
}

#[test]
fn an_overlap_of_a_millisecond_is_found_and_told_apart_by_its_assumptions() {
    for (voids, inside) in [(false, true), (true, false)] {
        let mut sample = Sample::default();
        sample.grant(0, 1, 0, 2);
        sample.grant(1, 2, 998, 999);
        sample.band(Scope::Minority, voids, 900, 1_100);
        assert_eq!(broken(&sample), [(Promise::Exclusion, inside)]);
        let verdict = check(&sample.records);
        assert_eq!(verdict.holds(), !inside);
        let class = &verdict.classes[1].figures;
        assert_eq!(
            (class.overlaps, class.overlaps_outside),
            (u64::from(inside), u64::from(!inside))
        );
    }
}

#[test]
fn tokens_must_be_new_and_greater_than_those_known_before() {
    for (token, fine) in [(5, false), (4, false), (6, true)] {
        let mut sample = Sample::default();
        let first = sample.grant(0, 5, 0, 2);
        sample.release(0, first, 10, Outcome::Released);
        sample.grant(1, token, 20, 22);
        assert_eq!(broken(&sample).is_empty(), fine, "token {token}");
    }
    // Asked for before the other was known: either may be the greater.
    let mut sample = Sample::default();
    let first = sample.grant(0, 5, 0, 20);
    sample.release(0, first, 21, Outcome::Released);
    sample.grant(1, 4, 19, 30);
    assert_eq!(broken(&sample), []);
}

#[test]
fn shared_leases_stand_beside_each_other_alone_and_permits_up_to_their_number() {
    let two = Kind::Permits(2);
    for (kinds, fine) in [
        (&[Kind::Shared, Kind::Shared, Kind::Shared][..], true),
        (&[Kind::Shared, Kind::Exclusive], false),
        (&[Kind::Exclusive, Kind::Shared], false),
        (&[two, two], true),
        (&[two, two, two], false),
        (&[two, Kind::Shared], false),
    ] {
        let mut sample = Sample::default();
        for (at, kind) in (0_u32..).zip(kinds) {
            let sent = u64::from(at) * 10;
            sample.acquire(at, *kind, sent, sent + 1, Outcome::Granted, Some(sent + 1));
        }
        let said = broken(&sample);
        assert_eq!(said.is_empty(), fine, "{kinds:?}: {said:?}");
    }
}

#[test]
fn a_paused_holder_is_refused_by_the_fence_and_counted() {
    let mut sample = Sample::default();
    let first = sample.grant(0, 1, 0, 2);
    let second = sample.grant(1, 2, 1_001, 1_002);
    sample.write(second, 2, 1_003, true);
    sample.used(0, first, 3, 1_004);
    sample.write(first, 1, 1_004, false);
    let verdict = check(&sample.records);
    assert!(verdict.holds(), "{:?}", verdict.violations);
    let totals = verdict.totals;
    assert_eq!(
        (totals.writes, totals.stale_writes, totals.refused_writes),
        (2, 1, 1)
    );
    // A register that does not look at tokens would have taken it.
    let last = sample.records.len() - 1;
    let Record::Write(write) = &mut sample.records[last] else {
        panic!("not a write");
    };
    write.accepted = Some(true);
    assert_eq!(broken(&sample), [(Promise::Fence, true)]);
}

#[test]
fn a_client_that_believes_beyond_its_deadline_is_found() {
    let mut sample = Sample::default();
    let lease = sample.grant(0, 1, 0, 2);
    sample.used(0, lease, TTL + 1, TTL + 1);
    assert_eq!(broken(&sample), [(Promise::Deadline, true)]);
}

#[test]
fn extending_what_is_over_and_releasing_what_is_anothers_are_found() {
    let mut sample = Sample::default();
    let lease = sample.grant(0, 1, 0, 2);
    sample.extend(0, lease, TTL + 5, TTL + 6);
    assert_eq!(broken(&sample), [(Promise::Ownership, true)]);
    let mut sample = Sample::default();
    let lease = sample.grant(0, 1, 0, 2);
    sample.grant(1, 2, TTL + 5, TTL + 6);
    sample.release(0, lease, TTL + 9, Outcome::Released);
    assert_eq!(broken(&sample), [(Promise::Ownership, true)]);
}

#[test]
fn a_waiter_beside_a_free_lock_is_stuck_unless_no_quorum_was_there() {
    let stuck = |scope: Option<Scope>| {
        let mut sample = Sample::default();
        let lease = sample.grant(0, 1, 0, 2);
        sample.release(0, lease, 10, Outcome::Released);
        sample.acquire(1, Kind::Exclusive, 5, 5_005, Outcome::Busy, None);
        if let Some(scope) = scope {
            sample.band(scope, false, 20, 4_000);
        }
        check(&sample.records)
    };
    for (scope, count) in [
        (None, 1),
        (Some(Scope::Minority), 1),
        (Some(Scope::Majority), 0),
    ] {
        let verdict = stuck(scope);
        assert_eq!(verdict.totals.stuck_waiters, count, "{scope:?}");
        assert_eq!(
            verdict.totals.longest_without_grant_us, 4_994_000,
            "{scope:?}"
        );
    }
}

#[test]
fn a_waiter_that_stood_still_itself_is_not_stuck() {
    for (process, count) in [(1, 0), (0, 1)] {
        let mut sample = Sample::default();
        let lease = sample.grant(0, 1, 0, 2);
        sample.release(0, lease, 10, Outcome::Released);
        sample.acquire(1, Kind::Exclusive, 5, 5_005, Outcome::Busy, None);
        sample.band(Scope::Client, false, 1_000, 4_800);
        let Some(Record::Fault(band)) = sample.records.last_mut() else {
            panic!("not a fault");
        };
        band.processes = vec![process];
        let verdict = check(&sample.records);
        assert_eq!(verdict.totals.stuck_waiters, count, "process {process}");
    }
}

#[test]
fn what_may_be_held_by_an_unknown_outcome_is_not_free() {
    let mut sample = Sample::default();
    sample.grant(0, 1, 0, 2);
    for at in 0..5 {
        let sent = 1_000 + at * 900;
        sample.acquire(1, Kind::Exclusive, sent, sent + 5, Outcome::Unknown, None);
    }
    sample.acquire(2, Kind::Exclusive, 5, 5_005, Outcome::Busy, None);
    let verdict = check(&sample.records);
    assert_eq!(verdict.totals.stuck_waiters, 0, "{:?}", verdict.violations);
    assert_eq!(verdict.totals.unknown, 5);
}

/// A lock that keeps all promises, used by clients that do anything.
fn fair_history(steps: &[(u32, u8, u64)]) -> Sample {
    let (mut sample, mut now, mut token, mut seen) = (Sample::default(), 0, 0, 0);
    for &(client, what, length) in steps {
        now += 1 + length % 7;
        token += 1 + length % 3;
        let lease = sample.grant(client, token, now, now + 1);
        let deadline = now + TTL;
        now += 2;
        match what % 4 {
            0 => {
                seen = token;
                sample.write(lease, token, now, true);
                sample.release(client, lease, now + 1, Outcome::Released);
                now += 3;
            }
            1 => {
                sample.call(
                    client,
                    What::Drop { lease },
                    now,
                    Some(answer(Outcome::Dropped, now, now)),
                );
                now += 2;
            }
            2 => {
                now = deadline;
                let late = now + length % 50;
                sample.grant(client + 10, token + 1, now, now + 1);
                sample.used(client, lease, now - 10, late);
                // Only the later holder's write makes this one stale to the fence.
                sample.write(lease, token, late, token >= seen);
                seen = seen.max(token);
                token += 1;
                now += TTL;
            }
            _ => {
                sample.extend(client, lease, now + 400, now + 401);
                now += 401 + TTL;
            }
        }
    }
    sample
}

proptest! {
    #[test]
    fn a_lock_that_keeps_its_promises_is_never_accused(
        steps in prop::collection::vec((0_u32..4, any::<u8>(), 0_u64..200), 1..40),
    ) {
        let sample = fair_history(&steps);
        let verdict = check(&sample.records);
        prop_assert!(verdict.holds(), "{:?}", verdict.violations);
    }

    #[test]
    fn a_token_given_again_is_always_found(
        steps in prop::collection::vec((0_u32..4, any::<u8>(), 0_u64..200), 2..40),
        which in any::<prop::sample::Index>(),
    ) {
        let mut sample = fair_history(&steps);
        let mut tokens: Vec<&mut u64> = sample
            .records
            .iter_mut()
            .filter_map(|record| match record {
                Record::Call(call) => call.answer.as_mut()?.token.as_mut(),
                _ => None,
            })
            .collect();
        let at = 1 + which.index(tokens.len() - 1);
        *tokens[at] = *tokens[at - 1];
        let verdict = check(&sample.records);
        prop_assert!(verdict.totals.token_violations > 0);
    }

    #[test]
    fn a_lease_believed_in_for_too_long_is_always_found(
        steps in prop::collection::vec((0_u32..4, any::<u8>(), 0_u64..200), 2..40),
        which in any::<prop::sample::Index>(),
    ) {
        let mut sample = fair_history(&steps);
        let leases = Leases::of(&sample.records);
        let at = which.index(leases.all.len() - 1);
        let (lease, next) = (&leases.all[at], &leases.all[at + 1]);
        let (id, client) = (lease.id, lease.client);
        // Nothing is released, and the deadline lies beyond the next grant.
        sample.records.retain(|record| match record {
            Record::Call(call) => !matches!(call.what,
                What::Release { lease } | What::Drop { lease } | What::Extend { lease, .. } if lease == id),
            _ => true,
        });
        let until = next.got + 5;
        for record in &mut sample.records {
            if let Record::Call(call) = record && call.id == id && call.client == client {
                let answer = call.answer.as_mut().unwrap();
                #[allow(clippy::cast_precision_loss)]
                let valid = (until - answer.got_us) as f64 / 1e3;
                answer.valid_ms = Some(valid + 0.01);
            }
        }
        let verdict = check(&sample.records);
        prop_assert!(verdict.totals.overlaps > 0, "{:?}", verdict.violations);
    }
}
