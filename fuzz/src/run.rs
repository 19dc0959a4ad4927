//! Runs one target for a while.

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastrand::Rng;

use crate::corpus;
use crate::minimise::minimise;
use crate::mutate::mutate;
use crate::target::{Kind, Shape, Target};
use crate::watch::{self, Case, HEAP, PATIENCE};

/// How many inputs are kept in memory to be changed further.
const POOL: usize = 4096;
/// How long is spent on making a failing input smaller.
const MINIMISING: Duration = Duration::from_secs(20);

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Of which target.
    pub target: &'static str,
    /// How many inputs were fed.
    pub cases: u64,
    /// How many kinds of answers there were.
    pub shapes: usize,
    /// How long it ran.
    pub took: Duration,
    /// The greatest amount of memory of any case, in bytes.
    pub peak: usize,
    /// What the target counted besides.
    pub tally: BTreeMap<&'static str, u64>,
    /// The first that failed.
    pub found: Option<Found>,
}

/// An input that fails.
#[derive(Clone, Debug)]
pub struct Found {
    /// The input, as small as it goes.
    pub input: Vec<u8>,
    /// What does not hold.
    pub problem: String,
}

/// What the lanes share.
struct Shared {
    stop: AtomicBool,
    pool: Mutex<Pool>,
    found: Mutex<Option<Found>>,
    /// What each lane is at, and since when.
    current: Vec<Mutex<Current>>,
}

/// A case under way: since when, and its input.
type Current = Option<(Instant, Vec<u8>)>;

struct Pool {
    inputs: Vec<Vec<u8>>,
    seen: HashSet<Shape>,
    cases: u64,
    peak: usize,
    tally: BTreeMap<&'static str, u64>,
}

/// Runs a target for so long, from this seed.
///
/// # Errors
///
/// When it could not be run at all. What it found is no error.
pub fn run(kind: Kind, length: Duration, seed: u64) -> Result<Outcome> {
    watch::keep_panics();
    let targets = kind.open(kind.lanes)?;
    let shared = Shared {
        stop: AtomicBool::new(false),
        pool: Mutex::new(Pool {
            inputs: corpus::load(kind.name)?,
            seen: HashSet::new(),
            cases: 0,
            peak: 0,
            tally: BTreeMap::new(),
        }),
        found: Mutex::new(None),
        current: targets.iter().map(|_| Mutex::new(None)).collect(),
    };
    let start = Instant::now();
    thread::scope(|scope| {
        for (lane, mut target) in targets.into_iter().enumerate() {
            let shared = &shared;
            scope.spawn(move || {
                let random = Rng::with_seed(seed.wrapping_add(lane as u64));
                lane_of(lane, &mut *target, random, shared, start + length);
                for (what, count) in target.tally() {
                    *lock(&shared.pool).tally.entry(what).or_default() += count;
                }
                shared.give_up_if_last();
            });
        }
        scope.spawn(|| shared.guard(kind));
    });
    let took = start.elapsed();
    let pool = shared
        .pool
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let found = shared
        .found
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    Ok(Outcome {
        target: kind.name,
        cases: pool.cases,
        shapes: pool.seen.len(),
        took,
        peak: pool.peak,
        tally: pool.tally,
        found: found.map(|found| smaller(kind, found)).transpose()?,
    })
}

fn lane_of(lane: usize, target: &mut dyn Target, mut random: Rng, shared: &Shared, end: Instant) {
    // All that is kept comes first, each in one lane.
    let kept = lock(&shared.pool).inputs.clone();
    let mut kept = kept.into_iter().skip(lane).step_by(shared.current.len());
    while Instant::now() < end && !shared.stop.load(Ordering::Relaxed) {
        let input = match kept.next() {
            Some(input) => input,
            None => next(target, &mut random, shared),
        };
        *lock(&shared.current[lane]) = Some((Instant::now(), input.clone()));
        let (result, peak) = feed(target, &input, shared.current.len() == 1);
        *lock(&shared.current[lane]) = None;
        let mut pool = lock(&shared.pool);
        pool.cases += 1;
        pool.peak = pool.peak.max(peak);
        match result {
            Ok(shape) => {
                if pool.seen.insert(shape) && pool.inputs.len() < POOL {
                    pool.inputs.push(input);
                }
            }
            Err(problem) => {
                drop(pool);
                lock(&shared.found).get_or_insert(Found { input, problem });
                shared.stop.store(true, Ordering::Relaxed);
            }
        }
    }
    *lock(&shared.current[lane]) = None;
}

