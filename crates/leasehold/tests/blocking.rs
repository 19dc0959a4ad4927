//! Locks without async and without a runtime.
#![cfg(feature = "memory")]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{Stage, millis, secs};
use leasehold::blocking::{Locks, connect};
use leasehold::{Change, Error, Loss, Released};

#[test]
fn threads_take_turns() {
    let locks = connect("memory:").unwrap();
    let (inside, total) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let lease = locks.lock("x").lock().unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    total.fetch_add(1, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    lease.release().unwrap();
                }
            });
        }
    });
    assert_eq!(total.load(Ordering::SeqCst), 100);
}

#[test]
fn a_drop_releases_before_it_returns() {
    let locks = connect("memory:blocking-drop").unwrap();
    for _ in 0..20 {
        let lease = locks.try_lock("x").lock().unwrap();
        drop(lease);
        assert!(!locks.inspect("x").unwrap().is_in_use());
    }
}

#[test]
fn a_wait_is_bounded_and_a_lease_is_renewed() {
    let one = connect("memory:blocking-wait").unwrap();
    let two = connect("memory:blocking-wait").unwrap();
    let lease = one.lock("x").ttl(millis(300)).lock().unwrap();
    let error = two.lock("x").wait(millis(1000)).lock().unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(lease.is_valid(), "renewed for longer than its TTL");
    assert_eq!(lease.wait_lost(Duration::ZERO), None);
    assert_eq!(lease.release().unwrap(), Released::Released);
    two.close();
}

#[test]
fn a_broken_lease_is_seen_lost() {
    let one = connect("memory:blocking-break").unwrap();
    let two = connect("memory:blocking-break").unwrap();
    let lease = one.lock("x").ttl(millis(300)).lock().unwrap();
    let broken = two.break_lock("x", "test").unwrap();
    assert_eq!(broken.ended[0].token, lease.token());
    assert_eq!(lease.wait_lost(common::PATIENCE), Some(Loss::Gone));
    assert!(!lease.is_valid());
    assert!(lease.extend(secs(1)).is_err());
}

#[test]
fn everything_else_is_there_too() {
    let locks = connect("memory:blocking-rest").unwrap();
    let mut watch = locks.watch("");
    assert!(watch.initial().unwrap().is_empty());
    let leases = locks
        .all_of(["a", "b"])
        .ttl(secs(9))
        .no_wait()
        .lock()
        .unwrap();
    assert!(leases.is_valid() && leases.get("a").is_some());
    assert!(matches!(watch.next().unwrap(), Change::Acquired { .. }));
    assert_eq!(locks.list("").unwrap().len(), 2);
    assert_eq!(leases.release().unwrap(), Released::Released);
    let kept = locks
        .lock("k")
        .detached()
        .shared()
        .owner("me")
        .lock()
        .unwrap()
        .keep();
    let extended = locks.extend("k", kept.nonce, secs(5)).unwrap();
    assert_eq!(extended, leasehold::Extended::Extended);
    assert_eq!(locks.release("k", kept.nonce).unwrap(), Released::Released);
}

#[test]
fn a_store_that_does_not_answer_delays_a_drop_but_not_for_ever() {
    let stage = Stage::new();
    stage.engine.hang_releases.store(true, Ordering::SeqCst);
    let locks = Locks::from(stage.locks.clone());
    // So long that the store does not let go of it by itself.
    let lease = locks.lock("x").ttl(secs(86_400)).lock().unwrap();
    let dropping = std::thread::spawn(move || drop(lease));
    while !dropping.is_finished() {
        stage.advance(secs(1));
        std::thread::sleep(millis(1));
    }
    dropping.join().unwrap();
    stage.engine.hang_releases.store(false, Ordering::SeqCst);
    // The clean-up sends its release again when the first gets no answer.
    while locks.inspect("x").unwrap().is_in_use() {
        stage.advance(millis(100));
        std::thread::sleep(millis(1));
    }
    assert!(stage.engine.releases.load(Ordering::SeqCst) > 1);
    locks.close();
}
