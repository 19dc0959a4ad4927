//! A Redis Cluster as operators meet it: seeds that are down, what they may get wrong,
//! TLS and few rights, and what `leasehold doctor` says.

#![allow(unused_crate_dependencies)]

mod support;

use std::time::Duration;

use leasehold_core::{EngineUrl, Finding, Severity};
use support::{Client, Cluster, Server, error_of, refusal_of, tls, until};

const KEYS: &str = "max_ttl=1s&timeout=500ms";
const TTL: Duration = Duration::from_millis(900);

#[test]
fn seeds_that_are_down_cost_nothing_but_time() {
    let mut cluster = Cluster::with_replicas();
    let url = cluster.url(&format!("{KEYS}&fresh=yes"));
    let gone = support::free_port();
    let url = url.replace(
        "redis+cluster://",
        &format!("redis+cluster://127.0.0.1:{gone},"),
    );
    // One seed is a replica, too.
    cluster.servers[5].kill();
    let client = Client::open(&url);
    let lease = client.take("a", TTL);
    client.give_back(&lease).expect("the master is there");
}

#[test]
fn seeds_that_are_all_down_are_named() {
    let (one, two) = (support::free_port(), support::free_port());
    let url = format!("redis+cluster://127.0.0.1:{one},127.0.0.1:{two}?{KEYS}");
    let error = refusal_of(&url).to_string();
    for port in [one, two] {
        assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
    }
}

#[test]
fn a_server_of_no_cluster_is_named() {
    let server = Server::start(&[]);
    let error = refusal_of(&format!("redis+cluster://{}?{KEYS}", server.host())).to_string();
    assert!(error.contains("no member of a Redis Cluster"), "{error}");
    assert!(
        error.contains(&server.host()) && error.contains("redis://"),
        "{error}"
    );
    assert_eq!(server.keys(), Vec::<String>::new());
}

#[test]
fn a_member_of_a_cluster_is_no_independent_server() {
    let cluster = Cluster::start();
    let url = format!("redis://{}?{KEYS}", cluster.servers[0].host());
    let error = error_of(&url, "a", TTL).to_string();
    assert!(error.contains("redis+cluster://"), "{error}");
    assert_eq!(cluster.servers[0].keys(), Vec::<String>::new());
}

#[test]
fn a_slot_that_nobody_serves_is_named() {
    let cluster = Cluster::with(&["cluster-require-full-coverage no"], false);
    let url = cluster.url(&format!("{KEYS}&fresh=yes"));
    let slot = cluster.slot_of("x").to_string();
    for server in &cluster.servers {
        // Each forgets it for itself, the one that serves it as well.
        server.call::<()>(&["CLUSTER", "DELSLOTS", &slot]);
    }
    let client = Client::open(&url);
    let mut said = String::new();
    until("it is noticed", || {
        let error = client.try_take("x", TTL).expect_err("nobody serves it");
        assert!(!error.may_be_held(), "{error}");
        said = error.to_string();
        said.contains(&slot) || said.contains("CLUSTERDOWN")
    });
    assert!(said.contains("CLUSTER NODES"), "{said}");
    let elsewhere = (0..3).map(|master| cluster.name_on(master, "other-"));
    for name in elsewhere {
        client.take(&name, TTL);
    }
}

#[test]
fn names_without_a_slot_of_their_own_are_refused() {
    let cluster = Cluster::start();
    let client = Client::open(&cluster.url(&format!("{KEYS}&fresh=yes")));
    let error = client
        .try_take("a}b", TTL)
        .expect_err("its keys are in several slots");
    assert!(error.to_string().contains("hash tag"), "{error}");
    client.take("{a}b", TTL);
}

