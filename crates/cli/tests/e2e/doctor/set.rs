//! Sets of servers: how many, which, and what they remember.

use super::{Server, diagnose, join_all, servers, url};
use crate::support::say;

#[test]
fn three_fresh_servers_are_well_before_and_after_their_first_use() {
    let servers = servers(3);
    let url = url(&servers, "fresh=yes");
    diagnose(&url)
        .with_code(0)
        .worst("note")
        .finds("servers", "set", "ok", &["3 servers", "2 decide"])
        .finds("quorum", "set", "note", &["0 of 3", "new"])
        .finds("rights", &servers[1].host(), "ok", &[])
        .finds("memory", &servers[1].host(), "note", &["no record"])
        .finds(
            "persistence",
            &servers[1].host(),
            "note",
            &["keeps nothing"],
        );
    for server in &servers {
        assert_eq!(server.keys(), ":0", "the doctor left something behind");
    }
    join_all(&url);
    diagnose(&url)
        .with_code(0)
        .finds("quorum", "set", "ok", &["3 of 3"])
        .finds("clocks", "set", "ok", &["apart"])
        .finds("era", "set", "ok", &["era=auto"])
        .finds("fresh", "set", "note", &["take fresh=yes out"]);
}

#[test]
fn a_new_set_that_is_not_said_to_be_fresh_is_in_quarantine() {
    let servers = servers(1);
    diagnose(&url(&servers, "max_ttl=1h"))
        .with_code(1)
        .finds("quorum", "set", "warning", &["60m"])
        .finds("memory", &servers[0].host(), "warning", &["quarantine"])
        .finds("servers", "set", "note", &["1 server"]);
}

#[test]
fn people_read_it_by_node() {
    let servers = servers(2);
    let url = url(&servers, "fresh=yes");
    // The default engine is the configured one.
    let said = say(&["doctor", "--url", &url]).with_code(1);
    let lines: Vec<_> = said.out.lines().collect();
    for line in &lines {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for heading in ["All together", &servers[0].host(), &servers[1].host()] {
        assert!(lines.contains(&heading), "no {heading:?} in\n{}", said.out);
    }
    for words in [
        "warning servers",
        "ok      role",
        "-> use an odd number",
        "1 warning",
    ] {
        assert!(said.out.contains(words), "no {words:?} in\n{}", said.out);
    }
}

#[test]
fn an_even_number_is_no_better_than_one_less() {
    let servers = servers(4);
    diagnose(&url(&servers, "fresh=yes")).with_code(1).finds(
        "servers",
        "set",
        "warning",
        &["4 servers", "odd"],
    );
}

#[test]
fn one_server_under_two_names() {
    let servers = servers(2);
    let twice = format!("localhost:{}", servers[0].port());
    let hosts = [servers[0].host(), servers[1].host(), twice.clone()].join(",");
    diagnose(&format!("redis://{hosts}?fresh=yes"))
        .with_code(3)
        .finds(
            "duplicate",
            "set",
            "error",
            &[&servers[0].host(), &twice, "once"],
        );
}

#[test]
fn a_server_listed_twice_is_refused_and_looked_at() {
    let server = Server::start(&[]);
    let url = format!("redis://{0},{0}?fresh=yes", server.host());
    diagnose(&url)
        .with_code(3)
        .finds("url", "set", "error", &[&server.host(), "once"])
        .finds("role", &server.host(), "ok", &[]);
}

#[test]
fn a_replica_is_no_node() {
    let master = Server::start(&[]);
    let of = ["--replicaof", "127.0.0.1", &master.port().to_string()];
    let servers = [Server::start(&[]), Server::start(&of), master];
    diagnose(&url(&servers, "fresh=yes")).with_code(3).finds(
        "role",
        &servers[1].host(),
        "error",
        &["replica of", &servers[2].host()],
    );
}

#[test]
fn keys_that_may_be_evicted() {
    let limit = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let servers = [
        Server::start(&limit),
        Server::start(&limit[2..]),
        Server::start(&[]),
    ];
    diagnose(&url(&servers, "fresh=yes"))
        .with_code(3)
        .finds(
            "eviction",
            &servers[0].host(),
            "error",
            &["allkeys-lru", "noeviction"],
        )
        .finds(
            "eviction",
            &servers[1].host(),
            "warning",
            &["maxmemory is 0"],
        )
        .finds("eviction", &servers[2].host(), "ok", &[]);
}

#[test]
fn what_is_promised_of_the_disk_and_what_is_so() {
    let log = |fsync| ["--appendonly", "yes", "--appendfsync", fsync];
    let servers = [
        Server::start(&log("everysec")),
        Server::start(&log("always")),
        Server::start(&[]),
    ];
    diagnose(&url(&servers, "fresh=yes&durable=yes"))
        .with_code(3)
        .finds(
            "persistence",
            &servers[0].host(),
            "error",
            &["everysec", "durable=yes"],
        )
        .finds("persistence", &servers[1].host(), "ok", &["always"])
        .finds(
            "persistence",
            &servers[2].host(),
            "error",
            &["keeps nothing"],
        );
    diagnose(&url(&servers, "fresh=yes"))
        .with_code(0)
        .finds("persistence", &servers[0].host(), "note", &["everysec"])
        .finds(
            "persistence",
            &servers[1].host(),
            "note",
            &["say durable=yes"],
        );
}

#[test]
fn a_server_that_was_flushed_has_forgotten() {
    let servers = servers(3);
    let fresh = url(&servers, "fresh=yes&max_ttl=40s");
    join_all(&fresh);
    assert_eq!(servers[1].say("FLUSHALL"), "+OK");
    diagnose(&url(&servers, "max_ttl=40s"))
        .with_code(1)
        .finds(
            "memory",
            &servers[1].host(),
            "warning",
            &["FLUSHALL", "40s"],
        )
        .finds("quorum", "set", "ok", &["2 of 3"])
        .finds("spare", "set", "warning", &["0 more"]);
}

#[test]
fn an_operator_lets_a_new_era_begin() {
    let servers = servers(3);
    let manual = url(&servers, "era=manual&max_ttl=1s&timeout=250ms");
    let doctor = |word| say(&["doctor", word, "--ttl", "800ms", &manual]);
    diagnose(&manual)
        .with_code(3)
        .finds("quorum", "set", "error", &["--new-era", "era=manual"]);
    // Nothing was begun by looking.
    for server in &servers {
        assert_eq!(server.keys(), ":0");
    }
    let said = doctor("--new-era");
    assert!(said.err.contains("a majority votes"), "{said:?}");
    // A server that is not of that majority may still be about to join.
    assert!(matches!(said.code, Some(0 | 1)), "{said:?}");
    let short = ["--ttl", "500ms", "--grace", "200ms", "--url", &manual];
    say(&[&["run", "x"], &short[..], &["--", "true"]].concat()).with_code(0);
    // A second one would be for nothing.
    let said = doctor("--new-era");
    assert!(said.err.contains("no new era is needed"), "{said:?}");
}
