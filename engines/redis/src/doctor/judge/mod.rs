//! From what was found to what it means.

mod clocks;
mod cluster;
mod keeping;
mod memory;
mod server;
mod set;
#[cfg(test)]
mod tests;

use std::time::Duration;

use leasehold_core::{Finding, Promise, Severity};

use super::cluster::ClusterFacts;
use super::facts::{Facts, NodeFacts};
use crate::RedisOptions;
use memory::Standing;

/// What the findings go by.
struct Case<'a> {
    options: &'a RedisOptions,
    ttl: Duration,
    nodes: &'a [NodeFacts],
    /// The longest hold that any node may have granted.
    longest: Duration,
    /// Some node has been voting for longer than that.
    is_old: bool,
}

/// A node that could be asked.
#[derive(Clone, Copy)]
struct Node<'a> {
    name: &'a str,
    facts: &'a Facts,
}

/// All findings: about the set, then about each node in the order of the URL.
pub(super) fn judge(options: &RedisOptions, ttl: Duration, nodes: &[NodeFacts]) -> Vec<Finding> {
    let case = Case::new(options, ttl, nodes);
    let mut findings = set::findings(&case);
    for node in nodes {
        match &node.found {
            Err(trouble) => findings.push(
                Finding::new(Severity::Error, Finding::REACH, &node.name, &trouble.detail)
                    .means(
                        &[Promise::C6],
                        "it does not vote, so the set survives one failure less",
                    )
                    .remedy(trouble.remedy),
            ),
            Ok(facts) => {
                let node = Node {
                    name: &node.name,
                    facts,
                };
                findings.extend(server::findings(&case, node));
                findings.extend(memory::findings(&case, node));
                findings.extend(keeping::findings(&case, node));
                findings.extend(clocks::of_node(node));
            }
        }
    }
    findings
}

/// All findings of a Cluster: about the whole, then about each master.
pub(super) fn cluster(options: &RedisOptions, ttl: Duration, facts: ClusterFacts) -> Vec<Finding> {
    let nodes: Vec<_> = facts.masters.iter().map(|one| one.node.clone()).collect();
    let case = Case::new(options, ttl, &nodes);
    let mut findings = cluster::findings(&case, &facts);
    for master in &facts.masters {
        match &master.node.found {
            Err(trouble) => findings.push(
                Finding::new(
                    Severity::Error,
                    Finding::REACH,
                    &master.node.name,
                    &trouble.detail,
                )
                .means(&[Promise::C6], "no lock in its slots can be had")
                .remedy(trouble.remedy),
            ),
            Ok(facts) => {
                let node = Node {
                    name: &master.node.name,
                    facts,
                };
                findings.extend(server::findings(&case, node));
                findings.extend(cluster::witness(&case, master));
                findings.extend(keeping::findings(&case, node));
                findings.extend(clocks::of_node(node));
            }
        }
    }
    findings
}

impl<'a> Case<'a> {
    fn new(options: &'a RedisOptions, ttl: Duration, nodes: &'a [NodeFacts]) -> Self {
        let records = nodes.iter().filter_map(|node| node.found.as_ref().ok());
        let records = records.filter_map(|facts| facts.record.as_ref().ok()?.max_ttl);
        let longest = records.fold(options.max_ttl, Ord::max);
        let mut case = Self {
            options,
            ttl,
            nodes,
            longest,
            is_old: false,
        };
        let is_old =
            |node: Node<'_>| memory::joined_for(node.facts).is_some_and(|length| length > longest);
        case.is_old = case.reached().any(is_old);
        case
    }

    fn reached(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.nodes.iter().filter_map(|node| {
            let facts = node.found.as_ref().ok()?;
            Some(Node {
                name: &node.name,
                facts,
            })
        })
    }

    /// How many configured servers are a quorum.
    fn quorum(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    fn standings(&self) -> impl Iterator<Item = Standing> {
        self.reached()
            .map(|node| memory::standing(self, node.facts))
    }
}

impl Node<'_> {
    fn finding(
        &self,
        severity: Severity,
        check: &'static str,
        detail: impl Into<String>,
    ) -> Finding {
        Finding::new(severity, check, self.name, detail)
    }
}

/// A length of time, for people.
fn spoken(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0 if length.is_zero() => "0s".to_owned(),
        0 => format!("{:?}", Duration::from_micros(length.subsec_micros().into())),
        1..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The same for a number of microseconds, whatever its sign.
fn spoken_micros(micros: i64) -> String {
    spoken(Duration::from_micros(micros.unsigned_abs()))
}
