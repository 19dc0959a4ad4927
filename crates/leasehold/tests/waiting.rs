//! Waiting for a busy lock.
#![cfg(feature = "memory")]

mod common;

use std::future::IntoFuture;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use common::{Stage, millis, poll, run, secs};
use leasehold::{Error, Event, Mode};

#[test]
fn a_busy_lock_is_refused_with_its_holder() {
    run(async {
        let stage = Stage::new();
        let held = stage.other("other").lock("x").await.unwrap();
        for request in [
            stage.locks.try_lock("x"),
            stage.locks.lock("x").wait(secs(0)),
        ] {
            match request.await.unwrap_err() {
                Error::Contended { holders, .. } => assert_eq!(holders[0].owner, "other"),
                error => panic!("{error}"),
            }
        }
        assert_eq!(stage.settled("x").await.waiters.len(), 0);
        assert_eq!(stage.events.kinds(), ["contended", "contended"]);
        drop(held);
    });
}

#[test]
fn a_wait_ends_at_its_limit_and_leaves_the_line() {
    run(async {
        let stage = Stage::new();
        let other = stage.other("other");
        let held = other.lock("x").await.unwrap();
        let mut waiting = stage.locks.lock("x").wait(millis(700)).into_future();
        assert!(poll(waiting.as_mut()).is_pending());
        assert_eq!(other.inspect("x").await.unwrap().waiters.len(), 1);
        stage.advance(millis(700));
        match waiting.await.unwrap_err() {
            Error::TimedOut {
                waited, holders, ..
            } => {
                assert!(waited >= millis(700));
                assert_eq!(holders[0].owner, "other");
            }
            error => panic!("{error}"),
        }
        // Withdrawn before it was reported.
        assert_eq!(other.inspect("x").await.unwrap().waiters.len(), 0);
        drop(held);
    });
}

#[test]
fn a_task_behind_another_of_its_client_times_out_too() {
    run(async {
        let stage = Stage::new();
        let held = stage.other("other").lock("x").await.unwrap();
        let mut first = stage.locks.lock("x").into_future();
        assert!(poll(first.as_mut()).is_pending());
        let mut second = stage.locks.lock("x").wait(secs(2)).into_future();
        assert!(poll(second.as_mut()).is_pending());
        stage.advance(secs(2));
        match second.await.unwrap_err() {
            Error::TimedOut { holders, .. } => assert_eq!(holders[0].owner, "other"),
            error => panic!("{error}"),
        }
        drop(held);
        assert!(first.await.unwrap().is_valid());
    });
}

#[test]
fn a_withdrawal_that_is_not_confirmed_is_not_called_a_timeout() {
    run(async {
        let stage = Stage::new();
        let held = stage.other("other").lock("x").await.unwrap();
        let mut waiting = stage.locks.lock("x").wait(millis(700)).into_future();
        assert!(poll(waiting.as_mut()).is_pending());
        stage.engine.fail_releases.store(1, Ordering::SeqCst);
        stage.advance(millis(700));
        let error = waiting.await.unwrap_err();
        assert!(error.may_be_held(), "{error}");
        assert_eq!(
            stage.settled("x").await.waiters.len(),
            0,
            "cleaned up later"
        );
        drop(held);
    });
}

#[test]
fn a_waiter_is_handed_the_lock_and_told_about_its_wait() {
    run(async {
        let stage = Stage::new();
        let other = stage.other("other");
        let held = other.lock("x").await.unwrap();
        let (told, waits) = channel();
        let request = stage.locks.lock("x").on_wait(move |queued| {
            let owner = queued.holders[0].owner.clone();
            let _ = told.send((queued.ahead, owner));
        });
        let mut waiting = request.into_future();
        assert!(poll(waiting.as_mut()).is_pending());
        assert_eq!(waits.try_recv().unwrap(), (0, "other".to_owned()));
        held.release().await.unwrap();
        let lease = waiting.await.unwrap();
        assert!(lease.is_valid());
        assert!(waits.try_recv().is_err(), "told once");
        match stage.events.next() {
            Event::Contended { holders, ahead, .. } => {
                assert_eq!((holders.len(), ahead), (1, Some(0)));
            }
            event => panic!("{event:?}"),
        }
        assert_eq!(stage.events.kinds(), ["acquired"]);
    });
}

#[test]
fn a_holder_that_died_without_notice_is_waited_out() {
    run(async {
        let stage = Stage::new();
        let other = stage.other("other");
        let kept = other
            .lock("x")
            .detached()
            .ttl(secs(30))
            .grace(secs(5))
            .await
            .unwrap()
            .keep();
        let waiting = stage.locks.lock("x").into_future();
        let lease = std::thread::spawn(move || pollster::block_on(waiting));
        let mut passed = 0;
        while !lease.is_finished() {
            // The waiter asks again about once a second.
            stage.advance(millis(500));
            passed += 1;
            std::thread::sleep(millis(1));
        }
        assert!(passed >= 2 * 35, "not before TTL + grace: {passed}");
        assert!(lease.join().unwrap().unwrap().token() > kept.token);
    });
}

