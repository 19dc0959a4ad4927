//! Whether a server can be a node at all: version, role, rights, memory, distance.

use leasehold_core::{Finding, Promise, Severity};

use super::super::facts::{Info, Refusal};
use super::{Case, Node, spoken};

use Promise::{C1, C3, C5, C6};

/// The oldest version that the scripts run on.
const OLDEST: (u32, u32) = (6, 2);

pub(super) fn findings(case: &Case<'_>, node: Node<'_>) -> Vec<Finding> {
    let mut all = vec![distance(case, node)];
    match &node.facts.info {
        Some(info) => {
            all.push(server(node, info));
            all.push(role(case, node, info));
            all.push(eviction(node, info));
        }
        None => all.push(
            node.finding(Severity::Error, "server", "it does not answer INFO")
                .means(&[C1, C3], "without its run id, a loss of its memory would go unnoticed, so no client uses it")
                .remedy("grant the user +info"),
        ),
    }
    all.extend(rights(node));
    all
}

fn distance(case: &Case<'_>, node: Node<'_>) -> Finding {
    let round_trip = node.facts.round_trip;
    let said = format!("answers in {}", spoken(round_trip));
    let timeout = case.options.timeout;
    if round_trip >= timeout / 2 {
        return node
            .finding(
                Severity::Warning,
                Finding::REACH,
                format!("{said}, and the timeout is {}", spoken(timeout)),
            )
            .means(&[C5, C6], "answers that come late are taken for lost: outcomes are not known, and the vote is missing")
            .remedy("raise timeout= in the URL, or move the client and the server closer together");
    }
    if round_trip >= case.ttl / 10 {
        return node
            .finding(
                Severity::Warning,
                Finding::REACH,
                format!("{said}, and the TTL is {}", spoken(case.ttl)),
            )
            .means(
                &[C6],
                "much of each lease is gone when it begins, and a renewal may come too late",
            )
            .remedy("take leases with a longer TTL");
    }
    node.finding(Severity::Ok, Finding::REACH, said)
}

fn server(node: Node<'_>, info: &Info) -> Finding {
    let product = info.product();
    let Some(server) = &info.server else {
        return node
            .finding(
                Severity::Error,
                "server",
                format!("{product}; its INFO lacks the run id, role or uptime"),
            )
            .means(
                &[C1, C3],
                "a loss of its memory would go unnoticed, so no client uses it",
            )
            .remedy(
                "name a Redis or Valkey server, version 6.2 or later, with no proxy before it",
            );
    };
    let said = format!(
        "{product}, run id {}, up for {}",
        server.run_id,
        spoken(server.uptime)
    );
    match info.version() {
        Some(version) if version >= OLDEST => node.finding(Severity::Ok, "server", said),
        Some(_) => node
            .finding(Severity::Error, "server", said)
            .means(
                &[C1, C3],
                "Leasehold is not tested on it, and its scripts may fail there",
            )
            .remedy("use version 6.2 or later"),
        None => node
            .finding(Severity::Warning, "server", said)
            .means(&[], "whether it is 6.2 or later cannot be told")
            .remedy("check its version"),
    }
}

fn role(case: &Case<'_>, node: Node<'_>, info: &Info) -> Finding {
    if info.number("loading") == Some(1) {
        return node
            .finding(Severity::Error, "role", "it is still loading its data")
            .means(&[C6], "it does not vote until it is done")
            .remedy("wait until its data is loaded");
    }
    if info.get("role").is_some_and(|role| role != "master") {
        let master = info.get("master_host").unwrap_or("an unknown host");
        let port = info.get("master_port").unwrap_or("?");
        return node
            .finding(
                Severity::Error,
                "role",
                format!("it is a replica of {master}:{port}"),
            )
            .means(
                &[C1, C3],
                "it takes no lock; and counted beside its master it would be one vote twice",
            )
            .remedy("name the master; each node must be an independent server of its own");
    }
    let is_member = info.number("cluster_enabled") == Some(1);
    match (is_member, case.options.is_cluster()) {
        (true, true) => return node.finding(Severity::Ok, "role", "a master of the Cluster"),
        (true, false) => {
            return node
                .finding(Severity::Error, "role", "it is a member of a Redis Cluster")
                .means(
                    &[C1, C3],
                    "a lock's keys would lie on different servers, so no client uses it",
                )
                .remedy(
                    "write redis+cluster:// and any of its hosts, or name independent servers",
                );
        }
        (false, _) => {}
    }
    match info.number("connected_slaves") {
        Some(replicas @ 1..) => node
            .finding(Severity::Note, "role", format!("a master with {replicas} replicas"))
            .means(&[C6], "one that is promoted counts as a node that has forgotten: it waits out a quarantine before it votes"),
        _ => node.finding(Severity::Ok, "role", "a master of its own"),
    }
}

