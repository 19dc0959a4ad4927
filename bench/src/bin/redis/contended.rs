//! One lock that everybody wants.

use std::time::Duration;

use anyhow::{Context, Result};
use leasehold_bench::{Worker, ready_and_wait, shared_nanos, verdict};
use tokio::time::{Instant, sleep, timeout_at};

use crate::client::{Client, Peer};
use crate::servers::{self, Server};
use crate::{commands, python};

pub(crate) const PROCESSES: usize = 4;
pub(crate) const TASKS: usize = 8;
pub(crate) const SPAN: Duration = Duration::from_secs(10);
const HOLD: Duration = Duration::from_millis(1);
const THINK: Duration = Duration::from_millis(1);

pub(crate) fn bench() -> Result<()> {
    println!(
        "one lock, {PROCESSES} processes of {TASKS} tasks for {SPAN:?}, each holds it for {HOLD:?} and thinks for {THINK:?}"
    );
    for (n, peer) in [
        (1, Peer::Leasehold),
        (5, Peer::Leasehold),
        (5, Peer::Rslock),
    ] {
        compare(n, peer)?;
    }
    let servers = servers::start(1)?;
    let workers = (0..PROCESSES).map(|_| python::worker(&servers[0]));
    let workers = workers.collect::<Result<Vec<_>>>()?;
    let result = run(&servers, workers, python::SENDS)?;
    println!("  N = 1, python-redis-lock");
    result.print(None);
    Ok(())
}

fn compare(n: usize, peer: Peer) -> Result<()> {
    let servers = servers::start(n)?;
    let hosts = servers::hosts(&servers);
    let uncontended = crate::block_on(async {
        let client = peer.connect(&hosts).await?;
        commands::per_pair(&servers, &client, peer).await
    })?;
    let hosts = hosts.join(",");
    let workers = (0..PROCESSES).map(|_| Worker::spawn(&["contended-worker", peer.name(), &hosts]));
    let workers = workers.collect::<Result<Vec<_>>>()?;
    let result = run(&servers, workers, peer.sends())?;
    println!("  N = {n}, {}", peer.name());
    result.print(Some((peer, uncontended)));
    Ok(())
}

/// What all tasks together did.
struct Contest {
    /// Acquisitions of each task.
    counts: Vec<f64>,
    held: Duration,
    slowest: Duration,
    overlaps: usize,
    failures: Vec<String>,
    commands: u64,
}

fn run(servers: &[Server], mut workers: Vec<Worker>, words: &[&str]) -> Result<Contest> {
    let before = commands::sent(servers, words)?;
    workers.iter_mut().try_for_each(Worker::start)?;
    let mut lines = Vec::new();
    for (process, worker) in workers.into_iter().enumerate() {
        lines.extend(worker.lines()?.into_iter().map(|line| (process, line)));
    }
    let commands = commands::sent(servers, words)? - before;
    Contest::read(&lines, commands)
}

impl Contest {
    fn read(lines: &[(usize, String)], commands: u64) -> Result<Self> {
        let mut contest = Self {
            counts: vec![0.0; PROCESSES * TASKS],
            held: Duration::ZERO,
            slowest: Duration::ZERO,
            overlaps: 0,
            failures: Vec::new(),
            commands,
        };
        let mut holds = Vec::new();
        for (process, line) in lines {
            if let Some(failure) = line.strip_prefix("failed ") {
                contest.failures.push(failure.to_owned());
                continue;
            }
            let mut words = line.split(' ').map(str::parse::<u64>);
            let mut next = || anyhow::Ok(words.next().context("too few figures")??);
            let (task, had, begun, waited) = (next()?, next()?, next()?, next()?);
            contest.slowest = contest.slowest.max(Duration::from_nanos(waited));
            if begun > 0 {
                contest.counts[process * TASKS + usize::try_from(task)?] += 1.0;
                contest.held += Duration::from_nanos(begun - had);
                holds.push((had, begun));
            }
        }
        holds.sort_unstable();
        contest.overlaps = holds.windows(2).filter(|two| two[1].0 < two[0].1).count();
        Ok(contest)
    }

