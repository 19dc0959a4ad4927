//! Many schedules on several cores.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::Tally;
use crate::log::Keep;
use crate::schedule::{Schedule, World};
use crate::timed::Clocks::{Beyond, Within};
use crate::untimed::Mix::{Amnesia, Stale, Usual};

/// Which worlds, and how often each: one after the other.
pub const WORLDS: &[World] = &[
    World::Untimed(3, Usual),
    World::Timed(3, Within),
    World::Record(Within),
    World::Untimed(5, Usual),
    World::Untimed(3, Amnesia),
    World::Timed(3, Beyond),
    World::Untimed(3, Usual),
    World::Record(Within),
    World::Timed(5, Within),
    World::Untimed(1, Usual),
    World::Untimed(3, Usual),
    World::Timed(3, Within),
    World::Record(Beyond),
    World::Untimed(5, Usual),
    World::Untimed(3, Stale),
    World::Timed(5, Beyond),
    World::Untimed(3, Usual),
    World::Record(Within),
    World::Timed(1, Within),
    World::Untimed(5, Amnesia),
];

/// How many schedules a core takes at once.
const BATCH: u64 = 64;
/// How many of the failing schedules are kept.
const KEPT: usize = 10;

/// What one kind of world came to.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Schedules played.
    pub schedules: u64,
    /// What happened in them.
    pub tally: Tally,
    /// Violations by promise.
    pub broken: BTreeMap<String, u64>,
    /// Wall-clock time on one core, in seconds.
    pub seconds: f64,
}

impl Part {
    fn add(&mut self, other: &Self) {
        self.schedules += other.schedules;
        self.tally.add(&other.tally);
        self.seconds += other.seconds;
        for (promise, count) in &other.broken {
            *self.broken.entry(promise.clone()).or_default() += count;
        }
    }
}

/// What all came to.
#[derive(Debug, Default)]
pub struct Total {
    /// By world and number of nodes.
    pub parts: BTreeMap<(&'static str, usize), Part>,
    /// The first failing schedules, and how each failed.
    pub failed: Vec<(Schedule, String)>,
}

impl Total {
    /// All kinds together.
    #[must_use]
    pub fn sum(&self) -> Part {
        let mut sum = Part::default();
        self.parts.values().for_each(|part| sum.add(part));
        sum
    }

    fn add(&mut self, other: Self) {
        for (kind, part) in other.parts {
            self.parts.entry(kind).or_default().add(&part);
        }
        self.failed.extend(other.failed);
        self.failed.sort_by_key(|(schedule, _)| schedule.seed);
        self.failed.truncate(KEPT);
    }
}

/// The schedule of this number.
#[must_use]
pub fn schedule(seed: u64, number: u64) -> Schedule {
    let place = usize::try_from(number % WORLDS.len() as u64).unwrap_or_default();
    Schedule {
        world: WORLDS[place],
        seed: seed.wrapping_add(number),
        mistake: None,
        only: None,
    }
}

/// Plays schedules `0..count` of a seed on so many threads.
#[must_use]
pub fn play(seed: u64, count: u64, jobs: usize) -> Total {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Total::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                let mut mine = Total::default();
                loop {
                    let from = next.fetch_add(BATCH, Ordering::Relaxed);
                    if from >= count {
                        break;
                    }
                    (from..count.min(from + BATCH)).for_each(|n| one(seed, n, &mut mine));
                }
                total
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .add(mine);
            });
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn one(seed: u64, number: u64, total: &mut Total) {
    let began = Instant::now();
    let schedule = schedule(seed, number);
    let run = schedule.play(Keep::Nothing);
    let kind = (schedule.world.name(), schedule.world.nodes());
    let part = total.parts.entry(kind).or_default();
    part.schedules += 1;
    part.tally.add(&run.tally);
    part.seconds += began.elapsed().as_secs_f64();
    if let Some(promise) = run.promise() {
        *part.broken.entry(promise.to_owned()).or_default() += 1;
    }
    if let Some(broken) = run.broken
        && total.failed.len() < KEPT
    {
        total.failed.push((schedule, broken));
    }
}

/// Plays a sample of the schedules twice and compares the logs. The answer is how
/// many were compared.
///
/// # Errors
///
/// The schedules whose logs differ.
pub fn twice(seed: u64, count: u64, sample: u64) -> Result<u64, Vec<Schedule>> {
    let stride = (count / sample.max(1)).max(1) | 1;
    let numbers = (0..count).step_by(usize::try_from(stride).unwrap_or(1));
    let mut compared = 0;
    let mut differ = Vec::new();
    for number in numbers {
        let schedule = schedule(seed, number);
        let digest = || schedule.play(Keep::Digest).digest;
        // The second on a thread of its own: nothing may be left from the first.
        let other = std::thread::scope(|scope| scope.spawn(digest).join());
        if other.is_ok_and(|other| other == digest()) {
            compared += 1;
        } else {
            differ.push(schedule);
        }
    }
    match differ.is_empty() {
        true => Ok(compared),
        false => Err(differ),
    }
}
