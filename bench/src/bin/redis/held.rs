//! Many leases held by one process and renewed.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use leasehold::{Lease, Locks, Released};
use leasehold_bench::{cpu_time, resident_bytes, verdict};

use crate::client::TTL;
use crate::servers;

/// Servers, leases on them, and the most processor time a client may take, in
/// percent of one core.
const SIZES: [(usize, usize, f64); 2] = [(1, 100_000, 30.0), (5, 20_000, 60.0)];
const SPAN: Duration = Duration::from_secs(60);
const TASKS: usize = 64;

/// Each size in a process of its own, whose memory is its leases'.
pub(crate) fn bench() -> Result<()> {
    println!("leases held for {SPAN:?} with TTL {TTL:?}");
    for (n, leases, _) in SIZES {
        let status = Command::new(std::env::current_exe()?)
            .args(["held-client", &n.to_string(), &leases.to_string()])
            .status()?;
        ensure!(status.success(), "the client failed");
    }
    Ok(())
}

/// The process that holds them.
pub(crate) fn client(nodes: usize, leases: usize) -> Result<()> {
    let servers = servers::start(nodes)?;
    let url = servers::leasehold_url(&servers::hosts(&servers), "");
    crate::block_on(async {
        let locks = leasehold::connect(&url).await?;
        locks.lock("warm-up").await?.release().await?;
        let before = resident_bytes()?;
        let bytes = |now: u64| now.saturating_sub(before) as f64 / leases as f64;
        let held = take(&locks, leases).await?;
        let taken = bytes(resident_bytes()?);
        let (cpu, start) = (cpu_time(), Instant::now());
        tokio::time::sleep(SPAN).await;
        let share = (cpu_time() - cpu).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
        let renewed = bytes(resident_bytes()?);
        let limit = SIZES.iter().find(|size| size.0 == nodes);
        let limit = limit.map_or(100.0, |size| size.2);
        println!("  N = {nodes}, {leases} leases");
        println!(
            "      {share:.1} % of one core, target below {limit}   {}",
            verdict(share < limit)
        );
        println!("      {taken:.0} bytes each when taken, {renewed:.0} after the renewals");
        let lost = give_back(held).await?;
        println!("      {lost} lost, target 0   {}", verdict(lost == 0));
        Ok(())
    })
}

async fn take(locks: &Locks, leases: usize) -> Result<Vec<Lease>> {
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let locks = locks.clone();
            tokio::spawn(async move {
                let mut held = Vec::new();
                for i in (task..leases).step_by(TASKS) {
                    held.push(locks.lock(format!("held/{i}")).ttl(TTL).await?);
                }
                anyhow::Ok(held)
            })
        })
        .collect();
    let mut held = Vec::with_capacity(leases);
    for task in tasks {
        held.extend(task.await??);
    }
    Ok(held)
}

/// How many were lost, by our clock or by what the servers say.
async fn give_back(mut held: Vec<Lease>) -> Result<usize> {
    let mut tasks = Vec::new();
    while !held.is_empty() {
        let some = held.split_off(
            held.len()
                .saturating_sub(held.len().div_ceil(TASKS).max(64)),
        );
        tasks.push(tokio::spawn(async move {
            let mut lost = 0;
            for lease in some {
                let valid = lease.is_valid();
                let released = lease.release().await?;
                lost += usize::from(!valid || released != Released::Released);
            }
            anyhow::Ok(lost)
        }));
    }
    let mut lost = 0;
    for task in tasks {
        lost += task.await??;
    }
    Ok(lost)
}