fn next(target: &dyn Target, random: &mut Rng, shared: &Shared) -> Vec<u8> {
    if random.u32(..8) == 0 {
        return target.invent(random);
    }
    let pool = lock(&shared.pool);
    match pool.inputs.len() {
        0 => target.invent(random),
        count => {
            let base = &pool.inputs[random.usize(..count)];
            mutate(base, &pool.inputs, target.dictionary(), random)
        }
    }
}

/// Feeds a target once; also what it had in memory at most, above what was there.
/// Only where nothing else runs can a case be blamed for it.
fn feed(target: &mut dyn Target, input: &[u8], alone: bool) -> (Result<Shape, String>, usize) {
    let before = HEAP.current_usage();
    if alone {
        HEAP.reset_peak_usage();
    }
    let case = Case::begin();
    let fed = catch_unwind(AssertUnwindSafe(|| target.check(input)));
    let peak = HEAP.peak_usage().saturating_sub(before);
    drop(case);
    let mut result = fed.unwrap_or_else(|_| Err("it panicked".to_owned()));
    let panics = watch::take_panics();
    if !panics.is_empty() {
        result = Err(panics.join("; "));
    }
    let most = target.memory(input.len());
    if alone && peak > most && result.is_ok() {
        result = Err(format!(
            "{} bytes of input took {peak} bytes of memory at once, above {most}",
            input.len()
        ));
    }
    (result, peak)
}

impl Shared {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Ends the guard when nobody is left to be guarded.
    fn give_up_if_last(&self) {
        let idle = |lane: &Mutex<Option<_>>| lock(lane).is_none();
        if self.current.iter().all(idle) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Ends the whole program if a case does not end: nothing else ends a thread.
    fn guard(&self, kind: Kind) {
        while !self.is_over() {
            thread::sleep(Duration::from_millis(20));
            for lane in &self.current {
                let Some((since, input)) = lock(lane).clone() else {
                    continue;
                };
                if since.elapsed() > PATIENCE {
                    let problem = format!("it did not end within {PATIENCE:?}");
                    report(kind.name, &Found { input, problem });
                    std::process::exit(1);
                }
            }
        }
    }
}

fn smaller(kind: Kind, found: Found) -> Result<Found> {
    let Some(mut target) = kind.open(1)?.pop() else {
        return Ok(found);
    };
    let until = Instant::now() + MINIMISING;
    let mut problem = found.problem;
    let input = minimise(&found.input, |input| {
        let fails = feed(&mut *target, input, true).0;
        if let Err(said) = &fails {
            problem.clone_from(said);
        }
        (Instant::now() < until).then_some(fails.is_err())
    });
    Ok(Found { input, problem })
}

/// Prints what was found, and writes it to a file. The line in it, added to
/// `fuzz/regressions/TARGET.txt`, is tried by every test from then on.
pub fn report(target: &str, found: &Found) {
    let line = corpus::escape(&found.input);
    println!("{target}: {}\n  input: {line}", found.problem);
    match write(target, &line) {
        Ok(file) => println!(
            "  written to {}; once it is mended, add the line to fuzz/regressions/{target}.txt",
            file.display()
        ),
        Err(error) => println!("  it could not be written to a file: {error:#}"),
    }
}

fn write(target: &str, line: &str) -> Result<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz");
    std::fs::create_dir_all(&folder).context("cannot make target/fuzz")?;
    let file = folder.join(format!("{target}-{:016x}.txt", fingerprint(line)));
    std::fs::write(&file, format!("{line}\n")).context("cannot write to target/fuzz")?;
    Ok(file)
}

fn fingerprint(line: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
