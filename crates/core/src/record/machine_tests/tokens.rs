//! Tokens grow, whatever happens (C1).

use super::*;

#[test]
fn tokens_grow_over_release_expiry_and_break() {
    let mut lock = Lock::default();
    assert_eq!(granted(&lock.ask(1, Mode::Exclusive)), 1);
    lock.release(1);
    assert_eq!(granted(&lock.ask(2, Mode::Exclusive)), 2);
    lock.now = TTL + GRACE + 1;
    assert_eq!(granted(&lock.ask(3, Mode::Exclusive)), 3);
    lock.break_lock();
    assert_eq!(granted(&lock.ask(4, Mode::Exclusive)), 4);
}

#[test]
fn the_stores_floor_lifts_grants_and_handovers() {
    let mut lock = Lock {
        floor: 100,
        ..Lock::default()
    };
    assert_eq!(granted(&lock.ask(1, Mode::Exclusive)), 100);
    lock.ask(2, Mode::Exclusive);
    lock.floor = 200;
    lock.release(1);
    assert_eq!(granted(&lock.ask(2, Mode::Exclusive)), 200);
    lock.floor = 0;
    assert_eq!(lock.break_lock().floor, token(201));
}

#[test]
fn a_collected_record_lives_on_in_the_stores_floor() {
    let mut lock = Lock::default();
    lock.ask(1, Mode::Exclusive);
    assert!(!lock.record.is_idle());
    lock.break_lock();
    assert!(lock.record.is_idle());
    lock.floor = lock.record.folded_into(token(1)).get();
    lock.record = Record::new();
    assert_eq!(granted(&lock.ask(2, Mode::Exclusive)), 2);
    // A floor above it stays, and so does one set by a break alone.
    assert_eq!(lock.record.folded_into(token(90)), token(90));
    lock.record.floor = token(50);
    assert_eq!(lock.record.folded_into(token(1)), token(50));
}

#[test]
fn tokens_end_before_2_to_the_53_and_are_not_reused() {
    let mut lock = Lock::default();
    lock.record.token = token(Token::MAX.get() - 2);
    assert_eq!(granted(&lock.ask(1, Mode::Exclusive)), Token::MAX.get() - 1);
    lock.ask(2, Mode::Exclusive);
    lock.release(1);
    // The lock is free, and neither the line nor anybody else can have it.
    let ended = |answer: Result<Acquired, Error>| match answer {
        Err(error @ Error::Damaged { .. }) => error.to_string().contains("2^53"),
        other => panic!("tokens went on: {other:?}"),
    };
    assert!(ended(lock.acquire(&request(2, Mode::Exclusive))));
    lock.release(2);
    assert!(ended(lock.acquire(&request(3, Mode::Exclusive))));
    lock.break_lock();
    assert!(ended(lock.acquire(&request(3, Mode::Exclusive))));
    lock.floor = lock.record.folded_into(Token::NONE).get();
    lock.record = Record::new();
    assert!(ended(lock.acquire(&request(3, Mode::Exclusive))));
}
