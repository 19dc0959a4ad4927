//! 100,000 leases held by one process and renewed.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use leasehold_bench::{cpu_time, resident_bytes, verdict};

const LEASES: usize = 100_000;
const TTL: Duration = Duration::from_secs(30);

pub(crate) fn bench() -> Result<()> {
    let (_folder, url) = crate::fresh()?;
    pollster::block_on(async {
        let locks = leasehold::connect(&url).await?;
        locks.lock("warm-up").await?.release().await?;
        let mut held = Vec::with_capacity(LEASES);
        let before = resident_bytes()?;
        for i in 0..LEASES {
            held.push(locks.lock(format!("held/{i}")).ttl(TTL).await?);
        }
        let bytes = resident_bytes()?.saturating_sub(before) as f64 / LEASES as f64;
        // Every lease is renewed at least twice in this time.
        let (cpu, start) = (cpu_time(), Instant::now());
        std::thread::sleep(TTL);
        let share = (cpu_time() - cpu).as_secs_f64() / start.elapsed().as_secs_f64();
        let lost = held.iter().filter(|lease| !lease.is_valid()).count();
        let grown = resident_bytes()?.saturating_sub(before) as f64 / LEASES as f64;
        println!("{LEASES} leases held for {TTL:?} with TTL {TTL:?}");
        println!(
            "  {:.1} % of one core, target below 50   {}",
            share * 100.0,
            verdict(share < 0.5)
        );
        println!(
            "  {bytes:.0} bytes each when taken, {grown:.0} after the renewals, target below 1024   {}",
            verdict(grown < 1024.0)
        );
        println!("  {lost} lost, target 0   {}", verdict(lost == 0));
        ensure!(lost == 0, "leases were lost");
        Ok(())
    })
}
