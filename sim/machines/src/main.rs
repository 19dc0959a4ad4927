//! Plays many schedules and counts the broken promises. See `sim/README.md`.

mod args;
mod report;

use std::process::ExitCode;

use args::{Args, Task};
use leasehold_sim::log::Keep;
use leasehold_sim::mistakes::{self, Mistake};
use leasehold_sim::schedule::Schedule;
use leasehold_sim::{campaign, shrink};

fn main() -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(problem) => {
            eprintln!("{problem}\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    let sound = match &args.task {
        Task::Run => run(&args),
        Task::Mutations(name) => mutations(&args, name.as_deref()),
        Task::Replay(schedule) => replay(schedule, args.log),
    };
    match sound {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn run(args: &Args) -> bool {
    println!(
        "level machines: {} schedules from seed {}",
        args.schedules, args.seed
    );
    let began = std::time::Instant::now();
    let total = campaign::play(args.seed, args.schedules, args.jobs);
    let took = began.elapsed();
    report::total(&total, took, args.jobs);
    let mut sound = total.failed.is_empty();
    match campaign::twice(args.seed, args.schedules, 200) {
        Ok(compared) => println!("{compared} of them played twice: the logs are the same"),
        Err(differ) => {
            sound = false;
            println!("NOT DETERMINISTIC: {}", differ[0]);
        }
    }
    for (schedule, broken) in &total.failed {
        println!("\nBROKEN {broken}\n  {schedule}");
    }
    if let Some((first, _)) = total.failed.first() {
        tell_shrunk(first);
    }
    sound
}

/// Prints what is left of a failing schedule, for `sim/regressions`.
fn tell_shrunk(schedule: &Schedule) {
    if let Some(small) = shrink::shrink(schedule) {
        let broken = small.play(Keep::Nothing).broken.unwrap_or_default();
        println!(
            "\nshrunk; keep it as a line of sim/regressions/*.txt, replay it with --replay LINE --log:\n  {small}\n  {broken}"
        );
    }
}

fn replay(schedule: &Schedule, log: bool) -> bool {
    let run = schedule.play(if log { Keep::Lines } else { Keep::Digest });
    for line in &run.lines {
        println!("{line}");
    }
    println!("{schedule}: digest {:016x}", run.digest);
    match run.broken {
        None => println!("holds"),
        Some(ref broken) => {
            println!("BROKEN {broken}");
            if !log && schedule.only.is_none() {
                tell_shrunk(schedule);
            }
        }
    }
    run.broken.is_none()
}

/// From how many seeds each mistake is looked for.
const STARTS: u64 = 3;

fn mutations(args: &Args, name: Option<&str>) -> bool {
    report::mistakes_head();
    let mut sound = true;
    let wanted = |mistake: &&Mistake| name.is_none_or(|name| name == mistake.name);
    for &mistake in mistakes::ALL.iter().filter(wanted) {
        let began = std::time::Instant::now();
        let look = |start| move || mistake.noticed(args.seed.wrapping_add(start * 1_000_000_000));
        let found: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..STARTS).map(|start| scope.spawn(look(start))).collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(|found| found.ok().flatten()).collect()
        });
        sound &= report::mistake(&mistake, &found, began.elapsed());
    }
    sound
}
