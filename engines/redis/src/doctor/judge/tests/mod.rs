mod memory;
mod state;

use std::time::Duration;

use leasehold_core::{EngineUrl, Finding, Severity, Token};

use super::super::facts::{Clock, Facts, Info, Keeping, NodeFacts, Record, Refusal, Rights};
use super::judge;
use crate::RedisOptions;
use crate::fail::Trouble;
use crate::scripts::info::ServerInfo;

const TTL: Duration = Duration::from_secs(30);
/// Some moment in 2026, in microseconds.
const NOW: i64 = 1_795_000_000_000_000;

fn options(nodes: usize, keys: &str) -> RedisOptions {
    let hosts: Vec<_> = (1..=nodes).map(|n| format!("r{n}")).collect();
    let url = format!("redis://{}?{keys}", hosts.join(","));
    RedisOptions::from_url(EngineUrl::parse(&url).unwrap()).unwrap()
}

fn run_id(of: usize) -> String {
    format!("{of:040x}")
}

/// A server that has joined, and of which there is nothing bad to say.
fn healthy(of: usize) -> Facts {
    let server = ServerInfo {
        evicted: false,
        run_id: run_id(of).parse().unwrap(),
        uptime: Duration::from_secs(86_400),
        disturbed: false,
    };
    let text = "redis_version:7.0.15\nrole:master\nmaxmemory_policy:noeviction\nmaxmemory:0\n\
                evicted_keys:0\nconnected_slaves:0\naof_last_write_status:ok\n";
    Facts {
        round_trip: Duration::from_micros(200),
        clock: Clock {
            unix_micros: NOW,
            ..Clock::default()
        },
        info: Some(Info::read(text, Some(server))),
        keeping: Keeping {
            log: Some(true),
            fsync: Some("always".to_owned()),
            save: Some(String::new()),
        },
        record: Ok(Record {
            joined: run_id(of).parse().ok(),
            mark: Token::era(1_794_999_000),
            max_ttl: Some(Duration::from_secs(60)),
            since_micros: Some(NOW - 3_600_000_000),
            ..Record::default()
        }),
        rights: Rights::default(),
    }
}

fn set_of(nodes: usize) -> Vec<NodeFacts> {
    let node = |of| NodeFacts {
        name: format!("r{of}:6379"),
        found: Ok(healthy(of)),
    };
    (1..=nodes).map(node).collect()
}

fn facts(nodes: &mut [NodeFacts], of: usize) -> &mut Facts {
    nodes[of].found.as_mut().unwrap()
}

fn info(nodes: &mut [NodeFacts], of: usize, more: &str) {
    let facts = facts(nodes, of);
    let old = facts.info.clone().unwrap();
    facts.info = Some(Info::read(more, old.server));
}

fn server(nodes: &mut [NodeFacts], of: usize) -> &mut ServerInfo {
    let info = facts(nodes, of).info.as_mut().unwrap();
    info.server.as_mut().unwrap()
}

fn down() -> Result<Facts, Trouble> {
    Err(Trouble::timeout())
}

fn judged(keys: &str, nodes: &[NodeFacts]) -> Vec<Finding> {
    judge(&options(nodes.len(), keys), TTL, nodes)
}

/// The finding of this check about this subject.
#[track_caller]
fn the<'a>(findings: &'a [Finding], check: &str, subject: &str) -> &'a Finding {
    let wanted = |finding: &&Finding| finding.check == check && finding.subject == subject;
    findings
        .iter()
        .find(wanted)
        .unwrap_or_else(|| panic!("no {check} of {subject} in {findings:#?}"))
}

#[track_caller]
fn is(findings: &[Finding], check: &str, subject: &str, severity: Severity, words: &[&str]) {
    let finding = the(findings, check, subject);
    assert_eq!(finding.severity, severity, "{finding:#?}");
    for word in words {
        let remedy = finding.remedy.as_deref().unwrap_or_default();
        let said = [&finding.detail, &finding.meaning, remedy].join(" ");
        assert!(said.contains(word), "no {word:?} in {finding:#?}");
    }
}

fn worst(findings: &[Finding]) -> Severity {
    findings.iter().map(|f| f.severity).max().unwrap()
}
