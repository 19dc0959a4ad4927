//! Nodes that are whatever master Sentinel names: failovers to replicas that lag,
//! among clients at work, and what an operator may get wrong.

#![allow(unused_crate_dependencies)]

mod support;

use std::time::{Duration, Instant};

use support::{Client, Server, Traffic, Watched, error_of, role, tls, until};

const KEYS: &str = "max_ttl=1s&timeout=500ms";
const TTL: Duration = Duration::from_millis(900);
/// A key that the replica cannot have if it lags.
const MARK: &str = "written-after-the-replica-stood-still";

/// Groups at work: the first with a replica, so many others without.
fn at_work(others: usize) -> Traffic<Watched> {
    let mut replicas = vec![false; others + 1];
    replicas[0] = true;
    let watched = Watched::start(&replicas);
    watched.await_readiness();
    // As an operator does at the first installation.
    let first = Client::open(&watched.url(&format!("{KEYS}&fresh=yes")));
    until("the locks work", || {
        let lease = first.try_take("first", TTL);
        lease.is_ok_and(|lease| lease.is_some_and(|lease| first.give_back(&lease).is_ok()))
    });
    let url = watched.url(KEYS);
    Traffic::start(watched, &url)
}

/// Lets the replica fall behind: it stands still, and nothing more is sent to it.
fn hold_back_the_replica(traffic: &Traffic<Watched>) {
    let group = &traffic.deployment.groups[0];
    group.replica().freeze();
    // What was sent before waits in the replica's socket; what comes now is lost.
    group
        .master
        .call::<u64>(&["CLIENT", "KILL", "TYPE", "replica"]);
    group.master.call::<()>(&["SET", MARK, "yes"]);
    traffic.goes_on();
}

/// Waits until the replica has been promoted, without the last writes.
fn the_replica_takes_over(traffic: &Traffic<Watched>) {
    let watched = &traffic.deployment;
    let replica = watched.groups[0].replica();
    watched.await_master(0, replica);
    assert!(!replica.has(MARK), "the replica did not lag");
}

#[test]
fn a_master_dies_and_its_replica_lags() {
    let mut traffic = at_work(0);
    hold_back_the_replica(&traffic);
    traffic.deployment.groups[0].master.kill();
    let before = traffic.greatest();
    traffic.deployment.groups[0].replica().thaw();
    the_replica_takes_over(&traffic);
    traffic.goes_on();
    assert!(traffic.greatest() > before);
    // It comes back empty, calls itself a master, and is made a replica.
    traffic.deployment.groups[0].master.start_again();
    until("the old master follows", || {
        role(&traffic.deployment.groups[0].master) == "slave"
    });
    traffic.goes_on();
    traffic.end();
}

#[test]
fn a_master_stands_still_and_comes_back_after_the_failover() {
    let traffic = at_work(0);
    hold_back_the_replica(&traffic);
    let group = &traffic.deployment.groups[0];
    group.master.freeze();
    let before = traffic.greatest();
    group.replica().thaw();
    the_replica_takes_over(&traffic);
    traffic.goes_on();
    assert!(traffic.greatest() > before);
    group.master.thaw();
    until("the old master follows", || role(&group.master) == "slave");
    traffic.goes_on();
    traffic.end();
}

/// Everything over TLS, with certificates on both sides: the sentinels, the masters,
/// and what they say to each other.
#[test]
fn over_tls_with_a_failover() {
    let mut watched = Watched::with_tls();
    watched.await_readiness();
    let (ca, cert) = (tls::file("ca.pem"), tls::file("client.pem"));
    let keys = format!("{KEYS}&ca={ca}&cert={cert}&key={}", tls::file("client.key"));
    let url = watched.url(&keys);
    let client = Client::open(&format!("{url}&fresh=yes"));
    let before = client.take("a", TTL);
    client.give_back(&before).expect("the master is there");
    watched.groups[0].master.kill();
    watched.await_master(0, watched.groups[0].replica());
    until(
        "the lock can be had on the new master",
        || matches!(client.try_take("a", TTL), Ok(Some(lease)) if lease.token > before.token),
    );
    assert!(watched.groups[0].replica().has("leasehold:node"));
    // Neither by a sentinel without a certificate, nor by one nobody vouches for.
    for wrong in [
        watched.url(&format!("{KEYS}&ca={ca}")),
        url.replace("/ca.pem", "/other-ca.pem"),
    ] {
        let text = error_of(&wrong, "a", TTL).to_string();
        assert!(text.contains("sentinel 127.0.0.1:"), "{text}");
    }
}

