//! Plays many runs and counts the broken promises.

use std::process::ExitCode;

use leasehold_core::quorum::{Mutation, mutate};
use leasehold_sim_quorum::{Run, timed, untimed};

const USAGE: &str = "usage: leasehold-sim-quorum untimed|timed [--nodes N] [--runs N] [--seed N] [--mutation NAME] [--log]
  --seed      the first run's seed; each run takes the next one
  --log       print the log of each run
  --mutation  make a mistake on purpose: no-promote, no-raise, no-quarantine, no-leap, no-ticket,
              extend-creates, extend-shortens, release-anything, reachable-quorum,
              handover-from-not-joined, handover-deadline-from-push, permits-counted-per-node";

#[derive(Debug)]
struct Args {
    timed: bool,
    nodes: usize,
    runs: u64,
    seed: u64,
    mutation: Option<Mutation>,
    log: bool,
}

fn main() -> ExitCode {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    mutate(args.mutation);
    let (mut broken, mut first) = (0, None);
    let (mut grants, mut handed, mut at_once, mut rejoined) = (0, 0, 0, 0);
    let mut digest = 0_u64;
    for seed in args.seed..args.seed + args.runs {
        let run = play(&args, seed);
        for line in &run.lines {
            println!("{line}");
        }
        grants += run.grants;
        handed += run.handed;
        at_once += run.at_once;
        rejoined += run.rejoined;
        digest = digest.rotate_left(1) ^ run.digest;
        if let Some(promise) = run.broken {
            broken += 1;
            first.get_or_insert((seed, promise));
        }
    }
    println!(
        "{} world, {} nodes: {} runs from seed {}, {broken} broken; {grants} grants ({handed} handed over, {at_once} with no promotion), {rejoined} rejoins; digest {digest:016x}",
        if args.timed { "timed" } else { "untimed" },
        args.nodes,
        args.runs,
        args.seed,
    );
    match first {
        Some((seed, promise)) => {
            println!(
                "first after {} runs, seed {seed}: {promise}",
                seed - args.seed + 1
            );
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

fn play(args: &Args, seed: u64) -> Run {
    if args.timed {
        timed::run(timed::Setup::of(args.nodes), seed, args.log)
    } else {
        untimed::run(untimed::Setup::of(args.nodes), seed, args.log)
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
    let timed = match words.next().as_deref() {
        Some("timed") => true,
        Some("untimed") => false,
        _ => return Err("name a world".to_owned()),
    };
    let mut args = Args {
        timed,
        nodes: 3,
        runs: 1000,
        seed: 0,
        mutation: None,
        log: false,
    };
    while let Some(word) = words.next() {
        if word == "--log" {
            args.log = true;
            continue;
        }
        let value = words
            .next()
            .ok_or_else(|| format!("{word} needs a value"))?;
        let number = || {
            value
                .parse::<u64>()
                .map_err(|e| format!("{word} {value}: {e}"))
        };
        match word.as_str() {
            "--nodes" => match number()? {
                nodes @ 1..=9 => args.nodes = nodes as usize,
                _ => return Err(format!("{word} {value}: give 1 to 9")),
            },
            "--runs" => args.runs = number()?,
            "--seed" => args.seed = number()?,
            "--mutation" => args.mutation = Some(mutation(&value)?),
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(args)
}

fn mutation(name: &str) -> Result<Mutation, String> {
    Ok(match name {
        "no-promote" => Mutation::NoPromote,
        "no-raise" => Mutation::NoRaise,
        "no-quarantine" => Mutation::NoQuarantine,
        "no-leap" => Mutation::NoLeap,
        "no-ticket" => Mutation::NoTicket,
        "extend-creates" => Mutation::ExtendCreates,
        "extend-shortens" => Mutation::ExtendShortens,
        "release-anything" => Mutation::ReleaseAnything,
        "reachable-quorum" => Mutation::ReachableQuorum,
        "handover-from-not-joined" => Mutation::HandoverFromNotJoined,
        "handover-deadline-from-push" => Mutation::HandoverDeadlineFromPush,
        "permits-counted-per-node" => Mutation::PermitsCountedPerNode,
        _ => return Err(format!("unknown mutation {name}")),
    })
}
