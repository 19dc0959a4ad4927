//! What a careful operator would check of a set of servers.
//!
//! # Layout
//!
//! * `probe.rs`, `rights.rs`: asking the servers. `facts.rs`: what they said.
//! * `cluster.rs`: the same of a Redis Cluster.
//! * `judge/`: what that means. No server is asked there.

mod cluster;
mod facts;
mod judge;
mod probe;
mod rights;

use std::rc::Rc;
use std::time::Duration;

use leasehold_core::{EngineUrl, Error, Finding, Nonce, Severity};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, LocalSet};

use crate::RedisOptions;
use crate::fail::ENGINE;
use crate::scripts::NODE;
use facts::NodeFacts;
use probe::{Keys, Place};

/// Looks at the servers that a URL names, for clients whose leases have this TTL.
///
/// Works where the engine cannot be opened: each server is looked at by itself,
/// all at once, within a few of the node's timeouts. A server that cannot be asked
/// is a finding. Nothing is changed; keys that are written to try whether they may
/// be are removed, or run out within 10 s.
///
/// May be polled on any runtime and dropped at any await.
///
/// # Errors
///
/// [`Error::Invalid`] for a URL that names no servers; [`Error::Unavailable`] if
/// this process can start no thread.
pub async fn diagnose(url: EngineUrl, ttl: Duration) -> Result<Vec<Finding>, Error> {
    let options = RedisOptions::parse(url)?;
    let refused = options.clone().check().err();
    let mut findings = gather(options, ttl).await?;
    if let Some(error) = refused {
        let finding = Finding::new(Severity::Error, "url", Finding::SET, error.to_string());
        findings.insert(
            0,
            finding.remedy("mend the URL; no client opens it as it is"),
        );
    }
    Ok(findings)
}

/// Asks all servers, on a thread of its own, and judges what they say.
async fn gather(options: RedisOptions, ttl: Duration) -> Result<Vec<Finding>, Error> {
    let failed = |what: std::io::Error| {
        Error::unavailable(
            ENGINE,
            format!("its thread cannot be started: {what}"),
            "see how many threads and open files this process may have",
        )
    };
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| failed(std::io::Error::other(error)))?;
    let tag = Nonce::from_bytes(bytes).to_string();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new()
        .name("leasehold-doctor".to_owned())
        .spawn(move || {
            let findings = async {
                let options = Rc::new(options);
                if options.is_cluster() {
                    return cluster::diagnose(options, ttl, tag).await;
                }
                let nodes = probe_all(Rc::clone(&options), tag).await;
                judge::judge(&options, ttl, &nodes)
            };
            let findings = LocalSet::new().block_on(&runtime, findings);
            let _ = tell.send(findings);
        })
        .map_err(failed)?;
    told.await.map_err(|_| {
        Error::unavailable(
            ENGINE,
            "its thread ended early",
            "report it as a mistake of Leasehold",
        )
    })
}

async fn probe_all(options: Rc<RedisOptions>, tag: String) -> Vec<NodeFacts> {
    let mut probes = JoinSet::new();
    for (place, address) in options.addresses.iter().cloned().enumerate() {
        let options = Rc::clone(&options);
        let keys = Keys {
            tag: format!("{tag}{place}"),
            record: NODE.to_owned(),
        };
        probes.spawn_local(async move {
            let at = Place {
                address: &address,
                keys: &keys,
            };
            (place, probe::probe(&options, at).await)
        });
    }
    let mut nodes = probes.join_all().await;
    nodes.sort_by_key(|(place, _)| *place);
    nodes.into_iter().map(|(_, node)| node).collect()
}
