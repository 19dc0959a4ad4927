//! How the driver of a register settles conflicts and unknown outcomes.

#![allow(missing_docs, clippy::unwrap_used)]

mod register;

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leasehold_core::record::RegisterEngine;
use leasehold_core::{
    AcquireRequest, Acquired, BoxFuture, BreakRequest, Engine, Error, ExtendRequest, Extended,
    Lifetime, LockName, Mode, Nonce, Operation, Released, Token, Ttl,
};

use register::{Call, Scripted, Turn};

type Locks = RegisterEngine<Scripted>;

/// A lock that client 1 holds and nobody waits for.
fn held() -> Locks {
    let locks = Locks::new(Scripted::default());
    assert_eq!(token(&done(locks.acquire(&ask(1)))), 1);
    locks
}

/// A lock that client 1 holds and client 2 waits for.
fn contended() -> Locks {
    let locks = held();
    assert!(matches!(
        done(locks.acquire(&ask(2))),
        Ok(Acquired::Queued(_))
    ));
    locks.register().state().calls.clear();
    locks
}

fn script(locks: &Locks, swaps: impl IntoIterator<Item = Turn>) {
    locks.register().state().swaps.extend(swaps);
}

/// The answer of a future that waits for nothing.
fn done<T>(future: BoxFuture<'_, T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the register answers at once"),
    }
}

fn ask(who: u8) -> AcquireRequest {
    AcquireRequest {
        name: name(),
        nonce: nonce(who),
        owner: "someone".into(),
        mode: Mode::Exclusive,
        ttl: ttl(10),
        grace: Duration::from_secs(5),
        lifetime: Lifetime::Detached,
        queue: Some(Duration::from_secs(1)),
    }
}

fn try_once(who: u8) -> AcquireRequest {
    AcquireRequest {
        queue: None,
        ..ask(who)
    }
}

fn extend(who: u8) -> ExtendRequest {
    ExtendRequest {
        name: name(),
        nonce: nonce(who),
        ttl: ttl(20),
    }
}

fn breaking() -> BreakRequest {
    BreakRequest {
        name: name(),
        by: "operator".into(),
        reason: "stuck".into(),
        unix_seconds: 7,
        force: false,
    }
}

fn ttl(seconds: u64) -> Ttl {
    Ttl::new(Duration::from_secs(seconds)).unwrap()
}

fn name() -> LockName {
    LockName::new("jobs/1").unwrap()
}

fn nonce(who: u8) -> Nonce {
    Nonce::from_bytes([who; 16])
}

fn token(answer: &Result<Acquired, Error>) -> u64 {
    match answer {
        Ok(Acquired::Granted(granted)) => granted.token.get(),
        other => panic!("not granted: {other:?}"),
    }
}

fn holders(locks: &Locks) -> Vec<Nonce> {
    let state = locks.register().state();
    state
        .record
        .grants
        .iter()
        .map(|grant| grant.nonce)
        .collect()
}

fn line(locks: &Locks) -> Vec<Nonce> {
    let state = locks.register().state();
    state.record.waiters.iter().map(|w| w.nonce).collect()
}

fn calls(locks: &Locks) -> Vec<Call> {
    std::mem::take(&mut locks.register().state().calls)
}

#[test]
fn a_conflict_is_answered_by_what_is_true_now() {
    let locks = Locks::new(Scripted::default());
    script(&locks, [Turn::Overtaken(ask(2))]);
    assert!(matches!(
        done(locks.acquire(&try_once(1))),
        Ok(Acquired::Busy(holders)) if holders[0].nonce == nonce(2)
    ));
    assert_eq!(holders(&locks), [nonce(2)]);
}

#[test]
fn conflicts_are_tried_again_until_a_swap_succeeds() {
    let locks = held();
    script(&locks, [2, 3, 4].map(|who| Turn::Overtaken(ask(who))));
    assert_eq!(done(locks.extend(&extend(1))).unwrap(), Extended::Extended);
    assert_eq!(line(&locks), [nonce(2), nonce(3), nonce(4)]);
    let state = locks.register().state();
    assert_eq!(state.record.grants[0].ttl, Duration::from_secs(20));
}

