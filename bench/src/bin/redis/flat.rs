//! A server with a million other locks held beside an empty one.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use leasehold::Locks;
use leasehold_bench::{median, verdict};

use crate::servers::{self, Server};

const OTHERS: usize = 1_000_000;
const FILLING: usize = 64;
/// Longer than the measurement takes.
const HELD_FOR: Duration = Duration::from_secs(20 * 60);
const SPAN: Duration = Duration::from_secs(2);
const TARGET: f64 = 10.0;

pub(crate) fn bench() -> Result<()> {
    let servers = servers::start(2)?;
    let url = |server: &Server| servers::leasehold_url(&[server.host()], "&max_ttl=1h");
    let urls = [url(&servers[0]), url(&servers[1])];
    crate::block_on(async {
        fill(&urls[1]).await?;
        let keys = servers[1].keys()?;
        ensure!(keys >= OTHERS as u64, "only {keys} keys are held");
        let empty = leasehold::connect(&urls[0]).await?;
        let full = leasehold::connect(&urls[1]).await?;
        println!(
            "acquire with {OTHERS} other locks held ({keys} keys) and on an empty server, medians of {} rounds of {SPAN:?} in turn",
            crate::ROUNDS
        );
        for tasks in [1, 64] {
            compare(&[&empty, &full], tasks).await?;
        }
        Ok(())
    })
}

/// Takes them by a client that lets go of them, so that they last as they are.
async fn fill(url: &str) -> Result<()> {
    let locks = leasehold::connect(url).await?;
    let tasks: Vec<_> = (0..FILLING)
        .map(|task| {
            let locks = locks.clone();
            tokio::spawn(async move {
                for i in (task..OTHERS).step_by(FILLING) {
                    let other = locks.try_lock(format!("other-{i}")).detached().renew(false);
                    let _nonce = other.ttl(HELD_FOR).await?.keep();
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn compare(clients: &[&Locks; 2], tasks: usize) -> Result<()> {
    let (mut slower, mut fewer) = (Vec::new(), Vec::new());
    let mut latencies = [Vec::new(), Vec::new()];
    for round in 0..=crate::ROUNDS {
        let (empty, full) = (run(clients[0], tasks).await?, run(clients[1], tasks).await?);
        // The first round warms up.
        if round > 0 {
            slower.push((full.median_micros / empty.median_micros - 1.0) * 100.0);
            fewer.push((1.0 - full.per_second / empty.per_second) * 100.0);
            latencies[0].push(empty.median_micros);
            latencies[1].push(full.median_micros);
        }
    }
    let [empty, full] = latencies.map(|mut all| median(&mut all));
    let (slower, fewer) = (median(&mut slower), median(&mut fewer));
    println!(
        "  {tasks:>2} tasks   acquire {empty:.0} µs empty, {full:.0} µs full: {slower:+.1} %, target below {TARGET} %   {}",
        verdict(slower < TARGET)
    );
    println!("             pairs a second: {fewer:.1} % fewer");
    Ok(())
}

/// Median latency of an acquire, and pairs per second.
struct Figures {
    median_micros: f64,
    per_second: f64,
}

/// Each task has one name, so that nothing piles up on either server.
async fn run(locks: &Locks, tasks: usize) -> Result<Figures> {
    let start = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let locks = locks.clone();
            tokio::spawn(async move {
                let (name, mut latencies) = (format!("flat-{task}"), Vec::new());
                while start.elapsed() < SPAN {
                    let before = Instant::now();
                    let lease = locks.lock(&name).await?;
                    latencies.push(before.elapsed().as_secs_f64() * 1e6);
                    lease.release().await?;
                }
                anyhow::Ok(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in running {
        latencies.extend(task.await??);
    }
    Ok(Figures {
        per_second: latencies.len() as f64 / start.elapsed().as_secs_f64(),
        median_micros: median(&mut latencies),
    })
}
