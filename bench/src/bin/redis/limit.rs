//! The servers' own limit: redis-benchmark on the very commands that the client
//! sends, with nobody waiting for anything.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::client::Peer;
use crate::monitor::{self, Monitor};
use crate::servers::{self, Server};

/// The name of the recorded lock; others stand for it in what is replayed.
const NAME: &str = "the-recorded-name";
/// How many names are recorded, so that every server is asked for some.
const NAMES: usize = 40;
/// What redis-benchmark puts twelve random digits for, each time others.
const RANDOM: &str = "__rand_int__";
/// Acquires per server, of names that are free.
const ACQUIRES: usize = 200_000;
/// Locks held when the releases begin.
const HELD: usize = 200_000;
/// Releases per server, at random: few enough that most find their lock held.
const RELEASES: usize = 30_000;

pub(crate) fn bench() -> Result<()> {
    for n in [1, 5] {
        print(n)?;
    }
    Ok(())
}

/// Measures and prints the limit of `n` servers that are busy at once.
pub(crate) fn print(n: usize) -> Result<()> {
    let servers = servers::start(n)?;
    let pairs = crate::block_on(record(&servers))?;
    let [acquires, releases] = replay(&servers, &pairs)?;
    let pairs = 1.0 / (1.0 / acquires + 1.0 / releases);
    println!(
        "      limit by redis-benchmark -P 32, {n} busy at once: {pairs:.0} pairs/s on each (acquires {acquires:.0}/s, releases {releases:.0}/s)"
    );
    Ok(())
}

type Words = Vec<String>;

/// What takes a lock on one server, and what gives it back.
struct Pair {
    acquire: Words,
    release: Words,
}

/// A pair as our client sends it to each server.
async fn record(servers: &[Server]) -> Result<Vec<Pair>> {
    let client = Peer::Leasehold.connect(&servers::hosts(servers)).await?;
    client.pair("warm-up").await?;
    let monitors = servers
        .iter()
        .map(Monitor::start)
        .collect::<Result<Vec<_>>>()?;
    // Each name is asked for on a quorum of the servers only.
    for number in 0..NAMES {
        client.pair(&name(number)).await?;
    }
    let recorded = monitors.into_iter().zip(servers);
    recorded
        .map(|(monitor, server)| pair(&monitor.stop(server)?))
        .collect()
}

fn name(number: usize) -> String {
    format!("{NAME}-{number:02}")
}

/// The first pair that a server was sent.
fn pair(sent: &[String]) -> Result<Pair> {
    let scripts = sent.iter().map(|line| monitor::words(line));
    let mut scripts = scripts.collect::<Result<Vec<_>>>()?;
    scripts.retain(|words| {
        words
            .first()
            .is_some_and(|word| word.eq_ignore_ascii_case("evalsha"))
    });
    let of = |name: String| -> Option<Pair> {
        let about = |words: &&Words| words.iter().any(|word| word.contains(&name));
        let own: Vec<_> = scripts.iter().filter(about).collect();
        let [acquire, release] = <[&Words; 2]>::try_from(own).ok()?;
        let plain = |words: &Words| words.iter().map(|word| word.replace(&name, NAME)).collect();
        Some(Pair {
            acquire: plain(acquire),
            release: plain(release),
        })
    };
    (0..NAMES)
        .find_map(|number| of(name(number)))
        .context("no pair is one script to acquire and one to release; see limit.rs")
}

/// Acquires per second and releases per second, the mean of the servers.
fn replay(servers: &[Server], pairs: &[Pair]) -> Result<[f64; 2]> {
    for (server, pair) in servers.iter().zip(pairs) {
        hold(server, &pair.acquire)?;
    }
    let count = || servers.iter().map(Server::keys).sum::<Result<u64>>();
    let keys = count()?;
    let releases = run(servers, RELEASES, HELD, pairs.iter().map(|p| &p.release))?;
    let (removed, expected) = (keys.saturating_sub(count()?), RELEASES * servers.len());
    ensure!(
        removed as f64 >= 0.85 * expected as f64,
        "{expected} releases removed {removed} keys: they do not meet what is held; see limit.rs"
    );
    let names = 1_000_000_000_000;
    let acquires = run(servers, ACQUIRES, names, pairs.iter().map(|p| &p.acquire))?;
    Ok([acquires, releases])
}

/// The same command for another lock.
fn renamed(words: &[String], name: &str) -> Words {
    words.iter().map(|word| word.replace(NAME, name)).collect()
}

/// Takes every lock whose name redis-benchmark may choose, all with one nonce.
fn hold(server: &Server, acquire: &[String]) -> Result<()> {
    const BATCH: usize = 1000;
    let mut connection = server.connect()?;
    for first in (0..HELD).step_by(BATCH) {
        let mut batch = redis::pipe();
        for i in first..first + BATCH {
            let words = renamed(acquire, &format!("{i:012}"));
            batch.cmd(&words[0]).arg(&words[1..]);
        }
        batch.exec(&mut connection)?;
    }
    Ok(())
}

/// One redis-benchmark per server, all at once: requests per second, the mean.
fn run<'a>(
    servers: &[Server],
    requests: usize,
    names: usize,
    commands: impl Iterator<Item = &'a Words>,
) -> Result<f64> {
    let mut running = Vec::new();
    for (server, words) in servers.iter().zip(commands) {
        let mut command = Command::new("redis-benchmark");
        command
            .args(["-p", &server.port().to_string(), "-P", "32", "-c", "50"])
            .args([
                "-n",
                &requests.to_string(),
                "-r",
                &names.to_string(),
                "--csv",
            ])
            .args(renamed(words, RANDOM))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        running.push(
            command.spawn().context(
                "redis-benchmark cannot be started; it is in Debian's package redis-tools",
            )?,
        );
    }
    let mut sum = 0.0;
    for process in running {
        let output = process.wait_with_output()?;
        ensure!(output.status.success(), "redis-benchmark failed");
        sum += rate(&String::from_utf8_lossy(&output.stdout))?;
    }
    Ok(sum / servers.len() as f64)
}

/// Its second column, counted from the right since the first is the command.
fn rate(csv: &str) -> Result<f64> {
    let line = csv.lines().last().context("redis-benchmark said nothing")?;
    let value = line.rsplit("\",\"").nth(6).context("too few columns")?;
    value
        .parse()
        .with_context(|| format!("redis-benchmark said {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_found_in_the_table() {
        let table =
            "\"test\",\"rps\"\n\"EVALSHA x \",\"12500.50\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\"\n";
        assert!((rate(table).unwrap() - 12_500.5).abs() < 1e-6);
    }

    #[test]
    fn another_name_takes_every_place_of_the_first() {
        let words = [NAME, "x", "a:{the-recorded-name}:b"].map(str::to_owned);
        assert_eq!(renamed(&words, "7"), ["7", "x", "a:{7}:b"]);
    }
}