#[test]
fn an_unknown_acquire_is_granted_once_whether_applied_or_not() {
    for turn in [Turn::Applied, Turn::NotApplied] {
        let locks = Locks::new(Scripted::default());
        script(&locks, [turn]);
        assert_eq!(token(&done(locks.acquire(&try_once(1)))), 1);
        assert_eq!(holders(&locks), [nonce(1)]);
    }
}

#[test]
fn an_unknown_place_in_the_line_is_taken_once() {
    for turn in [Turn::Applied, Turn::NotApplied] {
        let locks = held();
        script(&locks, [turn]);
        assert!(matches!(
            done(locks.acquire(&ask(2))),
            Ok(Acquired::Queued(queued)) if queued.ahead == 0
        ));
        assert_eq!(line(&locks), [nonce(2)]);
    }
}

#[test]
fn an_unknown_acquire_that_another_one_overtook_is_refused() {
    let locks = Locks::new(Scripted::default());
    script(&locks, [Turn::NotApplied, Turn::Overtaken(ask(2))]);
    assert!(matches!(
        done(locks.acquire(&try_once(1))),
        Ok(Acquired::Busy(_))
    ));
    assert_eq!(holders(&locks), [nonce(2)]);
}

#[test]
fn an_unknown_extend_extends() {
    for turn in [Turn::Applied, Turn::NotApplied] {
        let locks = held();
        script(&locks, [turn]);
        assert_eq!(done(locks.extend(&extend(1))).unwrap(), Extended::Extended);
        let state = locks.register().state();
        assert_eq!(state.record.grants[0].ttl, Duration::from_secs(20));
    }
}

#[test]
fn an_unknown_release_releases_and_hands_over_once() {
    for turn in [Turn::Applied, Turn::NotApplied] {
        let locks = contended();
        script(&locks, [turn]);
        let released = done(locks.release(&name(), nonce(1))).unwrap();
        assert_eq!(released, Released::Released);
        assert_eq!((holders(&locks), line(&locks)), (vec![nonce(2)], vec![]));
        let woken = calls(&locks).contains(&Call::Wake(vec![nonce(2)]));
        assert!(woken, "the next one waits for nothing");
    }
}

#[test]
fn a_release_in_the_grace_stays_one_that_came_too_late() {
    for turn in [Turn::Applied, Turn::NotApplied] {
        let locks = held();
        locks.register().state().now = 12_000_000;
        script(&locks, [turn]);
        let released = done(locks.release(&name(), nonce(1))).unwrap();
        assert_eq!(released, Released::AlreadyLost);
        assert!(holders(&locks).is_empty());
    }
}

#[test]
fn an_unknown_break_is_not_done_to_the_next_holder() {
    for turn in [Turn::Applied, Turn::NotApplied] {
        let locks = contended();
        script(&locks, [turn]);
        let broken = done(locks.break_lock(&breaking())).unwrap();
        assert_eq!(broken.ended.len(), 1);
        assert_eq!(broken.ended[0].nonce, nonce(1));
        assert_eq!(broken.floor, Token::new(2).unwrap());
        assert_eq!(holders(&locks), [nonce(2)]);
        assert_eq!(token(&done(locks.acquire(&ask(2)))), 2);
    }
}

#[test]
fn an_unknown_break_of_a_lock_that_was_given_back_is_not_done_to_the_next_holder() {
    let locks = contended();
    script(&locks, [Turn::NotApplied]);
    script(&locks, [Turn::Left(nonce(1))]);
    let broken = done(locks.break_lock(&breaking())).unwrap();
    assert_eq!(broken.ended[0].nonce, nonce(1));
    assert_eq!(holders(&locks), [nonce(2)]);
}

