//! Who gets the lock, and when.

use super::*;

#[test]
fn a_free_lock_is_granted_at_once() {
    let mut lock = Lock::default();
    assert_eq!(granted(&lock.ask(1, Mode::Exclusive)), 1);
    assert_eq!((lock.holders(), lock.line()), (vec![1], vec![]));
    assert!(lock.changed && lock.hinted.is_empty());
}

#[test]
fn a_busy_lock_refuses_whoever_does_not_wait_and_stays_as_it_was() {
    let mut lock = Lock::default();
    lock.ask(1, Mode::Exclusive);
    lock.now = 3_000;
    let Acquired::Busy(holders) = lock.try_once(2, Mode::Exclusive) else {
        panic!("not refused");
    };
    assert_eq!(holders.len(), 1);
    assert_eq!(holders[0].owner, "client 1");
    assert_eq!(holders[0].token, token(1));
    assert_eq!(holders[0].held_for, ms(3_000));
    assert!(!lock.changed);
}

#[test]
fn a_release_hands_over_in_the_order_of_arrival() {
    let mut lock = Lock::contended();
    assert_eq!(ahead(&lock.ask(3, Mode::Exclusive)), 1);
    assert_eq!(lock.release(1), Released::Released);
    assert_eq!((lock.holders(), lock.line()), (vec![2], vec![3]));
    assert_eq!(lock.release(2), Released::Released);
    assert_eq!((lock.holders(), lock.line()), (vec![3], vec![]));
    assert_eq!(granted(&lock.ask(3, Mode::Exclusive)), 3);
}

#[test]
fn hints_go_to_the_granted_and_to_the_new_head() {
    let mut lock = Lock::contended();
    lock.release(1);
    assert_eq!(lock.hinted, [nonce(2), nonce(3)]);
    lock.release(2);
    assert_eq!(lock.hinted, [nonce(3)]);
}

#[test]
fn a_head_that_leaves_lets_the_next_one_know_that_it_is_first() {
    let mut lock = Lock::contended();
    assert_eq!(lock.release(2), Released::Released);
    assert_eq!((lock.holders(), lock.line()), (vec![1], vec![3]));
    assert_eq!(lock.hinted, [nonce(3)]);
    // One that leaves from behind concerns nobody.
    lock.ask(4, Mode::Exclusive);
    lock.release(4);
    assert!(lock.hinted.is_empty());
}

#[test]
fn whoever_asks_is_answered_and_not_hinted() {
    let mut lock = Lock::contended();
    lock.dead = vec![1];
    assert_eq!(granted(&lock.ask(2, Mode::Exclusive)), 2);
    assert_eq!(lock.hinted, [nonce(3)]);
}

#[test]
fn nobody_passes_the_line() {
    let mut lock = Lock::contended();
    lock.release(1);
    // Handed over to 2, who has not claimed it yet.
    assert_eq!(ahead(&lock.ask(4, Mode::Exclusive)), 1);
    assert!(matches!(
        lock.try_once(5, Mode::Exclusive),
        Acquired::Busy(_)
    ));
    assert_eq!((lock.holders(), lock.line()), (vec![2], vec![3, 4]));
}

#[test]
fn a_newcomer_to_an_expired_lock_lets_the_line_go_first() {
    let mut lock = Lock::default();
    lock.ask(1, Mode::Exclusive);
    lock.now = TTL + GRACE;
    lock.ask(2, Mode::Exclusive);
    lock.now += 1;
    assert_eq!(ahead(&lock.ask(3, Mode::Exclusive)), 0);
    assert_eq!((lock.holders(), lock.line()), (vec![2], vec![3]));
    assert_eq!(lock.hinted, [nonce(2)]);
}

#[test]
fn a_claim_counts_the_lease_from_the_repeated_request() {
    let mut lock = Lock::contended();
    lock.now = 500;
    lock.release(1);
    assert!(!lock.record.grants[0].is_extendable(at(lock.now)));
    lock.now = 1_500;
    assert_eq!(granted(&lock.ask(2, Mode::Exclusive)), 2);
    let grant = &lock.record.grants[0];
    assert_eq!((grant.granted, grant.renewed), (at(500), at(1_500)));
    assert_eq!(grant.ends(), at(1_500 + TTL + GRACE));
}

#[test]
fn a_reservation_that_nobody_claims_passes_on() {
    let mut lock = Lock::contended();
    lock.release(1);
    lock.now = 3 * INTERVAL;
    assert_eq!(ahead(&lock.ask(3, Mode::Exclusive)), 0);
    lock.now += 1;
    assert_eq!(granted(&lock.ask(3, Mode::Exclusive)), 3);
    // The one that was too late has to wait like everybody else.
    assert_eq!(ahead(&lock.ask(2, Mode::Exclusive)), 0);
}

#[test]
fn a_waiter_falls_out_after_three_missed_intervals() {
    let mut lock = Lock::contended();
    lock.now = 3 * INTERVAL;
    assert_eq!(ahead(&lock.ask(3, Mode::Exclusive)), 1);
    lock.now += 1;
    assert_eq!(ahead(&lock.ask(3, Mode::Exclusive)), 0);
    assert_eq!(lock.line(), [3]);
    assert_eq!(lock.release(2), Released::AlreadyLost);
}

#[test]
fn a_head_that_fell_out_lets_the_next_one_know_that_it_is_first() {
    let mut lock = Lock::contended();
    lock.now = 2 * INTERVAL;
    lock.ask(3, Mode::Exclusive);
    lock.now = 3 * INTERVAL + 1;
    lock.try_once(4, Mode::Exclusive);
    assert_eq!(lock.line(), [3]);
    assert_eq!(lock.hinted, [nonce(3)]);
}

