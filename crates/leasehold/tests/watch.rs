//! Watching locks change.
#![cfg(feature = "memory")]

mod common;

use common::run;
use leasehold::memory::MemoryStore;
use leasehold::{Change, Locks};
use std::sync::Arc;

async fn client(store: &MemoryStore, owner: &str) -> Locks {
    let engine = Arc::new(store.client());
    Locks::builder()
        .engine(engine)
        .owner(owner)
        .connect()
        .await
        .unwrap()
}

#[test]
fn changes_are_told_in_order() {
    run(async {
        let store = MemoryStore::new();
        let (holder, watcher) = (
            client(&store, "holder").await,
            client(&store, "watcher").await,
        );
        let mut watch = watcher.watch("jobs/");
        let lease = holder.lock("jobs/1").await.unwrap();
        let initial = watch.initial().await.unwrap();
        assert_eq!(initial[0].holders[0].token, lease.token());
        let _elsewhere = holder.lock("other").await.unwrap();
        lease.release().await.unwrap();
        match watch.next().await.unwrap() {
            Change::Ended { name, owner, .. } => {
                assert_eq!((name.as_str(), owner.as_str()), ("jobs/1", "holder"));
            }
            change => panic!("{change:?}"),
        }
        let lease = holder.lock("jobs/1").await.unwrap();
        match watch.next().await.unwrap() {
            Change::Acquired { token, .. } => assert_eq!(token, lease.token()),
            change => panic!("{change:?}"),
        }
        watcher.break_lock("jobs/1", "stuck").await.unwrap();
        match watch.next().await.unwrap() {
            Change::Broken {
                token, by, reason, ..
            } => {
                assert_eq!(token, lease.token());
                assert_eq!((by.as_str(), reason.as_str()), ("watcher", "stuck"));
            }
            change => panic!("{change:?}"),
        }
    });
}

#[test]
fn grants_between_two_looks_are_told_by_their_tokens() {
    run(async {
        let store = MemoryStore::new();
        let locks = client(&store, "holder").await;
        let before = locks.lock("x").await.unwrap();
        let first = before.token();
        before.release().await.unwrap();
        // Nobody holds it at any look.
        let mut watch = client(&store, "watcher").await.watch("x");
        assert!(watch.initial().await.unwrap().is_empty());
        let mut last = first;
        for _ in 0..3 {
            let lease = locks.lock("x").await.unwrap();
            last = lease.token();
            lease.release().await.unwrap();
        }
        match watch.next().await.unwrap() {
            Change::Skipped { after, upto, .. } => assert_eq!((after, upto), (first, last)),
            change => panic!("{change:?}"),
        }
    });
}

#[test]
fn a_lock_that_was_free_for_a_while_is_still_known() {
    run(async {
        let store = MemoryStore::new();
        let locks = client(&store, "holder").await;
        let mut watch = client(&store, "watcher").await.watch("jobs/");
        assert!(watch.initial().await.unwrap().is_empty());
        let lease = locks.lock("jobs/1").await.unwrap();
        assert!(matches!(
            watch.next().await.unwrap(),
            Change::Acquired { .. }
        ));
        lease.release().await.unwrap();
        assert!(matches!(watch.next().await.unwrap(), Change::Ended { .. }));
        locks.lock("jobs/1").await.unwrap().release().await.unwrap();
        let _lease = locks.lock("jobs/1").await.unwrap();
        assert!(matches!(
            watch.next().await.unwrap(),
            Change::Skipped { .. }
        ));
        assert!(matches!(
            watch.next().await.unwrap(),
            Change::Acquired { .. }
        ));
    });
}
