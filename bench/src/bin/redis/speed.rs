//! Acquire + release on separate names, beside `rslock` on the same servers.

use std::time::Duration;

use anyhow::Result;
use leasehold_bench::{median, verdict};

use crate::client::Peer;
use crate::{commands, limit, load, servers};

const SPAN: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(300);
const TASKS: [usize; 3] = [1, 64, 512];
const PEERS: [Peer; 2] = [Peer::Leasehold, Peer::Rslock];

pub(crate) fn bench() -> Result<()> {
    println!(
        "acquire + release on separate names, medians of {} rounds of {SPAN:?} in turn",
        crate::ROUNDS
    );
    for n in [1, 5] {
        for tasks in TASKS {
            crate::block_on(compare(n, tasks))?;
        }
        crate::block_on(count(n))?;
        limit::print(n)?;
    }
    Ok(())
}

/// The rounds of one peer.
#[derive(Default)]
struct Rounds {
    rates: Vec<f64>,
    micros: Vec<f64>,
    cpu: Vec<f64>,
}

async fn compare(n: usize, tasks: usize) -> Result<()> {
    let servers = servers::start(n)?;
    let hosts = servers::hosts(&servers);
    let mut clients = Vec::new();
    for peer in PEERS {
        let client = peer.connect(&hosts).await?;
        load::run(&client, tasks, WARM_UP, &format!("{}-warm", peer.name())).await?;
        clients.push((peer, client, Rounds::default()));
    }
    for round in 0..crate::ROUNDS {
        for (peer, client, rounds) in &mut clients {
            let prefix = format!("{}-{round}", peer.name());
            let figures = load::run(client, tasks, SPAN, &prefix).await?;
            rounds.rates.push(figures.pairs_per_second);
            rounds.micros.push(figures.median_micros);
            rounds.cpu.push(figures.cpu_micros);
        }
    }
    let mut rounds = clients.into_iter().map(|(_, _, rounds)| rounds);
    let (ours, theirs) = (rounds.next(), rounds.next());
    report(
        n,
        tasks,
        ours.unwrap_or_default(),
        theirs.unwrap_or_default(),
    );
    Ok(())
}

fn report(n: usize, tasks: usize, mut ours: Rounds, mut theirs: Rounds) {
    let (rate, peer_rate) = (median(&mut ours.rates), median(&mut theirs.rates));
    let ratio = rate / peer_rate;
    // One task of five servers is judged by its latency.
    let target = match (n, tasks) {
        (1, _) => Some(1.0),
        (_, 1) => None,
        _ => Some(2.5),
    };
    let judged = target.map_or_else(String::new, |target| {
        format!(", target {target}   {}", verdict(ratio >= target))
    });
    println!(
        "  N = {n}, {tasks:>3} tasks   leasehold {rate:>7.0} pairs/s, rslock {peer_rate:>7.0}: {ratio:.2} times{judged}"
    );
    println!(
        "      client's processor time per pair {:.1} µs, rslock {:.1} µs",
        median(&mut ours.cpu),
        median(&mut theirs.cpu)
    );
    if tasks == 1 {
        let (micros, peer_micros) = (median(&mut ours.micros), median(&mut theirs.micros));
        let ratio = micros / peer_micros;
        let judged = match n {
            1 => String::new(),
            _ => format!(", target at most 0.8   {}", verdict(ratio <= 0.8)),
        };
        println!(
            "      median latency {micros:.0} µs, rslock {peer_micros:.0} µs: {ratio:.2} times{judged}"
        );
    }
}

/// The commands that each acquisition and its release cost.
async fn count(n: usize) -> Result<()> {
    let servers = servers::start(n)?;
    let hosts = servers::hosts(&servers);
    let mut counts = Vec::new();
    for peer in PEERS {
        let client = peer.connect(&hosts).await?;
        let count = commands::per_pair(&servers, &client, peer).await?;
        counts.push(format!("{} {count:.1}", peer.name()));
    }
    println!(
        "      commands per pair, all {n} servers together: {}",
        counts.join(", ")
    );
    Ok(())
}