#[test]
fn over_tls_as_a_user_of_few_rights() {
    let user = support::documented_user("cluster");
    let cluster = Cluster::with(&[&user], true);
    let (ca, cert, key) = (
        tls::file("ca.pem"),
        tls::file("client.pem"),
        tls::file("client.key"),
    );
    let keys = format!("{KEYS}&fresh=yes&prefix=app:&ca={ca}&cert={cert}&key={key}");
    let url = format!(
        "rediss+cluster://locks:password@{}?{keys}",
        cluster.tls_hosts()
    );
    let client = Client::open(&url);
    for number in 0..9 {
        let lease = client.take(&number.to_string(), TTL);
        client.give_back(&lease).expect("the master is there");
    }
    let wrong = url.replace("password", "pass");
    let error = error_of(&wrong, "a", TTL).to_string();
    assert!(error.contains("user:password@"), "{error}");
}

/// What `leasehold doctor` finds, as "severity check" for each finding.
fn diagnosed(url: &str) -> Vec<String> {
    let url = EngineUrl::parse(url).expect("a URL");
    let found = pollster::block_on(leasehold_redis::diagnose(url, Duration::from_secs(30)));
    let found = found.expect("it can look");
    for finding in &found {
        let is_said = finding.severity == Severity::Ok || !finding.meaning.is_empty();
        assert!(is_said || finding.remedy.is_some(), "{finding:?}");
    }
    let word = |finding: &Finding| format!("{:?} {}", finding.severity, finding.check);
    found.iter().map(word).collect()
}

#[test]
fn doctor_looks_at_a_cluster() {
    let cluster = Cluster::with_replicas();
    let url = cluster.url("max_ttl=60s&timeout=2s");
    let found = diagnosed(&url);
    for wanted in ["Ok slots", "Ok state", "Ok node-timeout", "Note memory"] {
        assert!(
            found.iter().any(|one| one == wanted),
            "no {wanted} in {found:?}"
        );
    }
    let masters = found.iter().filter(|one| *one == "Ok role").count();
    assert_eq!(masters, 3, "{found:?}");
    assert!(
        found.iter().all(|one| !one.starts_with("Error")),
        "{found:?}"
    );
    for server in &cluster.servers {
        assert_eq!(server.keys(), Vec::<String>::new(), "left behind");
    }
    // A Cluster does not tell of replicas to which nothing was ever written.
    for master in 0..3 {
        let key = cluster.name_on(master, "any-");
        cluster.servers[master].call::<()>(&["SET", &key, "1"]);
    }
    until("the replicas are told of", || {
        let found = diagnosed(&url);
        ["Note replicas", "Note min-replicas"]
            .iter()
            .all(|wanted| found.iter().any(|one| one == wanted))
    });

    // Leases that do not outlast a failover.
    let short = diagnosed(&cluster.url("max_ttl=500ms&timeout=2s"));
    assert!(
        short.iter().any(|one| one == "Warning node-timeout"),
        "{short:?}"
    );

    let url = cluster.url("max_ttl=100ms&timeout=2s");
    let client = Client::open(&url);
    until("all masters were seen for long enough", || {
        let found = diagnosed(&url);
        found.iter().filter(|one| *one == "Ok memory").count() == 3
    });
    drop(client);
}

#[test]
fn doctor_tells_of_slots_that_nobody_serves_and_of_masters_alone() {
    let cluster = Cluster::with(&["cluster-require-full-coverage no"], false);
    for server in &cluster.servers {
        server.call::<()>(&["CLUSTER", "DELSLOTS", "0"]);
    }
    let found = diagnosed(&cluster.url("max_ttl=60s&timeout=2s"));
    for wanted in ["Error slots", "Warning replicas"] {
        assert!(
            found.iter().any(|one| one == wanted),
            "no {wanted} in {found:?}"
        );
    }
    let wrong = diagnosed("redis+cluster://127.0.0.1:1?timeout=500ms");
    assert_eq!(wrong, ["Error reach"]);
    let plain = cluster.url("timeout=2s").replace("redis+cluster", "redis");
    let found = diagnosed(&plain);
    assert!(found.iter().any(|one| one == "Error role"), "{found:?}");
}
