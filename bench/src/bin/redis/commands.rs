//! How many commands clients send to a set of servers.

use anyhow::{Context, Result, ensure};

use crate::client::{Client, Peer};
use crate::monitor::Monitor;
use crate::servers::Server;

/// Pairs that a count takes.
const PAIRS: usize = 500;

/// Commands that clients sent so far, by the servers' own statistics.
///
/// # Errors
///
/// If a server does not say.
pub(crate) fn sent(servers: &[Server], words: &[&str]) -> Result<u64> {
    let mut sum = 0;
    for server in servers {
        for line in server.info("commandstats")?.lines() {
            let Some((command, rest)) = line
                .strip_prefix("cmdstat_")
                .and_then(|line| line.split_once(":calls="))
            else {
                continue;
            };
            if words.contains(&command) {
                let calls = rest.split(',').next().context("no number of calls")?;
                sum += calls.parse::<u64>()?;
            }
        }
    }
    Ok(sum)
}

/// Commands per uncontended pair, on all servers together. Counted one by one, and
/// compared with what [`sent`] makes of the same pairs.
///
/// # Errors
///
/// If the two disagree: then the client sends something that `Peer::sends` misses.
pub(crate) async fn per_pair(servers: &[Server], client: &Client, peer: Peer) -> Result<f64> {
    client.pair("count-warm-up").await?;
    let before = sent(servers, peer.sends())?;
    let monitors = servers
        .iter()
        .map(Monitor::start)
        .collect::<Result<Vec<_>>>()?;
    for i in 0..PAIRS {
        client.pair(&format!("count-{i}")).await?;
    }
    let mut seen = 0;
    for (monitor, server) in monitors.into_iter().zip(servers) {
        seen += monitor.stop(server)?.len();
    }
    let counted = sent(servers, peer.sends())? - before;
    let (seen, counted) = (seen as f64, counted as f64);
    ensure!(
        (seen - counted).abs() <= 0.02 * seen,
        "{} sent {seen} commands in {PAIRS} pairs, but those in Peer::sends are {counted}",
        peer.name()
    );
    Ok(seen / PAIRS as f64)
}
