//! What may happen to a server and to the way there: nobody has a lock that another
//! has, no token comes twice, and everybody goes on afterwards.

#![allow(unused_crate_dependencies)]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use leasehold_core::{Extended, Released, Wakeup};
use support::{Client, Proxy, Server, Traffic, says, until};

const KEYS: &str = "timeout=5s";
const TTL: Duration = Duration::from_secs(2);
/// So long that it ends with the test.
const LONG: Duration = Duration::from_secs(600);

#[test]
fn killed_and_started_again_it_has_forgotten_nothing() {
    let mut server = Server::start(&[]);
    let traffic = Traffic::start(&server.url(KEYS));
    let holder = Client::open(&server.url(KEYS));
    let held = holder.take("held", LONG);
    for _ in 0..3 {
        server.restart();
        traffic.goes_on();
    }
    let other = Client::open(&server.url(KEYS));
    let busy = other.try_take("held", TTL).expect("the server is there");
    assert!(busy.is_none(), "a lease was forgotten");
    assert_eq!(
        holder.extend(&held, LONG).expect("the server is there"),
        Extended::Extended
    );
    assert_eq!(
        holder.give_back(&held).expect("the server is there"),
        Released::Released
    );
    let failures = traffic.end();
    assert!(!failures.is_empty(), "nobody noticed");
}

#[test]
fn killed_with_commits_that_are_not_waited_for_it_has_forgotten_nothing() {
    let mut server = Server::start(&["synchronous_commit = off", "wal_writer_delay = 10s"]);
    let client = Client::open(&server.url(KEYS));
    let lease = client.take("a", LONG);
    server.restart();
    let other = Client::open(&server.url(KEYS));
    let busy = other.try_take("a", TTL).expect("the server is there");
    assert!(busy.is_none(), "a lease was forgotten");
    assert_eq!(other.inspect("a").token, lease.token);
}

#[test]
fn frozen_for_longer_than_every_ttl() {
    let server = Server::start(&[]);
    let traffic = Traffic::start(&server.url(KEYS));
    let holder = Client::open(&server.url(KEYS));
    let held = holder.take("held", TTL);
    server.freeze();
    let error = holder.extend(&held, TTL).expect_err("nobody answers");
    assert!(error.may_be_held(), "{error}");
    thread::sleep((held.sent + TTL * 2).saturating_duration_since(Instant::now()));
    server.thaw();
    traffic.goes_on();
    let other = Client::open(&server.url(KEYS));
    let next = other.turn("held", TTL).expect("the server is there");
    assert!(next.token > held.token);
    assert_eq!(
        holder.extend(&held, TTL).expect("the server is there"),
        Extended::Lost
    );
    assert_eq!(
        holder.give_back(&held).expect("the server is there"),
        Released::AlreadyLost
    );
    traffic.end();
}

#[test]
fn a_connection_that_swallows_everything_is_replaced() {
    let server = Server::start(&[]);
    let mut proxy = Proxy::to(server.port());
    let through = support::url_of(&proxy.host(), KEYS);
    let client = Client::open(&through);
    let lease = client.take("a", TTL);
    proxy.swallow();
    let error = client
        .extend(&lease, TTL)
        .expect_err("nothing comes through");
    assert!(error.may_be_held(), "{error}");
    let error = client
        .try_take("b", TTL)
        .expect_err("nothing comes through");
    says(&error, &[&proxy.host()]);
    // Others go on, and have the lock when its TTL is over.
    let other = Client::open(&server.url(KEYS));
    let next = other.turn("a", TTL).expect("the server is there");
    assert!(next.token > lease.token);
    assert!(lease.sent.elapsed() >= TTL);
    proxy.pass();
    until("the client is back", || client.try_take("c", TTL).is_ok());
    assert_eq!(
        client.extend(&lease, TTL).expect("the server is there"),
        Extended::Lost
    );
    other.give_back(&next).expect("the server is there");
    // What was swallowed came late, and must not have come to anything.
    let b = other.turn("b", TTL).expect("the server is there");
    assert!(b.token > next.token || b.name != next.name);
}

#[test]
fn sessions_that_an_administrator_ends_are_replaced() {
    let server = Server::start(&[]);
    let traffic = Traffic::start(&server.url(KEYS));
    for _ in 0..5 {
        server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'leasehold'");
        traffic.goes_on();
    }
    traffic.end();
}

#[test]
fn a_waiter_whose_ear_was_cut_off_is_woken_all_the_same() {
    let server = Server::start(&[]);
    let holder = Client::open(&server.url(KEYS));
    let waiter = Client::open(&server.url(KEYS));
    assert_eq!(waiter.capabilities().wakeup, Wakeup::Pushed);
    let held = holder.take("a", LONG);
    let patient = thread::scope(|scope| {
        // It asks by itself only every ten minutes.
        let waiting = scope.spawn(|| waiter.patient_turn("a", TTL, LONG));
        until("it waits", || holder.inspect("a").waiters.len() == 1);
        let listening =
            "FROM pg_stat_activity WHERE application_name = 'leasehold' AND query LIKE 'LISTEN%'";
        let ears = server.sql(&format!("SELECT pid {listening}"));
        server.sql(&format!("SELECT pg_terminate_backend(pid) {listening}"));
        until("they listen again", || {
            let now = server.sql(&format!("SELECT pid {listening}"));
            now.len() == ears.len() && now.iter().all(|ear| !ears.contains(ear))
        });
        holder.give_back(&held).expect("the server is there");
        waiting.join().expect("the waiter does not panic")
    });
    assert!(patient.token > held.token);
}
