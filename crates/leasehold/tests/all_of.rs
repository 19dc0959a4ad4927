//! Several locks at once.
#![cfg(feature = "memory")]

mod common;

use std::future::IntoFuture;

use common::{Stage, poll, run, secs};
use leasehold::{Error, Event, Lease, Loss, Released};

#[test]
fn all_are_taken_in_the_order_of_their_names() {
    run(async {
        let stage = Stage::new();
        let leases = stage.locks.all_of(["b", "c", "a"]).await.unwrap();
        let order: Vec<_> = (0..3).map(|_| stage.events.next()).collect();
        let order: Vec<_> = order.iter().map(|event| event.name().as_str()).collect();
        assert_eq!(order, ["a", "b", "c"]);
        assert!(leases.is_valid() && leases.remaining() > secs(29));
        assert_eq!(leases.get("b").unwrap().name().as_str(), "b");
        assert!(leases.get("d").is_none());
        assert_eq!(leases.release().await.unwrap(), Released::Released);
        assert!(stage.locks.list("").await.unwrap().is_empty());
        let order: Vec<_> = (0..3).map(|_| stage.events.next()).collect();
        assert!(
            order
                .iter()
                .all(|event| matches!(event, Event::Released { .. }))
        );
    });
}

#[test]
fn what_was_taken_is_given_back_if_one_cannot_be_had() {
    run(async {
        let stage = Stage::new();
        let other = stage.other("other");
        let held = other.lock("c").await.unwrap();
        let error = stage
            .locks
            .all_of(["a", "b", "c"])
            .no_wait()
            .await
            .unwrap_err();
        assert!(
            matches!(&error, Error::Contended { name, .. } if name.as_str() == "c"),
            "{error}"
        );
        let left = other.list("").await.unwrap();
        assert_eq!(left.len(), 1, "given back before the error: {left:?}");

        let mut waiting = stage
            .locks
            .all_of(["a", "b", "c"])
            .wait(secs(3))
            .into_future();
        assert!(poll(waiting.as_mut()).is_pending());
        assert_eq!(other.list("").await.unwrap().len(), 3);
        stage.advance(secs(3));
        let error = waiting.await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        assert_eq!(other.list("").await.unwrap().len(), 1);
        drop(held);
    });
}

#[test]
fn a_lease_lost_while_others_were_waited_for_spoils_the_whole() {
    run(async {
        let stage = Stage::new();
        let other = stage.other("other");
        let held = other.lock("b").await.unwrap();
        let mut waiting = stage.locks.all_of(["a", "b"]).into_future();
        assert!(poll(waiting.as_mut()).is_pending());
        other.break_lock("a", "test").await.unwrap();
        stage.advance(secs(10));
        while !matches!(stage.events.next(), Event::Lost { .. }) {}
        held.release().await.unwrap();
        let error = waiting.await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Lost {
                    why: Loss::Gone,
                    ..
                }
            ),
            "{error}"
        );
        assert!(other.list("").await.unwrap().is_empty());
    });
}

#[test]
fn work_under_several_ends_with_the_first_that_is_lost() {
    run(async {
        let stage = Stage::new();
        let leases = stage.locks.all_of(["a", "b"]).await.unwrap();
        assert_eq!(leases.run(async { 1 }).await.unwrap(), 1);
        stage.other("other").break_lock("b", "test").await.unwrap();
        stage.advance(secs(10));
        let error = leases.run(std::future::pending::<()>()).await.unwrap_err();
        assert!(
            matches!(&error, Error::Lost { name, .. } if name.as_str() == "b"),
            "{error}"
        );
        let lost: Vec<_> = leases.iter().map(Lease::is_lost).collect();
        assert_eq!(lost, [None, Some(Loss::Gone)]);
        assert_eq!(leases.release().await.unwrap(), Released::AlreadyLost);
    });
}

#[test]
fn two_who_want_the_same_in_other_orders_both_get_it() {
    run(async {
        let stage = Stage::new();
        let tasks: Vec<_> = [["a", "b"], ["b", "a"]]
            .into_iter()
            .map(|names| {
                let locks = stage.other(names[0]);
                std::thread::spawn(move || {
                    pollster::block_on(async {
                        for _ in 0..50 {
                            let leases = locks.all_of(names).await.unwrap();
                            leases.release().await.unwrap();
                        }
                    });
                })
            })
            .collect();
        for task in tasks {
            task.join().unwrap();
        }
        assert!(stage.locks.list("").await.unwrap().is_empty());
    });
}
