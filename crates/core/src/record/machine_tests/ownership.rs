//! Who may prolong, give back and end a grant, and until when.

use super::*;

#[test]
fn repeating_an_acquire_is_answered_with_the_same_grant() {
    let mut lock = Lock::default();
    lock.ask(1, Mode::Exclusive);
    lock.now = 4_000;
    assert_eq!(granted(&lock.ask(1, Mode::Exclusive)), 1);
    assert_eq!(lock.record.grants.len(), 1);
    assert_eq!(lock.record.grants[0].ends(), at(4_000 + TTL + GRACE));
}

#[test]
fn extend_works_to_the_end_of_the_ttl_and_not_in_the_grace() {
    let mut lock = Lock::default();
    lock.ask(1, Mode::Exclusive);
    lock.now = TTL;
    assert_eq!(lock.extend(1, TTL), Extended::Extended);
    lock.now += TTL + 1;
    assert_eq!(lock.extend(1, TTL), Extended::Lost);
    assert!(!lock.changed);
    // The store still keeps the lock for it.
    assert_eq!(lock.holders(), [1]);
    assert!(matches!(
        lock.try_once(2, Mode::Exclusive),
        Acquired::Busy(_)
    ));
}

#[test]
fn extend_neither_creates_nor_claims() {
    let mut lock = Lock::contended();
    assert_eq!(lock.extend(9, TTL), Extended::Lost);
    assert_eq!(lock.extend(2, TTL), Extended::Lost);
    lock.release(1);
    assert_eq!(lock.extend(2, TTL), Extended::Lost);
    assert!(lock.record.grants[0].unclaimed.is_some());
}

#[test]
fn nothing_brings_the_end_of_a_claimed_grant_forward() {
    let mut lock = Lock::default();
    lock.ask(1, Mode::Exclusive);
    assert_eq!(lock.extend(1, 60_000), Extended::Extended);
    lock.now = 1_000;
    // A shorter extend whose answer may never arrive, and a late repetition of
    // the acquire: the holder relies on the 60 s.
    assert_eq!(lock.extend(1, 2_000), Extended::Extended);
    assert_eq!(lock.record.grants[0].ends(), at(60_000 + GRACE));
    lock.ask(1, Mode::Exclusive);
    assert_eq!(lock.record.grants[0].ends(), at(60_000 + GRACE));
    lock.now = 55_000;
    lock.extend(1, TTL);
    assert_eq!(lock.record.grants[0].ends(), at(55_000 + TTL + GRACE));
}

#[test]
fn a_release_in_the_grace_frees_the_lock_and_says_that_it_was_lost() {
    let mut lock = Lock::default();
    lock.ask(1, Mode::Exclusive);
    lock.now = TTL + 1;
    lock.ask(2, Mode::Exclusive);
    assert_eq!(lock.release(1), Released::AlreadyLost);
    assert_eq!(lock.holders(), [2]);
    assert_eq!(lock.hinted, [nonce(2)]);
}

#[test]
fn a_release_takes_nothing_from_others() {
    let mut lock = Lock::contended();
    assert_eq!(lock.release(9), Released::AlreadyLost);
    assert!(!lock.changed);
    lock.release(1);
    assert_eq!(lock.release(1), Released::AlreadyLost);
    assert_eq!((lock.holders(), lock.line()), (vec![2], vec![3]));
}

#[test]
fn a_reservation_can_be_given_back_unclaimed() {
    let mut lock = Lock::contended();
    lock.release(1);
    assert_eq!(lock.release(2), Released::Released);
    assert_eq!(lock.holders(), [3]);
    lock.now = 3 * INTERVAL + 1;
    assert_eq!(lock.release(3), Released::AlreadyLost);
    assert!(lock.record.is_idle());
}

#[test]
fn a_break_ends_every_grant_raises_the_floor_and_hands_over() {
    let mut lock = Lock::default();
    lock.ask(1, Mode::Shared);
    lock.ask(2, Mode::Shared);
    lock.ask(3, Mode::Exclusive);
    let broken = lock.break_lock();
    let ended: Vec<_> = broken.ended.iter().map(|held| held.token.get()).collect();
    assert_eq!((ended, broken.floor), (vec![1, 2], token(3)));
    assert_eq!(lock.holders(), [3]);
    assert_eq!(lock.hinted, [nonce(3)]);
    assert_eq!(granted(&lock.ask(3, Mode::Exclusive)), 3);
    assert_eq!(lock.extend(1, TTL), Extended::Lost);
    let noted = lock.record.last_break.as_ref().unwrap();
    assert_eq!((noted.reason.as_str(), noted.unix_seconds), ("stuck", 7));
    assert_eq!(noted.ended, [token(1), token(2)]);
}

#[test]
fn a_break_of_a_free_lock_ends_nothing_and_still_raises_the_floor() {
    let mut lock = Lock::default();
    lock.ask(1, Mode::Exclusive);
    lock.release(1);
    let broken = lock.break_lock();
    assert!(broken.ended.is_empty());
    assert_eq!(broken.floor, token(2));
}

#[test]
fn the_status_leaves_out_what_has_run_out_or_died() {
    let mut lock = Lock::contended();
    lock.now = 3 * INTERVAL + 1;
    lock.ask(4, Mode::Exclusive);
    lock.ask(5, Mode::Exclusive);
    lock.dead = vec![4];
    let dead = lock.dead.clone();
    let view = View {
        now: at(lock.now),
        floor: token(30),
        session: None,
        is_dead: &|other| dead.iter().any(|&who| session_is(other, who)),
    };
    let status = lock.record.status(name(), &view);
    assert_eq!(status.holders.len(), 1);
    let holder = &status.holders[0];
    assert_eq!(holder.held_for, ms(lock.now));
    assert_eq!(holder.remaining, ms(TTL - lock.now));
    assert_eq!(holder.free_in, ms(TTL + GRACE - lock.now));
    let waiters: Vec<_> = status.waiters.iter().map(|w| w.nonce).collect();
    assert_eq!(waiters, [nonce(5)]);
    assert_eq!((status.token, status.floor), (token(1), token(30)));
}

#[test]
fn after_a_restart_of_the_clock_everything_lasts_anew() {
    let mut lock = Lock::contended();
    lock.now = 2_000;
    lock.record.restart_clock(at(2_000));
    lock.now = 2_000 + TTL + GRACE;
    lock.ask(4, Mode::Exclusive);
    assert_eq!((lock.holders(), lock.line()), (vec![1], vec![4]));
    lock.now += 1;
    assert_eq!(granted(&lock.ask(4, Mode::Exclusive)), 2);
}
