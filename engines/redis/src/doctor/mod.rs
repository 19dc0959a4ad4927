//! What a careful operator would check of a set of servers.
//!
//! # Layout
//!
//! * `probe.rs`, `rights.rs`: asking the servers. `facts.rs`: what they said.
//! * `judge/`: what that means. No server is asked there.

mod facts;
mod judge;
mod probe;
mod rights;

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{EngineUrl, Error, Finding, Nonce, Severity};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::RedisOptions;
use crate::fail::ENGINE;
use facts::NodeFacts;

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
    let options = Arc::new(options);
    let nodes = gather(Arc::clone(&options)).await?;
    let mut findings = judge::judge(&options, ttl, &nodes);
    if let Some(error) = refused {
        let finding = Finding::new(Severity::Error, "url", Finding::SET, error.to_string());
        findings.insert(
            0,
            finding.remedy("mend the URL; no client opens it as it is"),
        );
    }
    Ok(findings)
}

/// Asks all servers, on a thread of its own.
async fn gather(options: Arc<RedisOptions>) -> Result<Vec<NodeFacts>, Error> {
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
            let nodes = runtime.block_on(probe_all(options, tag));
            let _ = tell.send(nodes);
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

async fn probe_all(options: Arc<RedisOptions>, tag: String) -> Vec<NodeFacts> {
    let mut probes = JoinSet::new();
    for (place, address) in options.addresses.iter().cloned().enumerate() {
        let (options, tag) = (Arc::clone(&options), format!("{tag}{place}"));
        probes.spawn(async move { (place, probe::probe(&options, &address, &tag).await) });
    }
    let mut nodes = probes.join_all().await;
    nodes.sort_by_key(|(place, _)| *place);
    nodes.into_iter().map(|(_, node)| node).collect()
}
