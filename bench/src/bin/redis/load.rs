//! Pairs of acquire and release by a number of tasks, for a time.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use leasehold_bench::{cpu_time, median, switches};

use crate::client::Client;
use crate::commands;
use crate::servers::Server;

/// What a load did.
pub(crate) struct Figures {
    pub(crate) pairs_per_second: f64,
    /// Median latency of a pair.
    pub(crate) median_micros: f64,
    /// Processor time of this process per pair.
    pub(crate) client_micros: f64,
    /// Processor time of the servers, all together, per pair.
    pub(crate) server_micros: f64,
    /// Commands that the servers were sent per pair, all together.
    pub(crate) commands: f64,
    /// How often a thread of this process went to sleep per pair.
    pub(crate) sleeps: f64,
}

/// Runs `tasks` tasks for `span`; each uses names of its own, each name once.
/// `prefix` must not have been used before.
pub(crate) async fn run(
    client: &Client,
    servers: &[Server],
    tasks: usize,
    span: Duration,
    prefix: &str,
) -> Result<Figures> {
    let served = || servers.iter().map(Server::cpu_micros).sum::<Result<f64>>();
    let sent = || commands::sent(servers, client.peer().sends());
    let (before, sent_before, slept) = (served()?, sent()?, switches()?);
    let (cpu, start) = (cpu_time(), Instant::now());
    let Sample {
        mut latencies,
        failures,
    } = sample(client, tasks, span, prefix).await?;
    ensure!(failures.is_empty(), "a pair failed: {}", failures[0]);
    let (pairs, took) = (latencies.len() as f64, start.elapsed());
    let cpu = (cpu_time() - cpu).as_secs_f64() * 1e6;
    Ok(Figures {
        pairs_per_second: pairs / took.as_secs_f64(),
        client_micros: cpu / pairs,
        server_micros: (served()? - before) / pairs,
        commands: (sent()? - sent_before) as f64 / pairs,
        sleeps: switches()?.saturating_sub(slept) as f64 / pairs,
        median_micros: median(&mut latencies),
    })
}

/// What became of each pair of a load.
#[derive(Default)]
pub(crate) struct Sample {
    /// Of each, in microseconds, whether it failed or not.
    pub(crate) latencies: Vec<f64>,
    /// What those said that failed.
    pub(crate) failures: Vec<String>,
}

/// A [`run`] that goes on after a failure.
pub(crate) async fn sample(
    client: &Client,
    tasks: usize,
    span: Duration,
    prefix: &str,
) -> Result<Sample> {
    let end = Instant::now() + span;
    let running: Vec<_> = (0..tasks)
        .map(|task| tokio::spawn(pairs(client.clone(), end, format!("{prefix}-{task}"))))
        .collect();
    let mut all = Sample::default();
    for task in running {
        let one = task.await?;
        all.latencies.extend(one.latencies);
        all.failures.extend(one.failures);
    }
    Ok(all)
}

async fn pairs(client: Client, end: Instant, names: String) -> Sample {
    let mut sample = Sample::default();
    let mut before = Instant::now();
    while before < end || sample.latencies.is_empty() {
        let name = format!("{names}-{}", sample.latencies.len());
        if let Err(error) = client.pair(&name).await {
            sample.failures.push(error.to_string());
        }
        let after = Instant::now();
        sample.latencies.push((after - before).as_secs_f64() * 1e6);
        before = after;
    }
    sample
}
