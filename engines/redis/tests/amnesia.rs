//! Servers that forget while clients are at work: no lock has two holders, no
//! token comes twice or late, and the rest goes on when a minority forgets.

#![allow(unused_crate_dependencies)]

mod support;

use std::time::{Duration, Instant};

use leasehold_core::{LockName, Nonce, Token};
use support::{Client, Deployment, History, Lease, Server, Traffic};

/// How long a node that forgot stays away at the least.
const KEYS: &str = "max_ttl=1s";

/// Lets clients work, does something to the servers, and waits until the clients
/// have gone on and all nodes vote.
fn among_traffic(nodes: usize, harm: impl FnOnce(&mut Traffic<Deployment>)) -> Traffic<Deployment> {
    let deployment = Deployment::of(nodes);
    deployment.first_use(KEYS);
    let url = deployment.url(KEYS);
    let mut traffic = Traffic::start(deployment, &url);
    harm(&mut traffic);
    traffic.goes_on();
    let all: Vec<_> = (0..nodes).collect();
    until_they_vote(&traffic.deployment, &all);
    traffic.goes_on();
    traffic
}

/// Waits until these nodes vote, as seen by a client of its own.
fn until_they_vote(deployment: &Deployment, nodes: &[usize]) {
    deployment.await_votes(&Client::open(&deployment.url(KEYS)), nodes);
}

/// A server that dies takes the answers with it that were under way, and a vote
/// from leases that had no more than a quorum. Each client has one of either.
#[track_caller]
fn only_answers_were_lost(traffic: Traffic<Deployment>, deaths: usize) {
    let failures = traffic.end();
    for error in &failures {
        assert!(error.may_be_held(), "a minority died, and: {error}");
    }
    assert!(failures.len() <= 10 * deaths, "{failures:?}");
}

#[test]
fn one_of_five_restarts_empty() {
    let harm = |traffic: &mut Traffic<Deployment>| traffic.deployment.servers[1].restart_empty();
    only_answers_were_lost(among_traffic(5, harm), 1);
}

#[test]
fn two_of_five_restart_empty_one_after_the_other() {
    let harm = |traffic: &mut Traffic<Deployment>| {
        for node in [0, 3] {
            traffic.deployment.servers[node].restart_empty();
            until_they_vote(&traffic.deployment, &[node]);
            traffic.goes_on();
        }
    };
    only_answers_were_lost(among_traffic(5, harm), 2);
}

#[test]
fn two_of_five_restart_empty_at_once() {
    let harm = |traffic: &mut Traffic<Deployment>| {
        traffic.deployment.servers[0].kill();
        traffic.deployment.servers[1].restart_empty();
        traffic.deployment.servers[0].start_again();
    };
    only_answers_were_lost(among_traffic(5, harm), 2);
}

#[test]
fn the_same_node_restarts_empty_again_and_again() {
    let harm = |traffic: &mut Traffic<Deployment>| {
        traffic.deployment.servers[2].restart_empty();
        traffic.goes_on();
        // While it is in quarantine, and right after it has come back.
        traffic.deployment.servers[2].restart_empty();
        until_they_vote(&traffic.deployment, &[2]);
        traffic.deployment.servers[2].restart_empty();
    };
    only_answers_were_lost(among_traffic(5, harm), 3);
}

#[test]
fn one_of_five_is_flushed() {
    let harm = |traffic: &mut Traffic<Deployment>| {
        traffic.deployment.servers[4].call::<()>(&["FLUSHALL"]);
    };
    among_traffic(5, harm).end_without_failures();
}

#[test]
fn one_of_five_restarts_from_an_old_rdb_file() {
    let harm = |traffic: &mut Traffic<Deployment>| {
        traffic.deployment.servers[1].call::<()>(&["SAVE"]);
        traffic.goes_on();
        traffic.deployment.servers[1].restart();
    };
    only_answers_were_lost(among_traffic(5, harm), 1);
}

