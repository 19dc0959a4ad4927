//! What many tasks of one client ask in the same moment: it goes to a server in few
//! calls, and nobody suffers for what another asks.

#![allow(unused_crate_dependencies)]

mod support;

use std::pin::Pin;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use leasehold_core::{AcquireRequest, Acquired, BoxFuture, Engine, Error, Released};
use leasehold_redis::RedisEngine;
use support::{Client, Server, ask, open, until, url, wait};

const KEYS: &str = "max_ttl=5s&fresh=yes&timeout=2s";
const TTL: Duration = Duration::from_secs(4);
const MANY: usize = 60;

fn requests(names: &[String]) -> Vec<AcquireRequest> {
    names.iter().map(|name| ask(name, TTL)).collect()
}

fn names() -> Vec<String> {
    (0..MANY).map(|number| format!("app:{number}")).collect()
}

/// Begins with all of these while the server stands still, so that they are there at
/// once, and waits for all.
fn at_once<T>(server: &Server, mut all: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    server.freeze();
    for one in &mut all {
        let context = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(one).poll(context).is_pending());
    }
    // Until what can be sent was sent; if it was not, more goes in one call.
    thread::sleep(Duration::from_millis(5));
    server.thaw();
    all.into_iter().map(wait).collect()
}

fn take_all(
    server: &Server,
    engine: &RedisEngine,
    requests: &[AcquireRequest],
) -> Vec<Result<Acquired, Error>> {
    let all = requests.iter().map(|request| engine.acquire(request));
    at_once(server, all.collect())
}

fn give_all(
    server: &Server,
    engine: &RedisEngine,
    requests: &[AcquireRequest],
) -> Vec<Result<Released, Error>> {
    let all = requests
        .iter()
        .map(|request| engine.release(&request.name, request.nonce));
    at_once(server, all.collect())
}

/// How many scripts the server was asked to run.
fn calls(server: &Server) -> u64 {
    let said: String = server.call(&["INFO", "commandstats"]);
    let mut lines = said.lines();
    let rest = lines.find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    let count = rest.and_then(|rest| rest.split(',').next());
    count.expect("scripts were run").parse().unwrap()
}

fn is_granted(said: &Result<Acquired, Error>) -> bool {
    matches!(said, Ok(Acquired::Granted(_)))
}

fn is_released(said: &Result<Released, Error>) -> bool {
    matches!(said, Ok(Released::Released))
}

#[test]
fn what_is_asked_at_once_takes_few_calls() {
    let server = Server::start(&[]);
    let engine = open(&url(&[server.host()], KEYS));
    let requests = requests(&names());
    let before = calls(&server);
    assert!(take_all(&server, &engine, &requests).iter().all(is_granted));
    for request in &requests {
        assert!(server.has(request.name.as_str()));
    }
    let released = give_all(&server, &engine, &requests);
    assert!(released.iter().all(is_released));
    assert!(!server.keys().iter().any(|key| key.contains("app:")));
    // Two alone each time before others are kept back; names may share a counter.
    let made = calls(&server) - before;
    assert!(made < MANY as u64 / 2, "{made} calls for {MANY} pairs");
}

#[test]
fn one_in_the_way_is_no_harm_to_the_others() {
    let server = Server::start(&[]);
    let engine = open(&url(&[server.host()], KEYS));
    let _: () = server.call(&["HSET", "app:7", "field", "value"]);
    let _: () = server.call(&["SET", "app:9", "somebody", "PX", "60000"]);
    let requests = requests(&names());
    let said = take_all(&server, &engine, &requests);
    for (said, request) in said.iter().zip(&requests) {
        match request.name.as_str() {
            "app:7" => assert!(said.is_err(), "{said:?}"),
            "app:9" => assert!(matches!(said, Ok(Acquired::Busy(_))), "{said:?}"),
            _ => assert!(is_granted(said), "{said:?}"),
        }
    }
    let released = give_all(&server, &engine, &requests);
    for (said, request) in released.iter().zip(&requests) {
        match request.name.as_str() {
            "app:7" => {}
            "app:9" => assert!(matches!(said, Ok(Released::AlreadyLost)), "{said:?}"),
            _ => assert!(is_released(said), "{said:?}"),
        }
    }
    let left = server.keys();
    let mut left: Vec<_> = left.iter().filter(|key| key.contains("app:")).collect();
    left.sort();
    assert_eq!(left, ["app:7", "app:9"]);
}

#[test]
fn one_that_is_forbidden_is_no_harm_to_the_others() {
    let server = Server::start(&["user app on >right ~app:* ~leasehold:* &* +@all"]);
    let engine = open(&format!("redis://app:right@{}?{KEYS}", server.host()));
    let mut names = names();
    names[MANY / 2] = "other".to_owned();
    let requests = requests(&names);
    let said = take_all(&server, &engine, &requests);
    for (said, request) in said.iter().zip(&requests) {
        let forbidden = request.name.as_str() == "other";
        assert_eq!(is_granted(said), !forbidden, "{said:?}");
    }
}

/// Those who go away before they are answered leave nothing, and those who stay do not
/// notice.
#[test]
fn whoever_goes_away_leaves_nothing() {
    let server = Server::start(&[]);
    let engine = open(&url(&[server.host()], KEYS));
    let requests = requests(&names());
    server.freeze();
    let mut staying = Vec::new();
    for (number, request) in requests.iter().enumerate() {
        let mut one = engine.acquire(request);
        let context = &mut Context::from_waker(Waker::noop());
        assert!(one.as_mut().poll(context).is_pending());
        if number % 2 == 0 {
            staying.push(one);
        }
    }
    server.thaw();
    for one in staying {
        assert!(is_granted(&wait(one)));
    }
    until("nothing is left of those who went", || {
        let locks = server.keys();
        locks.iter().filter(|key| key.starts_with("app:")).count() == MANY / 2
    });
    let other = Client::open(&url(&[server.host()], KEYS));
    for request in requests.iter().skip(1).step_by(2) {
        other.take(request.name.as_str(), TTL);
    }
}

/// The requests of one nonce are carried out in the order of the calls.
#[test]
fn a_release_asked_for_behind_an_acquire_ends_it() {
    let server = Server::start(&[]);
    let engine = open(&url(&[server.host()], KEYS));
    let requests = requests(&names());
    let mut all: Vec<BoxFuture<'_, bool>> = Vec::new();
    for request in &requests {
        all.push(Box::pin(async {
            is_granted(&engine.acquire(request).await)
        }));
        all.push(Box::pin(async {
            is_released(&engine.release(&request.name, request.nonce).await)
        }));
    }
    assert!(at_once(&server, all).into_iter().all(|fine| fine));
    assert!(!server.keys().iter().any(|key| key.contains("app:")));
}