    /// Prints it, and judges it if it is ours.
    fn print(&self, client: Option<(Peer, f64)>) {
        let ours = matches!(client, Some((Peer::Leasehold, _)));
        let judge = |target: &str, met: bool| match ours {
            true => format!(", target {target}   {}", verdict(met)),
            false => String::new(),
        };
        let total: f64 = self.counts.iter().sum();
        let share = self.held.as_secs_f64() / SPAN.as_secs_f64();
        println!(
            "      {:.0} hand-overs a second, held {:.0} % of the time{}",
            total / SPAN.as_secs_f64(),
            share * 100.0,
            judge("at least 85 %", share >= 0.85)
        );
        let jain = jain(&self.counts);
        let least = self.counts.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.counts.iter().copied().fold(0.0, f64::max);
        println!(
            "      Jain's index {jain:.3}{}; acquisitions of a task {least:.0} to {most:.0}",
            judge("at least 0.98", jain >= 0.98)
        );
        let fair = SPAN.as_secs_f64() * self.counts.len() as f64 / total;
        let slowest = self.slowest.as_secs_f64() / fair;
        println!(
            "      slowest wait {:.0} ms, {slowest:.1} times the fair share{}",
            self.slowest.as_secs_f64() * 1e3,
            judge("at most 3", slowest <= 3.0)
        );
        let each = self.commands as f64 / total;
        let cost = client.map_or_else(String::new, |(_, uncontended)| {
            let times = each / uncontended;
            let judged = judge("at most 3", times <= 3.0);
            format!(", {times:.1} times the uncontended {uncontended:.1}{judged}")
        });
        println!("      commands per acquisition {each:.1}{cost}");
        if self.overlaps > 0 {
            println!("      {} times two held the lock at once", self.overlaps);
        }
        if let Some(first) = self.failures.first() {
            let count = self.failures.len();
            println!("      {count} acquisitions failed, one with: {first}");
        }
    }
}

/// Jain's index of fairness: 1 if all have the same, 1/n if one has everything.
fn jain(counts: &[f64]) -> f64 {
    let sum: f64 = counts.iter().sum();
    let squares: f64 = counts.iter().map(|count| count * count).sum();
    match squares > 0.0 {
        true => sum * sum / (counts.len() as f64 * squares),
        false => 0.0,
    }
}

/// One process. Prints for each acquisition: its task, when the lock was had,
/// when its release began, how long was waited. A wait that the end cut short has
/// zeros for the two times.
pub(crate) fn worker(peer: &str, hosts: &str) -> Result<()> {
    let peer: Peer = peer.parse()?;
    let hosts: Vec<String> = hosts.split(',').map(str::to_owned).collect();
    crate::block_on(async {
        let client = peer.connect(&hosts).await?;
        client
            .pair(&format!("warm-up-{}", std::process::id()))
            .await?;
        ready_and_wait()?;
        let end = Instant::now() + SPAN;
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| tokio::spawn(contend(client.clone(), task, end)))
            .collect();
        for task in tasks {
            for line in task.await? {
                println!("{line}");
            }
        }
        Ok(())
    })
}

async fn contend(client: Client, task: usize, end: Instant) -> Vec<String> {
    let mut lines = Vec::new();
    while Instant::now() < end {
        let asked = shared_nanos();
        match timeout_at(end, client.lock("contended")).await {
            Err(_) => lines.push(format!("{task} 0 0 {}", shared_nanos() - asked)),
            Ok(Err(error)) => lines.push(format!("failed {error}")),
            Ok(Ok(held)) => {
                let had = shared_nanos();
                sleep(HOLD).await;
                let begun = shared_nanos();
                lines.push(format!("{task} {had} {begun} {}", had - asked));
                if let Err(error) = held.release().await {
                    lines.push(format!("failed {error}"));
                }
                sleep(THINK).await;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jains_index_of_known_shares() {
        assert!((jain(&[3.0, 3.0, 3.0]) - 1.0).abs() < 1e-9);
        assert!((jain(&[9.0, 0.0, 0.0]) - 1.0 / 3.0).abs() < 1e-9);
        assert!(jain(&[0.0]).abs() < 1e-9);
    }

    #[test]
    fn two_holders_at_once_are_seen() {
        let line = |text: &str| (0, text.to_owned());
        let lines = [
            line("0 10 20 5"),
            line("1 20 30 9"),
            line("0 29 40 1"),
            line("1 0 0 99"),
            line("failed x"),
        ];
        let contest = Contest::read(&lines, 7).unwrap();
        assert_eq!(contest.overlaps, 1);
        assert_eq!(contest.counts[..2], [2.0, 1.0]);
        assert_eq!(contest.slowest, Duration::from_nanos(99));
        assert_eq!(contest.held, Duration::from_nanos(31));
        assert_eq!(contest.failures, ["x"]);
    }
}
