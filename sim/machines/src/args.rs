//! The command line.

use leasehold_sim::mistakes::Mistake;
use leasehold_sim::schedule::Schedule;

pub(crate) const USAGE: &str = "usage: leasehold-sim [--schedules N] [--seed N] [--jobs N]
       leasehold-sim --mutations [NAME] [--seed N]
       leasehold-sim --replay LINE [--log]
  --schedules  how many to play (default 200000)
  --seed       the first one's seed; each takes the next
  --jobs       how many threads (default: as many as cores)
  --mutations  make mistakes on purpose, and tell after how many schedules each is noticed
  --replay     play one schedule, written as the other two write it
  --log        print its history";

#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) task: Task,
    pub(crate) schedules: u64,
    pub(crate) seed: u64,
    pub(crate) jobs: usize,
    pub(crate) log: bool,
}

#[derive(Debug)]
pub(crate) enum Task {
    Run,
    Mutations(Option<String>),
    Replay(Schedule),
}

pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Args, String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut args = Args {
        task: Task::Run,
        schedules: 200_000,
        seed: 0,
        jobs: cores,
        log: false,
    };
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        let number = |text: &str| {
            text.parse::<u64>()
                .map_err(|error| format!("{word} {text}: {error}"))
        };
        match word.as_str() {
            "--log" => args.log = true,
            "--schedules" => args.schedules = number(&value()?)?,
            "--seed" => args.seed = number(&value()?)?,
            "--jobs" => args.jobs = number(&value()?)?.clamp(1, 64) as usize,
            "--replay" => args.task = Task::Replay(value()?.parse()?),
            "--mutations" => {
                let name = words.next_if(|word| !word.starts_with("--"));
                if let Some(name) = &name {
                    Mistake::named(name)?;
                }
                args.task = Task::Mutations(name);
            }
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(args)
}
