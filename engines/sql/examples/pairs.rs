//! Acquire and release on PostgreSQL, beside advisory locks taken by hand, and how
//! long a hand-over takes: `pairs HOST:PORT USER DATABASE [SECONDS]`.
//!
//! Both run in turns on the same server, with as many connections; medians of five.

#![allow(unused_crate_dependencies)]

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leasehold_core::{
    AcquireRequest, Acquired, Engine, EngineUrl, Lifetime, LockName, Mode, Nonce, Ttl,
};
use leasehold_sql::{SqlEngine, SqlOptions};
use tokio_postgres::{Client, NoTls};

const TTL: Duration = Duration::from_secs(30);
const CONNECTIONS: usize = 4;
const ROUNDS: usize = 5;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let [host, user, database, rest @ ..] = &words[..] else {
        eprintln!("usage: pairs HOST:PORT USER DATABASE [SECONDS]");
        std::process::exit(2);
    };
    let seconds = rest
        .first()
        .map_or(1.0, |word| word.parse().expect("seconds"));
    let length = Duration::from_secs_f64(seconds);
    let (name, port) = host.split_once(':').expect("HOST:PORT");
    let by_hand = format!("host={name} port={port} user={user} dbname={database}");
    for keys in ["", "&release=lazy"] {
        let url = format!("postgres://{user}@{host}/{database}?connections={CONNECTIONS}{keys}");
        for tasks in [1, 64] {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                ours.push(leasehold(&url, tasks, length).await);
                theirs.push(advisory(&by_hand, tasks, length).await);
            }
            let (ours, theirs) = (median(ours), median(theirs));
            println!(
                "{tasks:>2} tasks{keys}: leasehold {ours:.0} pairs/s, advisory locks {theirs:.0} pairs/s, {:.2} x",
                ours / theirs
            );
        }
    }
    let url = format!("postgres://{user}@{host}/{database}");
    let mut waits = Vec::new();
    for _ in 0..100 {
        waits.push(handover(&url).await.as_secs_f64() * 1e3);
    }
    println!("hand-over after release: median {:.2} ms", median(waits));
}

async fn open(url: &str) -> Arc<SqlEngine> {
    let options = EngineUrl::parse(url).and_then(SqlOptions::from_url);
    let engine = SqlEngine::connect(options.expect("a URL")).await;
    Arc::new(engine.expect("the server is there"))
}

fn ask(name: &str, queue: Option<Duration>) -> AcquireRequest {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("random numbers");
    AcquireRequest {
        name: LockName::new(name).expect("a name"),
        nonce: Nonce::from_bytes(bytes),
        owner: "pairs".into(),
        mode: Mode::Exclusive,
        ttl: Ttl::new(TTL).expect("a TTL"),
        grace: Duration::ZERO,
        lifetime: Lifetime::Detached,
        queue,
    }
}

async fn take(engine: &SqlEngine, request: &AcquireRequest) {
    loop {
        match engine.acquire(request).await.expect("the server is there") {
            Acquired::Granted(_) => return,
            Acquired::Queued(_) => engine.hint(&request.name, request.nonce).await,
            Acquired::Busy(_) => panic!("{} is busy", request.name),
        }
    }
}

/// Pairs a second on separate names.
async fn leasehold(url: &str, tasks: usize, length: Duration) -> f64 {
    let engine = open(url).await;
    let until = Instant::now() + length;
    let all = (0..tasks).map(|task| {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            let mut pairs = 0;
            while Instant::now() < until {
                let request = ask(&format!("pairs/{task}"), None);
                take(&engine, &request).await;
                let released = engine.release(&request.name, request.nonce).await;
                released.expect("the server is there");
                pairs += 1;
            }
            pairs
        })
    });
    sum(all.collect()).await / length.as_secs_f64()
}

/// The same with pg_advisory_lock. A session may have many at once.
async fn advisory(settings: &str, tasks: usize, length: Duration) -> f64 {
    let mut clients: Vec<Arc<Client>> = Vec::new();
    for _ in 0..CONNECTIONS.min(tasks) {
        let (client, connection) = tokio_postgres::connect(settings, NoTls)
            .await
            .expect("the server is there");
        tokio::spawn(async move { drop(connection.await) });
        clients.push(Arc::new(client));
    }
    let until = Instant::now() + length;
    let all = (0..tasks).map(|task| {
        let client = Arc::clone(&clients[task % clients.len()]);
        tokio::spawn(async move {
            let key = i64::try_from(task).expect("few tasks");
            let lock = client.prepare("SELECT pg_advisory_lock($1)").await;
            let unlock = client.prepare("SELECT pg_advisory_unlock($1)").await;
            let (lock, unlock) = (lock.expect("SQL"), unlock.expect("SQL"));
            let mut pairs = 0;
            while Instant::now() < until {
                client.query(&lock, &[&key]).await.expect("it is there");
                client.query(&unlock, &[&key]).await.expect("it is there");
                pairs += 1;
            }
            pairs
        })
    });
    sum(all.collect()).await / length.as_secs_f64()
}

/// How long after a release the next in line, another client, has the lock.
async fn handover(url: &str) -> Duration {
    let (holder, waiter) = (open(url).await, open(url).await);
    let held = ask("pairs/handover", None);
    take(&holder, &held).await;
    let next = ask("pairs/handover", Some(Duration::from_secs(60)));
    let queued = waiter.acquire(&next).await.expect("the server is there");
    assert!(matches!(queued, Acquired::Queued(_)));
    let waiting = tokio::spawn(async move {
        waiter.hint(&next.name, next.nonce).await;
        take(&waiter, &next).await;
        let at = Instant::now();
        let released = waiter.release(&next.name, next.nonce).await;
        released.expect("the server is there");
        at
    });
    let before = Instant::now();
    let released = holder.release(&held.name, held.nonce).await;
    released.expect("the server is there");
    waiting
        .await
        .expect("no panic")
        .saturating_duration_since(before)
}

async fn sum(all: Vec<tokio::task::JoinHandle<u32>>) -> f64 {
    let mut pairs = 0;
    for one in all {
        pairs += one.await.expect("no panic");
    }
    f64::from(pairs)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
