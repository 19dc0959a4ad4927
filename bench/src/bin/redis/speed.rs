//! Acquire + release on separate names, beside `rslock` on the same servers.

use std::time::Duration;

use anyhow::Result;
use leasehold_bench::{median, verdict};

use crate::client::Peer;
use crate::load::Figures;
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
            one(n, tasks)?;
        }
        crate::block_on(count(n))?;
        limit::print(n)?;
    }
    Ok(())
}

/// So many servers and tasks only.
pub(crate) fn one(n: usize, tasks: usize) -> Result<()> {
    crate::block_on(compare(n, tasks))
}

/// The rounds of one peer.
#[derive(Default)]
struct Rounds(Vec<Figures>);

impl Rounds {
    fn median(&self, figure: fn(&Figures) -> f64) -> f64 {
        let mut figures: Vec<f64> = self.0.iter().map(figure).collect();
        median(&mut figures)
    }
}

async fn compare(n: usize, tasks: usize) -> Result<()> {
    let servers = servers::start(n)?;
    let hosts = servers::hosts(&servers);
    let mut clients = Vec::new();
    for peer in PEERS {
        let client = peer.connect(&hosts).await?;
        let warm = format!("{}-warm", peer.name());
        load::run(&client, &servers, tasks, WARM_UP, &warm).await?;
        clients.push((peer, client, Rounds::default()));
    }
    for round in 0..crate::ROUNDS {
        for (peer, client, rounds) in &mut clients {
            let prefix = format!("{}-{round}", peer.name());
            let figures = load::run(client, &servers, tasks, SPAN, &prefix).await?;
            rounds.0.push(figures);
        }
    }
    report(n, tasks, &clients[0].2, &clients[1].2);
    Ok(())
}

fn report(n: usize, tasks: usize, ours: &Rounds, theirs: &Rounds) {
    let both = |figure| (ours.median(figure), theirs.median(figure));
    let (rate, peer_rate) = both(|f| f.pairs_per_second);
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
    for (what, figure) in [
        (
            "the client's processor time per pair, µs",
            (|f| f.client_micros) as fn(&Figures) -> f64,
        ),
        ("the servers' processor time per pair, µs", |f| {
            f.server_micros
        }),
        ("commands sent per pair, all servers together", |f| {
            f.commands
        }),
        ("times a thread of the client slept per pair", |f| f.sleeps),
    ] {
        let (ours, theirs) = both(figure);
        println!("      {what}: {ours:.1}, rslock {theirs:.1}");
    }
    if tasks == 1 {
        let (micros, peer_micros) = both(|f| f.median_micros);
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