#[test]
fn all_restart_from_old_rdb_files() {
    let mut before = Token::NONE;
    let harm = |traffic: &mut Traffic<Deployment>| {
        for server in &traffic.deployment.servers {
            server.call::<()>(&["SAVE"]);
        }
        traffic.goes_on();
        traffic.deployment.servers.iter_mut().for_each(Server::kill);
        before = traffic.greatest();
        for server in &mut traffic.deployment.servers {
            server.start_again();
        }
    };
    let traffic = among_traffic(3, harm);
    assert!(traffic.greatest() > before);
    traffic.end();
}

#[test]
fn all_restart_empty() {
    for nodes in [1, 3, 5] {
        let mut before = Token::NONE;
        let harm = |traffic: &mut Traffic<Deployment>| {
            traffic.deployment.servers.iter_mut().for_each(Server::kill);
            before = traffic.greatest();
            for server in &mut traffic.deployment.servers {
                server.restart_empty();
            }
        };
        let traffic = among_traffic(nodes, harm);
        assert!(traffic.greatest() > before, "{nodes} nodes");
        traffic.end();
    }
}

#[test]
fn all_are_flushed() {
    for nodes in [1, 3] {
        let harm = |traffic: &mut Traffic<Deployment>| {
            for server in &traffic.deployment.servers {
                server.call::<()>(&["FLUSHALL"]);
            }
        };
        among_traffic(nodes, harm).end();
    }
}

#[test]
fn one_of_five_loses_its_scripts() {
    let harm = |traffic: &mut Traffic<Deployment>| {
        traffic.deployment.servers[0].call::<()>(&["SCRIPT", "FLUSH"]);
    };
    among_traffic(5, harm).end_without_failures();
}

/// The record says that nothing else was lost, so nobody waits out a quarantine
/// or begins an era.
#[test]
fn all_lose_their_scripts() {
    for nodes in [1, 3] {
        let mut before = Token::NONE;
        let harm = |traffic: &mut Traffic<Deployment>| {
            before = traffic.greatest();
            for server in &traffic.deployment.servers {
                server.call::<()>(&["SCRIPT", "FLUSH"]);
            }
        };
        let traffic = among_traffic(nodes, harm);
        // Some thousands of leases at the most, where an era is millions.
        let after = traffic.greatest().get();
        assert!(after - before.get() < 1 << 16, "{before} and then {after}");
        traffic.end_without_failures();
    }
}

/// A lease with a TTL of 100 ms, asked for so many milliseconds after `start` and
/// granted within one.
fn lease(start: Instant, sent: u64, token: u64) -> Lease {
    let at = start + Duration::from_millis(sent);
    Lease {
        name: LockName::new("a").unwrap(),
        nonce: Nonce::from_bytes([0; 16]),
        token: Token::new(token).unwrap(),
        sent: at,
        granted: at + Duration::from_millis(1),
        deadline: at + Duration::from_millis(100),
    }
}

fn history(leases: &[(u64, u64)]) -> History {
    let (start, mut history) = (Instant::now(), History::default());
    for &(sent, token) in leases {
        let lease = lease(start, sent, token);
        history.add(&lease, lease.deadline);
    }
    history
}

#[test]
fn a_good_history_is_accepted() {
    history(&[(200, 7), (0, 5), (100, 6)]).check();
}

#[test]
#[should_panic(expected = "token 6 was granted 1ms before token 5 was over")]
fn two_holders_at_once_are_noticed() {
    history(&[(0, 5), (98, 6)]).check();
}

#[test]
#[should_panic(expected = "token 5 was granted after token 6")]
fn a_smaller_token_later_is_noticed() {
    history(&[(0, 6), (100, 5)]).check();
}

#[test]
#[should_panic(expected = "token 5 was granted after token 5")]
fn a_token_that_comes_again_is_noticed() {
    history(&[(0, 5), (100, 5)]).check();
}
