//! A standby that was behind when it was promoted: it has forgotten grants, and no
//! token comes twice all the same.

#![allow(unused_crate_dependencies)]

mod support;

use std::time::Duration;

use leasehold_core::{Extended, Token};
use support::{Client, Proxy, Server, error_of, says, until};

const KEYS: &str = "timeout=10s";
const TTL: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(600);

/// Takes and gives back a lock a few times; the last token.
fn used(client: &Client, name: &str) -> Token {
    let mut last = Token::NONE;
    for _ in 0..20 {
        let lease = client.turn(name, TTL).expect("the server is there");
        assert!(lease.token > last, "{name}: {} after {last}", lease.token);
        last = lease.token;
        client.give_back(&lease).expect("the server is there");
    }
    last
}

/// A standby whose connection to its primary can be cut.
fn standby(primary: &Server) -> (Proxy, Server) {
    let proxy = Proxy::to(primary.port());
    let standby = Server::standby_through(&proxy.host(), &[]);
    (proxy, standby)
}

fn caught_up(primary: &Server, standby: &Server) {
    let written = primary.sql("SELECT pg_current_wal_lsn()")[0][0].clone();
    until("the standby has everything", || {
        let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
        standby.sql(&sql)[0][0] == "t"
    });
}

#[test]
fn tokens_survive_the_loss_of_grants_in_two_failovers() {
    let mut first = Server::start(&[]);
    let (mut to_first, second) = standby(&first);
    let both = support::url_of(&format!("{},{}", first.host(), second.host()), KEYS);
    let client = Client::open(&both);
    let known = used(&client, "a");
    let held = client.take("held", LONG);
    caught_up(&first, &second);
    to_first.refuse();
    // What follows is lost: tokens of a known name, a name, and a release.
    let lost = used(&client, "a");
    assert!(lost > known);
    let lost_name = used(&client, "b");
    first.kill();
    second.sql("SELECT pg_promote()");
    until("the client is on the new server", || {
        client.try_take("c", TTL).is_ok()
    });
    let after = used(&client, "a");
    assert!(after > lost, "{after} after {lost}");
    let after_name = used(&client, "b");
    assert!(after_name > lost_name, "{after_name} after {lost_name}");
    // What the standby had heard of is held on.
    let other = Client::open(&both);
    let busy = other.try_take("held", TTL).expect("the server is there");
    assert!(busy.is_none(), "a lease was forgotten");
    let extended = client.extend(&held, LONG).expect("the server is there");
    assert_eq!(extended, Extended::Extended);
    client.give_back(&held).expect("the server is there");
    // Once more, by a client that has never seen the lost tokens.
    again(second, after.max(lost));
}

fn again(mut second: Server, last: Token) {
    let (mut to_second, third) = standby(&second);
    caught_up(&second, &third);
    to_second.refuse();
    let lost = used(&Client::open(&second.url(KEYS)), "a");
    assert!(lost > last);
    second.kill();
    third.sql("SELECT pg_promote()");
    let client = Client::open(&third.url(KEYS));
    assert!(used(&client, "a") > lost);
}

#[test]
fn what_a_dead_holder_had_is_free_after_a_ttl_on_the_new_server() {
    let mut first = Server::start(&[]);
    let (_to_first, second) = standby(&first);
    let both = support::url_of(&format!("{},{}", first.host(), second.host()), KEYS);
    let held = Client::open(&both).take("a", TTL * 4);
    caught_up(&first, &second);
    first.kill();
    second.sql("SELECT pg_promote()");
    let next = Client::open(&both)
        .turn("a", TTL)
        .expect("the server is there");
    assert!(next.token > held.token);
}

#[test]
fn a_standby_is_refused_and_named() {
    let first = Server::start(&[]);
    let (_to_first, second) = standby(&first);
    let error = error_of(&second.url(KEYS), "a", TTL);
    says(&error, &[&second.host(), "standby", "primary"]);
}
