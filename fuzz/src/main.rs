//! Feeds targets with inputs for a while; ends with 1 if one of them failed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use leasehold_fuzz::run::{self, Outcome};
use leasehold_fuzz::target::Kind;
use serde_json::json;

/// Feeds Leasehold with what nobody should ever send it.
#[derive(Parser)]
struct Args {
    /// For how long, all targets together.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where the choices start; a new one each time unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Writes the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Lists the targets.
    #[arg(long)]
    list: bool,
    /// Which targets; all unless given.
    targets: Vec<String>,
}

fn main() -> ExitCode {
    match feed(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn feed(args: &Args) -> Result<bool> {
    if args.list {
        for kind in Kind::ALL {
            println!("{:<8} {}", kind.name, kind.about);
        }
        return Ok(true);
    }
    let named: Vec<_> = args
        .targets
        .iter()
        .map(|name| Kind::named(name))
        .collect::<Result<_>>()?;
    let kinds = if named.is_empty() {
        Kind::ALL.to_vec()
    } else {
        named
    };
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let share = Duration::from_secs(args.seconds) / kinds.len() as u32;
    let mut outcomes = Vec::new();
    for kind in kinds {
        let outcome = run::run(kind, share, seed).with_context(|| kind.name)?;
        println!(
            "{:<8} {:>9} inputs, {:>5} kinds of answers, {:>4.1} s, at most {:>6} KiB at once: {}",
            outcome.target,
            outcome.cases,
            outcome.shapes,
            outcome.took.as_secs_f64(),
            outcome.peak >> 10,
            if outcome.found.is_none() {
                "nothing found"
            } else {
                "FAILED"
            },
        );
        for (what, count) in &outcome.tally {
            println!("{:>18} {what}", count);
        }
        if let Some(found) = &outcome.found {
            run::report(outcome.target, found);
        }
        outcomes.push(outcome);
    }
    if let Some(file) = &args.json {
        let text = format!("{:#}\n", figures(seed, args.seconds, &outcomes));
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(outcomes.iter().all(|outcome| outcome.found.is_none()))
}

fn figures(seed: u64, seconds: u64, outcomes: &[Outcome]) -> serde_json::Value {
    let targets: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            let about = Kind::named(outcome.target).map_or("", |kind| kind.about);
            json!({
                "target": outcome.target,
                "about": about,
                "inputs": outcome.cases,
                "answers": outcome.shapes,
                "seconds": outcome.took.as_secs_f64(),
                "tally": outcome.tally,
                "peak_bytes": outcome.peak,
                "found": outcome.found.as_ref().map(|found| found.problem.clone()),
            })
        })
        .collect();
    json!({ "seed": seed, "seconds": seconds, "targets": targets })
}