#[test]
fn tasks_of_one_client_are_one_waiter_and_served_in_order() {
    const TASKS: usize = 32;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    let stage = Stage::new();
    let held = pollster::block_on(async { stage.other("other").lock("x").await.unwrap() });
    let order = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let mut request = stage.locks.lock("x").into_future();
            assert!(poll(request.as_mut()).is_pending());
            let order = Arc::clone(&order);
            runtime.spawn(async move {
                let lease = request.await.unwrap();
                order.lock().unwrap().push(task);
                tokio::task::yield_now().await;
                lease.release().await.unwrap();
            })
        })
        .collect();
    let status = pollster::block_on(stage.locks.inspect("x")).unwrap();
    assert_eq!(status.waiters.len(), 1);
    drop(held);
    run(async move {
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(*order.lock().unwrap(), (0..TASKS).collect::<Vec<_>>());
    assert_eq!(stage.engine.most_outstanding.load(Ordering::SeqCst), 1);
    runtime.shutdown_background();
}

#[test]
fn an_engine_that_fails_a_waiter_for_a_moment_is_asked_again() {
    run(async {
        let stage = Stage::new();
        let held = stage.other("other").lock("x").await.unwrap();
        let mut waiting = stage.locks.lock("x").into_future();
        assert!(poll(waiting.as_mut()).is_pending());
        stage.engine.lose_acquires.store(1, Ordering::SeqCst);
        let acquires = stage.engine.acquires.load(Ordering::SeqCst);
        drop(held);
        let waiting = std::thread::spawn(move || pollster::block_on(waiting));
        while !waiting.is_finished() {
            stage.advance(millis(50));
            std::thread::sleep(millis(1));
        }
        let lease = waiting.join().unwrap().unwrap();
        assert!(stage.engine.acquires.load(Ordering::SeqCst) >= acquires + 2);
        assert!(lease.is_valid());
    });
}

#[test]
fn an_answer_that_comes_after_the_deadline_is_no_lease() {
    run(async {
        let stage = Stage::new();
        let late = |stage: &Stage| {
            let (clock, store_clock) = (stage.clock.clone(), stage.store_clock.clone());
            *stage.engine.after_acquire.lock().unwrap() = Some(Box::new(move || {
                store_clock.advance(secs(30));
                clock.advance(secs(30));
            }));
        };
        late(&stage);
        let error = stage.locks.try_lock("x").ttl(secs(30)).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        assert!(
            !stage.locks.inspect("x").await.unwrap().is_in_use(),
            "given back"
        );
        late(&stage);
        let lease = stage.locks.lock("x").ttl(secs(30)).await.unwrap();
        assert!(lease.is_valid());
        assert_eq!(
            stage.locks.inspect("x").await.unwrap().holders[0].nonce,
            lease.nonce()
        );
    });
}

#[test]
fn an_unknown_outcome_is_an_error_and_is_cleaned_up() {
    run(async {
        let stage = Stage::new();
        for request in [stage.locks.lock("x"), stage.locks.try_lock("x")] {
            stage.engine.lose_acquires.store(1, Ordering::SeqCst);
            let error = request.await.unwrap_err();
            assert!(error.may_be_held(), "{error}");
            assert!(!stage.settled("x").await.is_in_use());
        }
    });
}

#[test]
fn shared_and_permits_go_side_by_side() {
    run(async {
        let stage = Stage::new();
        let one = stage.locks.lock("s").shared().await.unwrap();
        let two = stage.locks.try_lock("s").shared().await.unwrap();
        assert_eq!((one.mode(), two.mode()), (Mode::Shared, Mode::Shared));
        assert!(stage.locks.try_lock("s").await.is_err());
        let permits = |n| stage.locks.try_lock("p").permits(n);
        let (_one, _two) = (permits(2).await.unwrap(), permits(2).await.unwrap());
        assert!(matches!(
            permits(2).await.unwrap_err(),
            Error::Contended { .. }
        ));
        assert!(matches!(
            permits(3).await.unwrap_err(),
            Error::Invalid { .. }
        ));
    });
}

#[test]
fn what_will_not_do_is_refused_before_anything_is_sent() {
    run(async {
        let stage = Stage::new();
        let locks = &stage.locks;
        for (request, said) in [
            (locks.lock(""), "lock name"),
            (locks.lock("x".repeat(513)), "513 bytes"),
            (locks.lock("a\u{7}"), "control character"),
            (locks.lock("x").ttl(secs(0)), "20ms to 30d"),
            (locks.lock("x").ttl(secs(100 * 365 * 86_400)), "20ms to 30d"),
            (locks.lock("x").grace(secs(u64::MAX)), "grace"),
            (locks.lock("x").max_hold(secs(0)), "max_hold"),
            (locks.lock("x").permits(0), "permits"),
        ] {
            let error = request.await.unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{error}");
            assert!(error.to_string().contains(said), "{error}");
        }
        let mut can = leasehold::Capabilities::all();
        (can.shared, can.permits, can.list, can.break_lock, can.watch) =
            (false, false, false, false, false);
        *stage.engine.can.lock().unwrap() = can;
        let mut watch = locks.watch("");
        for error in [
            locks.lock("x").shared().await.unwrap_err(),
            locks.lock("x").permits(2).await.unwrap_err(),
            locks.list("").await.unwrap_err(),
            locks.break_lock("x", "why").await.unwrap_err(),
            watch.next().await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        }
        assert_eq!(stage.engine.acquires.load(Ordering::SeqCst), 0);
    });
}