/// The other two groups decide meanwhile.
#[test]
fn one_master_of_three_dies_and_its_replica_lags() {
    let mut traffic = at_work(2);
    hold_back_the_replica(&traffic);
    traffic.deployment.groups[0].master.kill();
    traffic.deployment.groups[0].replica().thaw();
    the_replica_takes_over(&traffic);
    until("the promoted replica votes", || {
        let locks = traffic.deployment.groups[0].replica();
        ["a", "b", "long"].iter().any(|name| locks.has(name))
    });
    traffic.goes_on();
    // Its dying takes answers with it, and a vote from leases with no more than
    // a quorum.
    for error in traffic.end() {
        assert!(error.may_be_held(), "a minority died, and: {error}");
    }
}

#[test]
fn two_of_three_sentinels_out_of_order_cost_nothing_but_time() {
    let mut watched = Watched::start(&[false]);
    watched.sentinels[0].kill();
    watched.sentinels[1].freeze();
    let client = Client::open(&watched.url("max_ttl=1s&fresh=yes"));
    let lease = client.take("a", TTL);
    assert!(watched.groups[0].master.has("a"));
    client.give_back(&lease).expect("the master is there");
}

#[test]
fn sentinels_with_a_password_of_their_own() {
    let watched = Watched::with(&[false], &["requirepass watchword"]);
    let url = watched.url("max_ttl=1s&fresh=yes&sentinel_password=watchword");
    Client::open(&url).take("a", TTL);
    let wrong = watched.url("max_ttl=1s&fresh=yes&sentinel_password=another");
    let text = error_of(&wrong, "a", TTL).to_string();
    assert!(text.contains("sentinel_password="), "{text}");
    assert!(text.contains(&watched.sentinels[0].host()), "{text}");
}

#[test]
fn a_group_that_nobody_watches_is_named() {
    let watched = Watched::start(&[false]);
    let host = watched.sentinels[0].host();
    let url = format!("redis+sentinel://{host}/elsewhere?{KEYS}");
    let text = error_of(&url, "a", TTL).to_string();
    assert!(text.contains("elsewhere") && text.contains(&host), "{text}");
    assert!(text.contains("SENTINEL MASTERS"), "{text}");
}

#[test]
fn a_server_that_is_no_sentinel_is_named() {
    let server = Server::start(&[]);
    let url = format!("redis+sentinel://{}/group?{KEYS}", server.host());
    let text = error_of(&url, "a", TTL).to_string();
    assert!(text.contains(&server.host()), "{text}");
}

#[test]
fn sentinels_that_are_not_there_are_all_named() {
    let watched = Watched::start(&[false]);
    let (url, hosts) = (
        watched.url(KEYS),
        watched
            .sentinels
            .iter()
            .map(Server::host)
            .collect::<Vec<_>>(),
    );
    drop(watched);
    let text = error_of(&url, "a", TTL).to_string();
    assert!(hosts.iter().all(|host| text.contains(host)), "{text}");
}

/// Its record still has the run id of its process, but not the last grants.
#[test]
fn a_master_is_demoted_and_promoted_again_while_no_client_looks() {
    let watched = Watched::start(&[true]);
    watched.await_readiness();
    let group = &watched.groups[0];
    let url = watched.url("max_ttl=60s&timeout=500ms");
    let client = Client::open(&format!("{url}&fresh=yes"));
    let before = client.take("a", TTL);
    client.give_back(&before).expect("the master is there");
    until("the replica has the record", || {
        group.replica().has("leasehold:node")
    });
    group.replica().freeze();
    group
        .master
        .call::<u64>(&["CLIENT", "KILL", "TYPE", "replica"]);
    let held = client.take("a", Duration::from_secs(50));
    drop(client);

    group.master.freeze();
    group.replica().thaw();
    watched.await_master(0, group.replica());
    group.master.thaw();
    until("the old master follows", || role(&group.master) == "slave");
    until("it has what the new one has", || !group.master.has("a"));
    until("it is made the master again", || {
        redis::cmd("SENTINEL")
            .arg("FAILOVER")
            .arg(&group.name)
            .exec(&mut watched.sentinels[0].connect())
            .is_ok()
            || role(&group.master) == "master"
    });
    watched.await_master(0, &group.master);

    let taken = Client::open(&url).try_take("a", TTL);
    assert!(Instant::now() < held.deadline);
    assert!(
        !matches!(taken, Ok(Some(_))),
        "held as {}, and {taken:?}",
        held.token
    );
}
