//! `cargo xtask sim`: the simulation, in a release build.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use clap::Args;

use crate::process;
use crate::workspace::{self, Workspace};

/// What to simulate.
#[derive(Args)]
pub(crate) struct Sim {
    /// How many schedules to play.
    #[arg(long, default_value_t = 200_000)]
    schedules: u64,
    /// The first one's seed; without it, a new one, which is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// What runs: the state machines alone.
    #[arg(long, default_value = "machines", value_name = "LEVEL")]
    level: String,
    /// How many threads; without it, as many as there are cores.
    #[arg(long)]
    jobs: Option<u64>,
    /// Instead: make mistakes on purpose, all or this one, and tell how soon each is noticed.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    mutations: Option<String>,
    /// Instead: play one schedule, a line as the others print it.
    #[arg(long, value_name = "LINE")]
    replay: Option<String>,
    /// With --replay: print its history.
    #[arg(long)]
    log: bool,
    /// Instead: go through every state of the quorum machines in small scopes.
    #[arg(long)]
    exhaustive: bool,
    /// With --exhaustive: how long, at most.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
}

/// Runs the simulation.
///
/// # Errors
///
/// When a promise was broken, a mistake went unnoticed, or the simulation could not be built.
pub(crate) fn run(sim: &Sim) -> Result<()> {
    let workspace = workspace()?;
    if sim.exhaustive {
        let mut command = process::cargo(&workspace);
        command
            .args("run --release --locked --bin exhaustive -- --minutes".split(' '))
            .arg(sim.minutes.to_string());
        return process::run(&mut command);
    }
    if sim.level != "machines" {
        bail!("--level {}: the only level is machines", sim.level);
    }
    let seed = sim.seed.unwrap_or_else(new_seed);
    let mut args = vec!["--seed".to_owned(), seed.to_string()];
    if let Some(jobs) = sim.jobs {
        args.extend(["--jobs".to_owned(), jobs.to_string()]);
    }
    match (&sim.replay, &sim.mutations) {
        (Some(line), _) => args.extend(["--replay".to_owned(), line.clone()]),
        (None, Some(name)) => {
            args.push("--mutations".to_owned());
            args.extend((!name.is_empty()).then(|| name.clone()));
        }
        (None, None) => args.extend(["--schedules".to_owned(), sim.schedules.to_string()]),
    }
    if sim.log {
        args.push("--log".to_owned());
    }
    machines(&workspace, &args)
}

/// So many schedules from a new seed, which is printed.
///
/// # Errors
///
/// When a promise was broken, or the simulation could not be built.
pub(crate) fn schedules(count: u64) -> Result<String> {
    let seed = new_seed();
    let args = [
        "--seed",
        &seed.to_string(),
        "--schedules",
        &count.to_string(),
    ];
    machines(&workspace()?, &args.map(str::to_owned))?;
    Ok(format!("{count} schedules from seed {seed}"))
}

fn machines(workspace: &Workspace, args: &[String]) -> Result<()> {
    let mut command = process::cargo(workspace);
    command
        .args("run --release --locked --package leasehold-sim --".split(' '))
        .args(args);
    process::run(&mut command)
}

fn workspace() -> Result<Workspace> {
    let found = workspace::all().into_iter().find(|w| w.name == "sim");
    let Some(workspace) = found else {
        bail!("there is no sim/ workspace in this checkout, so there is nothing to run");
    };
    Ok(workspace)
}

/// Another one each time: seconds since 1970, with room for a campaign between two.
fn new_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs()) * 1_000_000
}