fn eviction(node: Node<'_>, info: &Info) -> Finding {
    let policy = info.get("maxmemory_policy").unwrap_or("unknown");
    let evicted = info.number("evicted_keys").unwrap_or(0);
    let limit = info.number("maxmemory").unwrap_or(0);
    let meaning = "an evicted lock key is a lease that ends early, an evicted counter is a token that may come again; volatile policies take them first, since they expire";
    let finding = |severity, detail| {
        node.finding(severity, "eviction", detail)
            .means(&[C1, C3], meaning)
            .remedy("set maxmemory-policy noeviction, and keep locks apart from caches")
    };
    if evicted > 0 {
        return finding(
            Severity::Error,
            format!("it has evicted {evicted} keys since its start; maxmemory-policy is {policy}"),
        );
    }
    match (policy, limit) {
        ("noeviction", _) => {
            node.finding(Severity::Ok, "eviction", "maxmemory-policy is noeviction")
        }
        (policy, 0) => finding(
            Severity::Warning,
            format!(
                "maxmemory-policy is {policy}; nothing is evicted only as long as maxmemory is 0"
            ),
        ),
        (policy, limit) => finding(
            Severity::Error,
            format!("maxmemory-policy is {policy}, above {limit} bytes"),
        ),
    }
}

fn rights(node: Node<'_>) -> Vec<Finding> {
    let rights = &node.facts.rights;
    let mut all = Vec::new();
    if let Some(trouble) = &rights.read_only {
        all.push(
            node.finding(
                Severity::Error,
                "writes",
                format!("it takes no writes: {}", trouble.detail),
            )
            .means(&[C6], "it grants nothing until that is over")
            .remedy(trouble.remedy),
        );
    }
    let (spare, needed): (Vec<_>, Vec<_>) = rights.refused.iter().partition(|r| r.spare);
    if let Some(first) = needed.first() {
        all.push(
            node.finding(
                Severity::Error,
                "rights",
                format!("it refuses {} ({})", names(&needed), first.said),
            )
            .means(&[C5, C6], "no lock can be had there")
            .remedy(remedy(&needed)),
        );
    }
    if let Some(first) = spare.first() {
        all.push(
            node.finding(
                Severity::Warning,
                "rights",
                format!("it refuses {} ({})", names(&spare), first.said),
            )
            .means(
                &[C6],
                "waiters are not woken by a release, and find out by asking again",
            )
            .remedy(remedy(&spare)),
        );
    }
    if let Some(key) = &rights.closed_key {
        all.push(
            node.finding(
                Severity::Note,
                "rights",
                format!("the user may not touch every key: not {key:?}, for one"),
            )
            .means(&[], "locks whose keys it may not touch are refused")
            .remedy("give locks names that the user's key patterns match, or a prefix= in the URL"),
        );
    }
    if all.is_empty() {
        all.push(node.finding(
            Severity::Ok,
            "rights",
            "every command needed is there and allowed",
        ));
    }
    all
}

fn names(refused: &[&Refusal]) -> String {
    let names: Vec<_> = refused.iter().map(|refusal| refusal.command).collect();
    names.join(", ")
}

/// As `ACL SETUSER` takes it.
fn remedy(refused: &[&Refusal]) -> String {
    let grants = refused.iter().map(|refusal| {
        let command = refusal.command.to_ascii_lowercase().replace(' ', "|");
        format!("+{command}")
    });
    let grants: Vec<_> = grants.collect();
    format!(
        "ACL SETUSER … {} ~leasehold:* &leasehold:* (and do not rename commands away)",
        grants.join(" ")
    )
}
