//! One server of five fails in one of three ways, and comes back.

use std::time::{Duration, Instant};

use anyhow::Result;
use leasehold_bench::{median, quantile, verdict};

use crate::client::{Client, Peer};
use crate::proxy::Proxy;
use crate::servers::{self, Server};
use crate::{commands, load};

const TASKS: usize = 8;
/// The server that fails.
const FAULTY: usize = 4;
const SPAN: Duration = Duration::from_secs(3);
/// What a client may take to notice a failure.
const NOTICE: Duration = Duration::from_secs(1);
/// What it may take to notice the return.
const RETURN: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;
const TARGET: f64 = 1.5;

/// How it fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Frozen,
    Silent,
    Refused,
}

pub(crate) fn bench() -> Result<()> {
    println!(
        "one server of five fails, {TASKS} tasks, medians of {ROUNDS} rounds of {SPAN:?} healthy, failed and back"
    );
    for fault in [Fault::Frozen, Fault::Silent, Fault::Refused] {
        crate::block_on(measure(fault))?;
    }
    crate::block_on(rslock())
}

/// Five servers, the last behind a proxy.
struct Place {
    servers: Vec<Server>,
    proxy: Proxy,
}

impl Place {
    fn new() -> Result<Self> {
        let servers = servers::start(FAULTY + 1)?;
        let proxy = Proxy::to(servers[FAULTY].port())?;
        Ok(Self { servers, proxy })
    }

    /// A frozen server is met without the proxy, which would go on accepting.
    fn hosts(&self, fault: Fault) -> Vec<String> {
        let mut hosts = servers::hosts(&self.servers);
        if !matches!(fault, Fault::Frozen) {
            hosts[FAULTY] = self.proxy.host();
        }
        hosts
    }

    fn fail(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Frozen => self.servers[FAULTY].freeze()?,
            Fault::Silent => self.proxy.set_silent(true),
            Fault::Refused => self.proxy.refuse(),
        }
        Ok(())
    }

    fn heal(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Frozen => self.servers[FAULTY].thaw()?,
            Fault::Silent => self.proxy.set_silent(false),
            Fault::Refused => self.proxy.accept()?,
        }
        Ok(())
    }
}

/// One stretch of a round.
struct Stretch {
    p50: f64,
    p99: f64,
    /// Commands to the faulty server for each that the others had on average.
    share: f64,
    failures: Vec<String>,
}

async fn measure(fault: Fault) -> Result<()> {
    let mut place = Place::new()?;
    let client = Peer::Leasehold.connect(&place.hosts(fault)).await?;
    load::sample(&client, TASKS, NOTICE, "warm-up").await?;
    let mut stretches: [Vec<Stretch>; 3] = Default::default();
    for round in 0..ROUNDS {
        let name = |what: &str| format!("{what}-{round}");
        let healthy = stretch(&place.servers, &client, &name("healthy"), false).await?;
        place.fail(fault)?;
        load::sample(&client, TASKS, NOTICE, &name("notice")).await?;
        let failed = stretch(&place.servers, &client, &name("failed"), true).await;
        // A frozen server would not tell how many commands it had.
        place.heal(fault)?;
        load::sample(&client, TASKS, RETURN, &name("return")).await?;
        let back = stretch(&place.servers, &client, &name("back"), false).await?;
        for (all, one) in stretches.iter_mut().zip([healthy, failed?, back]) {
            all.push(one);
        }
    }
    report(fault, &stretches);
    Ok(())
}

async fn stretch(
    servers: &[Server],
    client: &Client,
    prefix: &str,
    failed: bool,
) -> Result<Stretch> {
    // The faulty one may not answer: its share is none then.
    let (well, faulty) = servers.split_at(FAULTY);
    let faulty = if failed { &[] } else { faulty };
    let words = Peer::Leasehold.sends();
    let count = || anyhow::Ok([commands::sent(well, words)?, commands::sent(faulty, words)?]);
    let before = count()?;
    let mut sample = load::sample(client, TASKS, SPAN, prefix).await?;
    let after = count()?;
    let others = (after[0] - before[0]) as f64 / FAULTY as f64;
    Ok(Stretch {
        p50: median(&mut sample.latencies),
        p99: quantile(&mut sample.latencies, 0.99),
        share: (after[1] - before[1]) as f64 / others,
        failures: sample.failures,
    })
}

fn report(fault: Fault, stretches: &[Vec<Stretch>; 3]) {
    let [healthy, failed, back] = stretches;
    let of = |all: &[Stretch], figure: fn(&Stretch) -> f64| {
        let mut figures: Vec<f64> = all.iter().map(figure).collect();
        median(&mut figures)
    };
    let (p50, p99) = (of(healthy, |s| s.p50), of(healthy, |s| s.p99));
    println!("  {fault:?}: healthy 50th percentile {p50:.0} µs, 99th {p99:.0} µs");
    for (when, all) in [("after the first second", failed), ("back for 2 s", back)] {
        let slower = all
            .iter()
            .zip(healthy)
            .map(|(now, then)| now.p99 / then.p99);
        let slower = median(&mut slower.collect::<Vec<_>>());
        println!(
            "      {when}: 50th {:.0} µs, 99th {:.0} µs: {slower:.2} times, target at most {TARGET}   {}",
            of(all, |s| s.p50),
            of(all, |s| s.p99),
            verdict(slower <= TARGET)
        );
    }
    let (then, now) = (of(healthy, |s| s.share), of(back, |s| s.share));
    println!(
        "      commands to it for each to another: healthy {then:.2}, back for 2 s {now:.2}, target at least 0.8 of that   {}",
        verdict(now >= 0.8 * then)
    );
    let failures: Vec<_> = stretches
        .iter()
        .flatten()
        .flat_map(|s| &s.failures)
        .collect();
    println!(
        "      {} pairs failed, target 0   {}",
        failures.len(),
        verdict(failures.is_empty())
    );
    if let Some(first) = failures.first() {
        println!("      one of them with: {first}");
    }
}

/// `rslock` with one server frozen: seconds per lock, so only a few.
async fn rslock() -> Result<()> {
    const LOCKS: usize = 3;
    let mut place = Place::new()?;
    let client = Peer::Rslock.connect(&place.hosts(Fault::Frozen)).await?;
    let mut healthy = load::sample(&client, TASKS, SPAN, "healthy").await?;
    place.fail(Fault::Frozen)?;
    let mut frozen = Vec::new();
    for i in 0..LOCKS {
        let start = Instant::now();
        client.pair(&format!("frozen-{i}")).await?;
        frozen.push(start.elapsed().as_secs_f64());
    }
    place.heal(Fault::Frozen)?;
    println!(
        "  rslock: healthy 99th percentile {:.0} µs; frozen, {LOCKS} locks one after the other, median {:.1} s",
        quantile(&mut healthy.latencies, 0.99),
        median(&mut frozen)
    );
    Ok(())
}
