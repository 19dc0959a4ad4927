//! A Redis Cluster as a whole, and each of its masters as one of it.

use leasehold_core::{Finding, Promise, Severity};

use super::super::cluster::{ClusterFacts, MasterFacts};
use super::{Case, clocks, set, spoken};
use crate::scripts::slots::SLOTS;

use Promise::{C1, C3, C6};

pub(super) fn findings(case: &Case<'_>, facts: &ClusterFacts) -> Vec<Finding> {
    let mut all = vec![servers(facts), slots(facts)];
    all.extend(state(facts));
    all.push(replicas(facts));
    all.extend(node_timeout(case, facts));
    all.extend(min_replicas(facts));
    all.extend(clocks::of_set(case));
    all.push(set::lengths(case));
    all.extend(set::fresh(case));
    all
}

fn finding(severity: Severity, check: &'static str, detail: impl Into<String>) -> Finding {
    Finding::new(severity, check, Finding::SET, detail)
}

fn servers(facts: &ClusterFacts) -> Finding {
    let count = facts.masters.len();
    finding(
        Severity::Note,
        "servers",
        format!("a Redis Cluster of {count} masters; each lock is on one of them, and no other votes on it"),
    )
    .means(&[C6], "no lock of a slot can be had while its master is down, nor until max_ttl after its replica was promoted")
    .remedy("three or five independent servers survive one or two failures without a pause")
}

fn slots(facts: &ClusterFacts) -> Finding {
    const CHECK: &str = "slots";
    let (covered, all) = (facts.map.covered(), usize::from(SLOTS));
    match covered == all {
        true => finding(Severity::Ok, CHECK, format!("all {all} slots are served")),
        false => finding(
            Severity::Error,
            CHECK,
            format!("{} of {all} slots are served by nobody", all - covered),
        )
        .means(
            &[C6],
            "locks there can be neither taken nor renewed; with cluster-require-full-coverage, no others either",
        )
        .remedy("bring their masters back, or assign them: redis-cli --cluster fix"),
    }
}

fn state(facts: &ClusterFacts) -> Option<Finding> {
    let told = |master: &MasterFacts| master.cluster.state.clone();
    let bad: Vec<_> = facts
        .masters
        .iter()
        .filter(|master| told(master).is_some_and(|state| state != "ok"))
        .map(|master| master.node.name.as_str())
        .collect();
    if !bad.is_empty() {
        return Some(
            finding(
                Severity::Error,
                "state",
                format!("cluster_state is not ok on {}", bad.join(", ")),
            )
            .means(&[C6], "those masters refuse to work")
            .remedy("see CLUSTER INFO and CLUSTER NODES there"),
        );
    }
    let known = facts.masters.iter().filter_map(told).count();
    (known > 0).then(|| finding(Severity::Ok, "state", "cluster_state is ok"))
}

fn replicas(facts: &ClusterFacts) -> Finding {
    const CHECK: &str = "replicas";
    let without: Vec<_> = facts
        .masters
        .iter()
        .filter(|master| master.master.replicas == 0)
        .map(|master| master.node.name.as_str())
        .collect();
    match without.is_empty() {
        false => finding(
            Severity::Warning,
            CHECK,
            format!("no replica follows {}", without.join(", ")),
        )
        .means(
            &[C6],
            "while such a master is down, none of its locks can be had",
        )
        .remedy("give each master a replica on another machine"),
        true => finding(
            Severity::Note,
            CHECK,
            "every master has a replica, and replication is asynchronous",
        )
        .means(
            &[C1, C3],
            "a promoted replica may lack the last grants; that is noticed, and it grants nothing for max_ttl and then above its clock. A master that lives on beside it, cut off, may grant the same lock once more; a resource that checks tokens stays safe",
        ),
    }
}

fn node_timeout(case: &Case<'_>, facts: &ClusterFacts) -> Option<Finding> {
    const CHECK: &str = "node-timeout";
    let told = facts
        .masters
        .iter()
        .filter_map(|master| master.cluster.node_timeout);
    let longest = told.max()?;
    let said = format!(
        "cluster-node-timeout {}, TTL {}, max_ttl {}",
        spoken(longest),
        spoken(case.ttl),
        spoken(case.options.max_ttl)
    );
    if longest >= case.options.max_ttl {
        return Some(
            finding(Severity::Warning, CHECK, said)
                .means(&[C3], "a master that is cut off may go on granting for as long as that, and the quarantine of the one in its place is shorter")
                .remedy("raise max_ttl in every client's URL, or lower cluster-node-timeout"),
        );
    }
    if longest >= case.ttl {
        return Some(
            finding(Severity::Warning, CHECK, said)
                .means(
                    &[C6],
                    "a failover takes longer than a lease lasts, so that it loses them",
                )
                .remedy("take leases with a longer TTL, or lower cluster-node-timeout"),
        );
    }
    Some(finding(Severity::Ok, CHECK, said))
}

fn min_replicas(facts: &ClusterFacts) -> Option<Finding> {
    let mut told = facts
        .masters
        .iter()
        .filter(|master| master.master.replicas > 0)
        .filter_map(|master| master.cluster.min_replicas);
    told.any(|least| least == 0).then(|| {
        finding(Severity::Note, "min-replicas", "min-replicas-to-write is 0")
            .means(&[C3], "a master that is cut off from its replicas grants until cluster-node-timeout has passed")
            .remedy("min-replicas-to-write 1 and a short min-replicas-max-lag; then locks cannot be had either while no replica follows")
    })
}

/// Since when it has served its slots.
pub(super) fn witness(case: &Case<'_>, master: &MasterFacts) -> Option<Finding> {
    const CHECK: &str = "memory";
    let facts = master.node.found.as_ref().ok()?;
    let count: usize = master
        .master
        .ranges
        .iter()
        .map(|(first, last)| usize::from(last.saturating_sub(*first)) + 1)
        .sum();
    let run_id = facts.info.as_ref()?.server.as_ref()?.run_id;
    let now = u64::try_from(facts.clock.unix_micros).unwrap_or(0);
    let name = &master.node.name;
    let seen = master.cluster.witness.as_ref();
    let seen = seen.filter(|witness| witness.is_of(run_id));
    let waiting = seen.map_or(count, |witness| {
        // Slots that nobody has seen it serve are not in the witness.
        let unseen = count.saturating_sub(witness.slots());
        unseen + witness.younger_than(case.longest, now)
    });
    if waiting == 0 {
        let said = format!(
            "it has been seen to serve its {count} slots for longer than max_ttl, which is {}",
            spoken(case.longest)
        );
        return Some(Finding::new(Severity::Ok, CHECK, name, said));
    }
    let said = format!(
        "{waiting} of its {count} slots it has been seen to serve for less than max_ttl, which is {}",
        spoken(case.longest)
    );
    Some(
        Finding::new(Severity::Note, CHECK, name, said)
            .means(
                &[C6],
                "locks there that were not had from it before wait until that has passed since a client first looked; it is a new master, or one that was promoted, flushed, or given these slots",
            )
            .remedy("nothing; or fresh=yes in the URL if the Cluster is new and has granted nothing"),
    )
}
