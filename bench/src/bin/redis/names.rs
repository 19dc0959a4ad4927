//! A million names, each used once: what they leave behind on the server.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use leasehold_bench::{resident_bytes, verdict};

use crate::client::{self, Client};
use crate::servers::{self, Server};

const NAMES: usize = 1_000_000;
const WARM_UP: usize = 50_000;
const TASKS: usize = 64;
/// How much longer than the retention a server may take to forget.
const PATIENCE: Duration = Duration::from_secs(60);
const MIB: f64 = 1_048_576.0;

pub(crate) fn bench() -> Result<()> {
    let servers = servers::start(1)?;
    let url = servers::leasehold_url(&servers::hosts(&servers), "&retention=2s");
    crate::block_on(async {
        let client = client::leasehold(&url).await?;
        use_once(&client, "warm-up", WARM_UP).await?;
        let before = settled(&servers[0]).await?;
        let resident = resident_bytes()?;
        use_once(&client, "name", NAMES).await?;
        let used = servers[0].figure("memory", "used_memory")?;
        let after = settled(&servers[0]).await?;
        let grown = resident_bytes()?.saturating_sub(resident);
        let [before, used, after] = [before, used, after].map(|bytes| bytes as f64 / MIB);
        println!("{NAMES} names used once each, retention 2 s");
        println!(
            "  server's memory {before:.2} MiB before, {used:.2} MiB at the end, {after:.2} MiB when they are forgotten, target at most 10 % more than before   {}",
            verdict(after <= before * 1.1)
        );
        println!("  client's memory grew by {:.1} MiB", grown as f64 / MIB);
        Ok(())
    })
}

async fn use_once(client: &Client, prefix: &str, names: usize) -> Result<()> {
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (client, prefix) = (client.clone(), prefix.to_owned());
            tokio::spawn(async move {
                for i in (task..names).step_by(TASKS) {
                    client.pair(&format!("{prefix}-{i}")).await?;
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

/// The memory used once the server has forgotten all names and given back what
/// they took, or after some patience.
async fn settled(server: &Server) -> Result<u64> {
    let start = Instant::now();
    let mut least = u64::MAX;
    let mut since = start;
    while start.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let used = server.figure("memory", "used_memory")?;
        // It gives memory back little by little: wait until it has stopped.
        if used < least - least / 100 {
            (least, since) = (used, Instant::now());
        } else if server.keys()? <= 2 && since.elapsed() > Duration::from_secs(8) {
            break;
        }
    }
    ensure!(least < u64::MAX, "the server was never asked");
    server.figure("memory", "used_memory")
}
