//! The Redis engine's benchmark: `cargo xtask bench redis`.
//!
//! Each part starts servers of its own, prints its figures, the target, and
//! whether it was met.

mod client;
mod commands;
mod contended;
mod fault;
mod flat;
mod held;
mod limit;
mod load;
mod monitor;
mod names;
mod proxy;
mod python;
mod servers;
mod speed;

use anyhow::{Result, bail};

/// Rounds per figure; the median is printed.
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["contended-worker", peer, hosts] => contended::worker(peer, hosts),
        ["held-client", nodes, leases] => held::client(nodes.parse()?, leases.parse()?),
        [] | ["all"] => {
            speed::bench()?;
            fault::bench()?;
            contended::bench()?;
            held::bench()?;
            names::bench()?;
            flat::bench()
        }
        ["speed"] => speed::bench(),
        ["speed", nodes, tasks] => speed::one(nodes.parse()?, tasks.parse()?),
        ["limit"] => limit::bench(),
        ["fault"] => fault::bench(),
        ["contended"] => contended::bench(),
        ["held"] => held::bench(),
        ["names"] => names::bench(),
        ["flat"] => flat::bench(),
        _ => bail!(
            "usage: cargo xtask bench redis [-- speed [SERVERS TASKS]|limit|fault|contended|held|names|flat|all]"
        ),
    }
}

/// Runs a future on tokio with two worker threads, as every client here.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(future)
}
