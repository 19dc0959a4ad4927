//! C7: dropping a future at any await leaves nothing held.
#![cfg(feature = "memory")]

mod common;

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::{Stage, poll, run, secs};
use leasehold::memory::Fault;
use leasehold::{Error, Lease};

/// More polls than anything here takes.
const MOST: usize = 60;

type Taking = Pin<Box<dyn Future<Output = Result<Lease, Error>> + Send>>;

/// Polls `n` times, then drops. Whether it was done by then.
fn cancelled_after(n: usize, mut taking: Taking) -> bool {
    (0..n).any(|_| poll(taking.as_mut()).is_ready())
}

#[test]
fn an_acquire_dropped_at_any_poll_leaves_nothing() {
    run(async {
        let mut done = false;
        for n in 0..MOST {
            for fault in [
                Fault::None,
                Fault::SlowRequest(3),
                Fault::SlowAnswer(3),
                Fault::Late,
            ] {
                let stage = Stage::new();
                stage.engine.inner.set_yields(2);
                stage.engine.inner.inject([fault]);
                done = cancelled_after(n, stage.locks.lock("x").into_future());
                let status = stage.settled("x").await;
                assert!(!status.is_in_use(), "{n} polls, {fault:?}: {status:?}");
                let lease = stage.locks.try_lock("x").await.unwrap();
                assert!(lease.is_valid());
            }
        }
        assert!(done, "the last round got the lock");
    });
}

#[test]
fn a_waiter_dropped_at_any_poll_leaves_the_line() {
    run(async {
        for n in 0..MOST {
            let stage = Stage::new();
            let other = stage.other("other");
            let held = other.lock("x").await.unwrap();
            stage.engine.inner.set_yields(2);
            let mut behind = stage.locks.lock("x").into_future();
            let mut waiting = stage.locks.lock("x").wait(secs(5)).into_future();
            for _ in 0..n {
                assert!(poll(waiting.as_mut()).is_pending());
            }
            // The lock may be handed over to it just when it goes away.
            if n % 2 == 0 {
                drop(held);
                other.clone().close().await;
                drop(waiting);
            } else {
                assert!(poll(behind.as_mut()).is_pending());
                drop(waiting);
                drop(held);
            }
            let next = behind.await.unwrap();
            assert!(next.is_valid());
            drop(next);
            other.close().await;
            let status = stage.settled("x").await;
            assert!(!status.is_in_use(), "{n} polls: {status:?}");
        }
    });
}

#[test]
fn all_of_dropped_at_any_poll_leaves_nothing() {
    run(async {
        for n in 0..2 * MOST {
            let stage = Stage::new();
            stage.engine.inner.set_yields(2);
            let mut taking = stage.locks.all_of(["a", "b", "c"]).into_future();
            let done = (0..n).any(|_| poll(taking.as_mut()).is_ready());
            drop(taking);
            assert!(done || n < 2 * MOST - 1);
            stage.locks.clone().close().await;
            let left = stage.locks.list("").await.unwrap();
            assert!(left.is_empty(), "{n} polls: {left:?}");
        }
    });
}

#[test]
fn a_release_dropped_at_any_poll_releases() {
    run(async {
        for n in 0..20 {
            let stage = Stage::new();
            let lease = stage.locks.lock("x").await.unwrap();
            stage.engine.inner.set_yields(2);
            let mut release = Box::pin(lease.release());
            let _done = (0..n).any(|_| poll(release.as_mut()).is_ready());
            drop(release);
            assert!(!stage.settled("x").await.is_in_use(), "{n} polls");
        }
    });
}

#[test]
fn an_extend_dropped_at_any_poll_keeps_the_lease() {
    run(async {
        for n in 0..20 {
            let stage = Stage::new();
            let lease = stage.locks.lock("x").ttl(secs(30)).await.unwrap();
            stage.engine.inner.set_yields(2);
            let mut extend = Box::pin(lease.extend(secs(30)));
            let _done = (0..n).any(|_| poll(extend.as_mut()).is_ready());
            drop(extend);
            assert!(lease.is_valid());
            stage.engine.inner.set_yields(0);
            lease.extend(secs(60)).await.unwrap();
            assert!(lease.is_valid());
        }
    });
}

#[test]
fn the_last_clone_may_go_while_a_clean_up_is_owed() {
    run(async {
        let stage = Stage::new();
        let engine = Arc::clone(&stage.engine);
        let lease = stage.locks.lock("x").await.unwrap();
        let other = stage.other("other");
        engine.inner.set_yields(3);
        let mut waiting = other.lock("x").into_future();
        assert!(poll(waiting.as_mut()).is_pending());
        drop((stage, lease));
        let lease = waiting.await.unwrap();
        assert!(lease.is_valid());
        assert_eq!(engine.releases.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn the_engine_goes_with_the_last_clone_and_lease() {
    run(async {
        let stage = Stage::new();
        let engine = Arc::downgrade(&stage.engine);
        let lease = stage.locks.lock("x").await.unwrap();
        let lost = lease.lost();
        drop(stage);
        assert!(lease.is_valid());
        drop((lease, lost));
        while engine.strong_count() > 0 {
            std::thread::sleep(common::millis(1));
        }
    });
}
