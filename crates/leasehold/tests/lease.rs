//! A lease while it is held: renewal, loss, work under it, giving it back.
#![cfg(feature = "memory")]

mod common;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Stage, kind, millis, run, secs};
use leasehold::{Error, Event, Loss, Released};

#[test]
fn renewals_keep_a_lease_past_its_ttl() {
    run(async {
        let stage = Stage::new();
        let lease = stage.locks.lock("x").ttl(secs(30)).await.unwrap();
        let token = lease.token();
        assert_eq!(kind(&stage.events.next()), "acquired");
        for _ in 0..12 {
            stage.advance(secs(10));
            assert_eq!(kind(&stage.events.next()), "renewed");
            assert!(lease.remaining() > secs(29), "{lease:?}");
        }
        assert!(lease.is_valid());
        let status = stage.locks.inspect("x").await.unwrap();
        assert_eq!(status.holders[0].token, token);
        assert_eq!(lease.release().await.unwrap(), Released::Released);
    });
}

#[test]
fn a_lease_without_renewal_ends_at_its_deadline() {
    run(async {
        let stage = Stage::new();
        let lease = stage
            .locks
            .lock("x")
            .ttl(secs(30))
            .renew(false)
            .await
            .unwrap();
        stage.advance(secs(29));
        assert!(lease.is_valid());
        stage.advance(secs(1));
        assert_eq!(lease.is_lost(), Some(Loss::Expired));
        assert_eq!(stage.engine.extends.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn the_deadline_comes_while_renewals_hang() {
    run(async {
        let stage = Stage::new();
        stage.engine.hang_extends.store(true, Ordering::SeqCst);
        let lease = stage.locks.lock("x").ttl(secs(30)).await.unwrap();
        let lost = lease.lost();
        for _ in 0..3 {
            stage.advance(secs(10));
        }
        assert_eq!(lost.await, Loss::Expired);
        assert!(!lease.is_valid());
        assert_eq!(lease.remaining(), secs(0));
        assert_eq!(lease.release().await.unwrap(), Released::AlreadyLost);
        assert!(!stage.settled("x").await.is_in_use());
    });
}

#[test]
fn the_deadline_comes_by_the_machines_clock_too() {
    run(async {
        let store = leasehold::memory::MemoryStore::new();
        let engine = Arc::new(common::Probe::new(store.client()));
        engine.hang_extends.store(true, Ordering::SeqCst);
        let builder = leasehold::Locks::builder().engine(engine.clone());
        let locks = builder.connect().await.unwrap();
        let lease = locks.lock("x").ttl(millis(200)).await.unwrap();
        let deadline = lease.deadline();
        assert_eq!(lease.lost().await, Loss::Expired);
        assert!(deadline.has_passed(leasehold::Clock::now(&leasehold::SystemClock)));
        assert!(engine.extends.load(Ordering::SeqCst) > 0, "it was tried");
    });
}

#[test]
fn a_suspended_holder_wakes_up_without_its_lease() {
    run(async {
        let stage = Stage::new();
        let lease = stage.locks.lock("x").ttl(secs(30)).await.unwrap();
        stage.advance(secs(3600));
        // Before the background thread had any time to notice.
        assert!(!lease.is_valid());
        assert_eq!(lease.lost().await, Loss::Expired);
        let other = stage.other("other");
        let next = other.try_lock("x").await.unwrap();
        assert!(next.token() > lease.token());
        assert_eq!(lease.is_lost(), Some(Loss::Expired), "it stays lost");
        let error = lease.extend(secs(30)).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Lost {
                    why: Loss::Expired,
                    ..
                }
            ),
            "{error}"
        );
    });
}

#[test]
fn a_renewal_answered_after_the_deadline_revives_nothing() {
    run(async {
        let stage = Stage::new();
        let lease = stage.locks.lock("x").ttl(secs(30)).await.unwrap();
        assert_eq!(kind(&stage.events.next()), "acquired");
        let clock = stage.clock.clone();
        *stage.engine.after_extend.lock().unwrap() = Some(Box::new(move || {
            clock.advance(secs(20));
        }));
        stage.advance(secs(10));
        assert_eq!(kind(&stage.events.next()), "lost");
        assert_eq!(lease.is_lost(), Some(Loss::Expired));
        assert!(
            stage.settled("x").await.is_in_use(),
            "its holder may need the grace"
        );
        drop(lease);
        assert!(!stage.settled("x").await.is_in_use());
    });
}

#[test]
fn a_failed_renewal_is_tried_again() {
    run(async {
        let stage = Stage::new();
        let lease = stage.locks.lock("x").ttl(secs(30)).await.unwrap();
        assert_eq!(kind(&stage.events.next()), "acquired");
        stage.engine.fail_extends.store(3, Ordering::SeqCst);
        stage.advance(secs(10));
        for tries in 1..=4 {
            stage.engine.wait_for_extends(tries).await;
            assert!(lease.is_valid());
            // As long as the longest pause. If the failure has not been taken in yet,
            // the next step is.
            while tries < 4 && stage.engine.extends.load(Ordering::SeqCst) == tries {
                stage.advance(secs(1));
                std::thread::sleep(millis(200));
            }
        }
        assert_eq!(kind(&stage.events.next()), "renewed");
        assert!(lease.is_valid());
    });
}

#[test]
fn max_hold_ends_a_lease_that_is_renewed() {
    run(async {
        let stage = Stage::new();
        let request = stage.locks.lock("x").ttl(secs(30)).max_hold(secs(45));
        let lease = request.await.unwrap();
        assert_eq!(kind(&stage.events.next()), "acquired");
        for _ in 0..4 {
            stage.advance(secs(10));
            assert_eq!(kind(&stage.events.next()), "renewed");
        }
        assert!(lease.remaining() <= secs(5));
        stage.advance(secs(5));
        assert_eq!(lease.lost().await, Loss::MaxHold);
        assert!(
            stage.settled("x").await.is_in_use(),
            "its holder may need the grace"
        );
        assert_eq!(lease.release().await.unwrap(), Released::AlreadyLost);
        assert!(!stage.settled("x").await.is_in_use(), "it was released");
    });
}

#[test]
fn dropping_a_lease_releases_it() {
    run(async {
        let stage = Stage::new();
        let lease = stage.locks.lock("x").await.unwrap();
        let lost = lease.lost();
        drop(lease);
        assert!(!stage.settled("x").await.is_in_use());
        assert_eq!(stage.events.kinds(), ["acquired", "released"]);
        let mut lost = std::pin::pin!(lost);
        assert!(
            common::poll(lost.as_mut()).is_pending(),
            "given back, not lost"
        );
    });
}

#[test]
fn a_release_that_fails_goes_on_in_the_background() {
    run(async {
        let stage = Stage::new();
        let lease = stage.locks.lock("x").await.unwrap();
        stage.engine.fail_releases.store(1, Ordering::SeqCst);
        assert!(lease.release().await.is_err());
        assert!(!stage.settled("x").await.is_in_use());
    });
}

#[test]
fn a_release_that_is_dropped_goes_on_in_the_background() {
    run(async {
        let stage = Stage::new();
        let lease = stage.locks.lock("x").await.unwrap();
        let release = lease.release();
        drop(release);
        assert!(!stage.settled("x").await.is_in_use());
    });
}

#[test]
fn a_broken_lease_is_lost_at_its_next_renewal_and_told_by_whom() {
    run(async {
        let stage = Stage::new();
        let lease = stage.locks.lock("x").ttl(secs(30)).await.unwrap();
        assert_eq!(kind(&stage.events.next()), "acquired");
        let other = stage.other("operator");
        let broken = other.break_lock("x", "stuck").await.unwrap();
        assert_eq!(broken.ended[0].token, lease.token());
        assert!(
            other.break_lock("x", "  ").await.is_err(),
            "a reason is needed"
        );
        stage.advance(secs(10));
        assert_eq!(lease.lost().await, Loss::Gone);
        assert_eq!(kind(&stage.events.next()), "lost");
        match stage.events.next() {
            Event::Broken {
                token, by, reason, ..
            } => {
                assert_eq!(token, lease.token());
                assert_eq!((by.as_str(), reason.as_str()), ("operator", "stuck"));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn work_is_dropped_when_the_lease_is_lost() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    run(async {
        let stage = Stage::new();
        let lease = stage.locks.lock("x").ttl(secs(30)).await.unwrap();
        assert_eq!(lease.run(async { 7 }).await.unwrap(), 7);
        let dropped = Arc::new(AtomicBool::new(false));
        let work = Dropped(Arc::clone(&dropped));
        let work = async move {
            let _work = work;
            stage.advance(secs(3600));
            pending::<()>().await;
        };
        let error = lease.run(work).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Lost {
                    why: Loss::Expired,
                    ..
                }
            ),
            "{error}"
        );
        assert!(dropped.load(Ordering::SeqCst));
        let error = lease
            .run(async { panic!("not even begun") })
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Lost { .. }), "{error}");
    });
}

#[test]
fn extending_moves_the_deadline_both_ways() {
    run(async {
        let stage = Stage::new();
        let lease = stage.locks.lock("x").ttl(secs(30)).await.unwrap();
        let deadline = lease.extend(secs(300)).await.unwrap();
        assert_eq!(lease.deadline(), deadline);
        assert!(lease.remaining() > secs(290));
        assert_eq!(lease.ttl().get(), secs(300));
        lease.extend(secs(3)).await.unwrap();
        assert!(lease.remaining() < secs(3));
        assert!(lease.extend(millis(1)).await.is_err(), "out of bounds");
        assert!(lease.is_valid());
    });
}

#[test]
fn an_extend_that_hangs_leaves_the_sooner_deadline() {
    run(async {
        let stage = Stage::new();
        let lease = stage
            .locks
            .lock("x")
            .ttl(secs(30))
            .renew(false)
            .await
            .unwrap();
        stage.engine.hang_extends.store(true, Ordering::SeqCst);
        let mut extend = Box::pin(lease.extend(secs(5)));
        assert!(common::poll(extend.as_mut()).is_pending());
        drop(extend);
        // It may have been carried out, so the lease may end in 5 s.
        assert!(lease.remaining() < secs(5));
        assert!(lease.is_valid());
    });
}

#[test]
fn a_kept_lease_goes_on_by_its_nonce() {
    run(async {
        let stage = Stage::new();
        let lease = stage
            .locks
            .lock("x")
            .detached()
            .ttl(secs(30))
            .await
            .unwrap();
        let kept = lease.keep();
        assert!(stage.settled("x").await.is_in_use());
        let other = stage.other("other");
        let extended = other.extend("x", kept.nonce, secs(60)).await.unwrap();
        assert_eq!(extended, leasehold::Extended::Extended);
        stage.advance(secs(50));
        assert_eq!(stage.engine.extends.load(Ordering::SeqCst), 0, "no renewal");
        assert_eq!(
            other.release("x", kept.nonce).await.unwrap(),
            Released::Released
        );
        assert_eq!(
            other.release("x", kept.nonce).await.unwrap(),
            Released::AlreadyLost
        );
    });
}

#[test]
fn an_observer_that_panics_does_no_harm() {
    run(async {
        let locks = leasehold::Locks::builder()
            .url("memory:")
            .observer(Arc::new(|_: &Event| panic!("observer")))
            .connect()
            .await
            .unwrap();
        let lease = locks.lock("x").await.unwrap();
        drop(lease);
        locks.clone().close().await;
        assert!(!locks.inspect("x").await.unwrap().is_in_use());
    });
}