#[test]
fn a_waiter_woken_often_is_not_written_as_often() {
    let mut lock = Lock::contended();
    lock.now = INTERVAL / 2 - 1;
    lock.ask(2, Mode::Exclusive);
    assert!(!lock.changed);
    lock.now += 1;
    lock.ask(2, Mode::Exclusive);
    assert!(lock.changed);
}

#[test]
fn a_dead_head_is_skipped() {
    let mut lock = Lock::contended();
    lock.dead = vec![2];
    lock.release(1);
    assert_eq!((lock.holders(), lock.line()), (vec![3], vec![]));
    assert_eq!(lock.hinted, [nonce(3)]);
}

#[test]
fn dead_waiters_that_leave_nobody_behind_are_still_a_change() {
    let mut lock = Lock::default();
    lock.ask(1, Mode::Exclusive);
    lock.ask(2, Mode::Exclusive);
    lock.dead = vec![2];
    lock.try_once(3, Mode::Exclusive);
    assert!(lock.changed && lock.line().is_empty() && lock.hinted.is_empty());
}

#[test]
fn a_dead_holder_is_dropped_only_where_it_is_in_the_way() {
    let mut lock = Lock::default();
    lock.ask(1, Mode::Shared);
    lock.dead = vec![1];
    lock.ask(2, Mode::Shared);
    assert_eq!(lock.holders(), [1, 2]);
    assert!(matches!(
        lock.try_once(3, Mode::Exclusive),
        Acquired::Busy(_)
    ));
    assert_eq!(lock.holders(), [2]);
    lock.dead.push(2);
    assert_eq!(granted(&lock.ask(3, Mode::Exclusive)), 3);
}

#[test]
fn a_detached_lease_outlives_its_process() {
    let mut lock = Lock::default();
    let detached = AcquireRequest {
        lifetime: Lifetime::Detached,
        ..request(1, Mode::Exclusive)
    };
    lock.acquire(&detached).unwrap();
    lock.dead = vec![1];
    assert_eq!(ahead(&lock.ask(2, Mode::Exclusive)), 0);
    lock.now = TTL + GRACE + 1;
    lock.ask(3, Mode::Exclusive);
    assert_eq!(lock.holders(), [3]);
}

#[test]
fn shared_holders_stand_beside_each_other() {
    let mut lock = Lock::default();
    assert_eq!(granted(&lock.ask(1, Mode::Shared)), 1);
    assert_eq!(granted(&lock.ask(2, Mode::Shared)), 2);
    assert_eq!(ahead(&lock.ask(3, Mode::Exclusive)), 0);
}

#[test]
fn a_shared_request_behind_an_exclusive_one_waits() {
    let mut lock = Lock::default();
    lock.ask(1, Mode::Shared);
    lock.ask(2, Mode::Exclusive);
    assert_eq!(ahead(&lock.ask(3, Mode::Shared)), 1);
    lock.release(1);
    assert_eq!((lock.holders(), lock.line()), (vec![2], vec![3]));
}

#[test]
fn shared_waiters_in_a_row_are_granted_together() {
    let mut lock = Lock::default();
    lock.ask(1, Mode::Exclusive);
    for (who, mode) in [
        (2, Mode::Shared),
        (3, Mode::Shared),
        (4, Mode::Exclusive),
        (5, Mode::Shared),
    ] {
        lock.ask(who, mode);
    }
    lock.release(1);
    assert_eq!((lock.holders(), lock.line()), (vec![2, 3], vec![4, 5]));
    assert_eq!(lock.hinted, [nonce(2), nonce(3), nonce(4)]);
    let tokens: Vec<_> = lock.record.grants.iter().map(|g| g.token.get()).collect();
    assert_eq!(tokens, [2, 3]);
}

#[test]
fn permits_run_out_at_their_number() {
    let two = Mode::permit_of(2).unwrap();
    let mut lock = Lock::default();
    assert_eq!(granted(&lock.ask(1, two)), 1);
    assert_eq!(granted(&lock.ask(2, two)), 2);
    assert_eq!(ahead(&lock.ask(3, two)), 0);
    lock.release(1);
    assert_eq!(lock.holders(), [2, 3]);
}

#[test]
fn another_number_of_permits_is_refused_while_anybody_names_the_first() {
    let (two, three) = (Mode::permit_of(2).unwrap(), Mode::permit_of(3).unwrap());
    let mut lock = Lock::default();
    lock.ask(1, two);
    let error = lock.acquire(&request(2, three)).unwrap_err().to_string();
    assert!(
        error.contains("permits") && error.contains("1 of 2"),
        "{error}"
    );
    lock.dead = vec![1];
    assert_eq!(granted(&lock.ask(2, three)), 2);
}

#[test]
fn a_recheck_is_due_at_the_first_expiry_or_the_interval() {
    let recheck = |answer: Acquired| match answer {
        Acquired::Queued(queued) => queued.recheck_after,
        other => panic!("not queued: {other:?}"),
    };
    let mut lock = Lock::default();
    lock.ask(1, Mode::Exclusive);
    assert_eq!(lock.record.next_expiry(), Some(at(TTL + GRACE)));
    assert_eq!(recheck(lock.ask(2, Mode::Exclusive)), ms(INTERVAL));
    assert_eq!(lock.record.next_expiry(), Some(at(3 * INTERVAL)));
    lock.now = TTL + GRACE - 10;
    // Just past the end, so that the lock is free when it is asked for.
    assert_eq!(recheck(lock.ask(2, Mode::Exclusive)), ms(11));
    assert_eq!(Record::new().next_expiry(), None);
}
