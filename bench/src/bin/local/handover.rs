//! From one process's release to the other's lease, both waiting in turn.

use std::time::Duration;

use anyhow::{Context, Result};
use leasehold_bench::{Worker, median, quantile, ready_and_wait, shared_nanos, verdict};

const TURNS: usize = 500;

pub(crate) fn bench() -> Result<()> {
    let mut latencies = Vec::new();
    for _ in 0..crate::ROUNDS {
        let (_folder, url) = crate::fresh()?;
        latencies.extend(round(&url)?);
    }
    let count = latencies.len();
    let middle = median(&mut latencies);
    println!("handover between two processes, {count} handovers");
    println!(
        "  median {middle:.0} µs, 99th percentile {:.0} µs   target: median below 1000 µs   {}",
        quantile(&mut latencies, 0.99),
        verdict(middle < 1000.0)
    );
    Ok(())
}

fn round(url: &str) -> Result<Vec<f64>> {
    let mut workers = [
        Worker::spawn(&["handover-worker", url])?,
        Worker::spawn(&["handover-worker", url])?,
    ];
    workers.iter_mut().try_for_each(Worker::start)?;
    let mut turns = Vec::new();
    for (process, worker) in workers.into_iter().enumerate() {
        for line in worker.lines()? {
            let mut words = line.split(' ').map(str::parse::<u64>);
            let mut next = || anyhow::Ok(words.next().context("too few figures")??);
            turns.push((next()?, process, next()?, next()?));
        }
    }
    turns.sort_unstable();
    let handovers = turns.windows(2).filter(|pair| pair[0].1 != pair[1].1);
    Ok(handovers
        .map(|pair| pair[1].2.saturating_sub(pair[0].3) as f64 / 1e3)
        .collect())
}

/// Prints, for each turn: its token, when the lease was had, when its release
/// began.
pub(crate) fn worker(url: &str) -> Result<()> {
    pollster::block_on(async {
        let locks = leasehold::connect(url).await?;
        ready_and_wait()?;
        let mut turns = Vec::with_capacity(TURNS);
        for _ in 0..TURNS {
            let lease = locks.lock("handover").await?;
            let had = shared_nanos();
            // Long enough that the other is back in line.
            std::thread::sleep(Duration::from_millis(1));
            let token = lease.token().get();
            let begun = shared_nanos();
            lease.release().await?;
            turns.push((token, had, begun));
        }
        for (token, had, begun) in turns {
            println!("{token} {had} {begun}");
        }
        Ok(())
    })
}
