//! One server of five that does not answer, in three ways: locks are taken and
//! given back as before, and the server is used again after its return.

#![allow(unused_crate_dependencies)]

mod support;

use std::time::Duration;

use leasehold_core::Released;
use support::{Client, Deployment, Proxy, url};

const KEYS: &str = "max_ttl=5s";
const TTL: Duration = Duration::from_secs(2);
/// The server that misbehaves.
const BAD: usize = 2;
const ALL: [usize; 5] = [0, 1, 2, 3, 4];

/// Five servers that vote.
fn five() -> Deployment {
    let deployment = Deployment::of(5);
    deployment.first_use(KEYS);
    deployment
}

/// A client that has found all five.
fn client(deployment: &Deployment) -> Client {
    let client = Client::open(&deployment.url(KEYS));
    deployment.await_votes(&client, &ALL);
    client
}

/// A client that reaches the bad one through a proxy.
fn proxied(deployment: &Deployment) -> (Client, Proxy) {
    let proxy = Proxy::to(deployment.servers[BAD].port());
    let mut hosts: Vec<_> = deployment.servers.iter().map(|s| s.host()).collect();
    hosts[BAD] = proxy.host();
    let client = Client::open(&url(&hosts, KEYS));
    deployment.await_votes(&client, &ALL);
    (client, proxy)
}

/// Takes and gives back locks, each of which must work at the first attempt.
fn pairs(client: &Client) {
    for number in 0..50 {
        let lease = client.take(&format!("name-{number}"), TTL);
        let released = client.give_back(&lease).expect("a quorum is there");
        assert_eq!(released, Released::Released);
    }
}

#[test]
fn a_frozen_server_does_not_stop_anybody() {
    let deployment = five();
    let client = client(&deployment);
    let held = client.take("held", TTL);
    deployment.servers[BAD].freeze();
    pairs(&client);
    client.extend(&held, TTL).expect("a quorum is there");
    deployment.servers[BAD].thaw();
    deployment.await_votes(&client, &ALL);
    // What it was sent while it stood still must not have come to anything now.
    let lease = client.take("name-0", TTL);
    client.give_back(&lease).expect("all are there");
}

#[test]
fn a_swallowing_network_does_not_stop_anybody() {
    let deployment = five();
    let (client, mut proxy) = proxied(&deployment);
    proxy.swallow();
    pairs(&client);
    proxy.pass();
    deployment.await_votes(&client, &ALL);
    pairs(&client);
}

#[test]
fn a_server_that_refuses_connections_does_not_stop_anybody() {
    let deployment = five();
    let (client, mut proxy) = proxied(&deployment);
    proxy.refuse();
    pairs(&client);
    proxy.pass();
    deployment.await_votes(&client, &ALL);
    pairs(&client);
}

#[test]
fn a_client_can_start_while_a_server_is_frozen() {
    let deployment = five();
    deployment.servers[BAD].freeze();
    let client = Client::open(&deployment.url(KEYS));
    pairs(&client);
    deployment.servers[BAD].thaw();
    deployment.await_votes(&client, &ALL);
}

#[test]
fn a_client_can_start_while_two_servers_are_dead() {
    let mut deployment = five();
    deployment.servers[0].kill();
    deployment.servers[4].kill();
    let client = Client::open(&deployment.url(KEYS));
    pairs(&client);
    deployment.servers[0].start_again();
    deployment.servers[4].start_again();
    deployment.await_votes(&client, &ALL);
}

/// The other three cannot decide alone, and the two that work keep nothing.
#[test]
fn without_a_quorum_nothing_is_granted_or_left() {
    let mut deployment = five();
    let client = client(&deployment);
    for node in [0, 1, 2] {
        deployment.servers[node].kill();
    }
    let error = client.try_take("a", TTL).expect_err("two of five are left");
    let text = error.to_string();
    let dead = deployment.servers[0].host();
    assert!(text.contains(&dead), "it names no node: {text}");
    support::until("nothing is left behind", || {
        !deployment.servers[3].has("a") && !deployment.servers[4].has("a")
    });
}
