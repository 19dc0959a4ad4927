//! Acquire + release, uncontended: one process, then four on separate locks.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use leasehold_bench::{Worker, median, quantile, ready_and_wait, verdict};

const SPAN: Duration = Duration::from_secs(3);
const PROCESSES: usize = 4;

/// One worker's figures.
struct Figures {
    pairs_per_second: f64,
    stall_999_micros: f64,
    stall_max_micros: f64,
}

pub(crate) fn bench() -> Result<()> {
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    let (mut p999, mut worst) = (Vec::new(), 0f64);
    for _ in 0..crate::ROUNDS {
        let (_folder, url) = crate::fresh()?;
        let one = run(&url, 1)?;
        alone.push(one[0].pairs_per_second);
        let four = run(&url, PROCESSES)?;
        together.push(four.iter().map(|f| f.pairs_per_second).sum::<f64>());
        p999.push(four.iter().map(|f| f.stall_999_micros).fold(0.0, f64::max));
        worst = four
            .iter()
            .map(|f| f.stall_max_micros)
            .fold(worst, f64::max);
    }
    let mut ratios: Vec<f64> = together
        .iter()
        .zip(&alone)
        .map(|(four, one)| four / one)
        .collect();
    let (alone, ratio, p999) = (median(&mut alone), median(&mut ratios), median(&mut p999));
    println!(
        "acquire + release, medians of {} rounds of {SPAN:?}",
        crate::ROUNDS
    );
    println!(
        "  one process, one task       {alone:>9.0} pairs/s   target 25000      {}",
        verdict(alone >= 25_000.0)
    );
    println!(
        "  four processes, total       {:>9.0} pairs/s   {ratio:.2} of one, target 0.80  {}",
        median(&mut together),
        verdict(ratio >= 0.8)
    );
    println!(
        "  their slowest 1 in 1000     {:>9.1} ms        target 50 ms      {}   (worst of all {:.1} ms)",
        p999 / 1e3,
        verdict(p999 <= 50_000.0),
        worst / 1e3
    );
    Ok(())
}

fn run(url: &str, processes: usize) -> Result<Vec<Figures>> {
    let mut workers = (0..processes)
        .map(|i| Worker::spawn(&["pairs-worker", url, &format!("bench/{i}")]))
        .collect::<Result<Vec<_>>>()?;
    workers.iter_mut().try_for_each(Worker::start)?;
    workers
        .into_iter()
        .map(|worker| parse(&worker.lines()?))
        .collect()
}

fn parse(lines: &[String]) -> Result<Figures> {
    let mut words = lines
        .first()
        .context("no figures")?
        .split(' ')
        .map(str::parse);
    let mut next = || Ok::<f64, anyhow::Error>(words.next().context("too few figures")??);
    Ok(Figures {
        pairs_per_second: next()?,
        stall_999_micros: next()?,
        stall_max_micros: next()?,
    })
}

pub(crate) fn worker(url: &str, name: &str) -> Result<()> {
    pollster::block_on(async {
        let locks = leasehold::connect(url).await?;
        locks.lock(name).await?.release().await?;
        ready_and_wait()?;
        let mut operations = Vec::with_capacity(400_000);
        let start = Instant::now();
        let mut before = start;
        while start.elapsed() < SPAN {
            let lease = locks.lock(name).await?;
            let between = Instant::now();
            lease.release().await?;
            let after = Instant::now();
            operations.push((between - before).as_secs_f64() * 1e6);
            operations.push((after - between).as_secs_f64() * 1e6);
            before = after;
        }
        let rate = operations.len() as f64 / 2.0 / start.elapsed().as_secs_f64();
        println!(
            "{rate} {} {}",
            quantile(&mut operations, 0.999),
            quantile(&mut operations, 1.0)
        );
        Ok(())
    })
}