#[test]
fn what_cannot_be_read_back_stays_unknown() {
    type Attempt = fn(&Locks) -> Error;
    let attempts: [(Operation, Attempt); 4] = [
        (Operation::Acquire, |locks| {
            done(locks.acquire(&ask(3))).unwrap_err()
        }),
        (Operation::Extend, |locks| {
            done(locks.extend(&extend(1))).unwrap_err()
        }),
        (Operation::Release, |locks| {
            done(locks.release(&name(), nonce(1))).unwrap_err()
        }),
        (Operation::Break, |locks| {
            done(locks.break_lock(&breaking())).unwrap_err()
        }),
    ];
    for (named, attempt) in attempts {
        let locks = contended();
        script(&locks, [Turn::Applied]);
        locks.register().state().reads = [Turn::Well, Turn::Refused].into();
        let error = attempt(&locks);
        assert!(
            matches!(error, Error::Indeterminate { operation, .. } if operation == named),
            "{error}"
        );
    }
}

#[test]
fn two_unknown_outcomes_in_a_row_stay_unknown() {
    let locks = held();
    script(&locks, [Turn::NotApplied, Turn::Applied]);
    let error = done(locks.release(&name(), nonce(1))).unwrap_err();
    assert!(error.may_be_held(), "{error}");
}

#[test]
fn what_is_refused_for_certain_is_not_tried_again() {
    let locks = held();
    locks.register().state().reads.push_back(Turn::Refused);
    let unread = done(locks.extend(&extend(1))).unwrap_err();
    assert!(matches!(unread, Error::Unavailable { .. }), "{unread}");
    calls(&locks);
    script(&locks, [Turn::Refused]);
    let unwritten = done(locks.extend(&extend(1))).unwrap_err();
    assert!(
        matches!(unwritten, Error::Unavailable { .. }),
        "{unwritten}"
    );
    assert_eq!(calls(&locks), [Call::Read, Call::Swap]);
    // After an unknown outcome, a refusal does not make it known.
    script(&locks, [Turn::Applied, Turn::Refused]);
    let unknown = done(locks.extend(&extend(1))).unwrap_err();
    assert!(unknown.may_be_held(), "{unknown}");
}

#[test]
fn waiters_are_woken_only_after_the_swap() {
    let locks = contended();
    script(&locks, [Turn::Overtaken(ask(3))]);
    done(locks.release(&name(), nonce(1))).unwrap();
    assert_eq!(
        calls(&locks),
        [
            Call::Forget(nonce(1)),
            Call::Read,
            // Lost to client 3; nobody is woken for it.
            Call::Swap,
            Call::Read,
            Call::Swap,
            Call::Wake(vec![nonce(2), nonce(3)]),
        ]
    );
}

#[test]
fn nobody_is_woken_for_a_swap_that_was_refused() {
    let locks = contended();
    script(&locks, [Turn::Refused]);
    done(locks.release(&name(), nonce(1))).unwrap_err();
    let woken = |call: &Call| matches!(call, Call::Wake(_));
    assert!(!calls(&locks).iter().any(woken));
}

#[test]
fn what_changes_nothing_is_not_written() {
    let locks = held();
    locks.register().state().calls.clear();
    assert!(matches!(
        done(locks.acquire(&try_once(2))),
        Ok(Acquired::Busy(_))
    ));
    assert_eq!(done(locks.extend(&extend(2))).unwrap(), Extended::Lost);
    assert!(!calls(&locks).contains(&Call::Swap));
}

#[test]
fn hints_are_kept_from_before_the_store_is_asked_until_the_line_is_left() {
    let locks = contended();
    done(locks.acquire(&ask(2))).unwrap();
    assert_eq!(calls(&locks), [Call::Expect(nonce(2)), Call::Read]);
    done(locks.release(&name(), nonce(1))).unwrap();
    calls(&locks);
    assert_eq!(token(&done(locks.acquire(&ask(2)))), 2);
    let granted = calls(&locks);
    assert_eq!(granted.first(), Some(&Call::Expect(nonce(2))));
    assert_eq!(granted.last(), Some(&Call::Forget(nonce(2))));
}
