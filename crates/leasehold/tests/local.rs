//! The library on the local engine, with real files and real time.
#![cfg(feature = "local")]

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use leasehold::{Error, Locks, Loss, Token, connect, engines};

async fn client(dir: &tempfile::TempDir) -> Locks {
    let path = dir.path().join("locks.db");
    connect(&format!("local:{}", path.display())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_take_turns_and_tokens_grow() {
    let dir = tempfile::tempdir().unwrap();
    let inside = Arc::new(AtomicU32::new(0));
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let (locks, inside) = (client(&dir).await, Arc::clone(&inside));
        tasks.push(tokio::spawn(async move {
            let mut tokens = Vec::new();
            for _ in 0..50 {
                let lease = locks.lock("x").await.unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                tokens.push(lease.token());
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                lease.release().await.unwrap();
            }
            tokens
        }));
    }
    let mut all: Vec<Token> = Vec::new();
    for task in tasks {
        let tokens = task.await.unwrap();
        assert!(tokens.is_sorted());
        all.extend(tokens);
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 100);
}

#[test]
fn leases_are_renewed_until_they_are_broken() {
    pollster::block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let (holder, other) = (client(&dir).await, client(&dir).await);
        let mut leases = Vec::new();
        for n in 0..300 {
            let name = format!("orders/{n}");
            leases.push(holder.lock(name).ttl(Duration::from_secs(2)).await.unwrap());
        }
        let last = leases.last().unwrap();
        // Beyond the TTL of all of them.
        let refused = other.lock(last.name()).wait(Duration::from_secs(4)).await;
        assert!(
            matches!(refused, Err(Error::TimedOut { .. })),
            "{refused:?}"
        );
        assert!(leases.iter().all(leasehold::Lease::is_valid));
        other.break_lock("orders/0", "test").await.unwrap();
        assert_eq!(leases[0].lost().await, Loss::Gone);
        drop(leases);
        holder.close().await;
        assert!(other.list("orders/").await.unwrap().is_empty());
    });
}

#[test]
fn cancelling_at_any_poll_leaves_nothing() {
    pollster::block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let (locks, other) = (client(&dir).await, client(&dir).await);
        for n in 0..20 {
            for held in [false, true] {
                let lease = if held {
                    Some(other.lock("x").await.unwrap())
                } else {
                    None
                };
                let mut taking = locks.lock("x").into_future();
                for _ in 0..n {
                    let mut context = Context::from_waker(Waker::noop());
                    if taking.as_mut().poll(&mut context).is_ready() {
                        break;
                    }
                }
                drop(taking);
                drop(lease);
                locks.clone().close().await;
                other.clone().close().await;
                let status = other.inspect("x").await.unwrap();
                assert!(!status.is_in_use(), "{n} polls, held {held}: {status:?}");
            }
        }
    });
}

#[test]
fn what_is_said_of_the_engine_is_what_it_says() {
    pollster::block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let locks = client(&dir).await;
        let kind = locks.engine().kind();
        let info = engines().iter().find(|info| info.kind == kind).unwrap();
        assert!(info.compiled_in);
        assert_eq!(info.capabilities, locks.capabilities());
    });
}
