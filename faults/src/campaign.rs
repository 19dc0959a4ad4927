//! Runs the torture on a scene while faults come and go.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use leasehold_torture::check::{Verdict, check};
use leasehold_torture::history::Record;
use leasehold_torture::{Monitor, Plan, WorkerCommand, run};

use crate::deck::Deck;
use crate::scene::Scene;

/// How long clients work before the first fault and after the last.
const CALM: Duration = Duration::from_secs(2);
/// The rest between what is left of one fault and the next.
const REST: Duration = Duration::from_millis(500);

/// What to run on a scene.
#[derive(Debug)]
pub struct Campaign<'a> {
    /// The clients. Their duration is not used: the faults decide.
    pub plan: Plan,
    /// How to start a worker.
    pub worker: &'a WorkerCommand,
    /// How long a server that forgot stays away.
    pub max_ttl: Duration,
    /// For how long new faults begin, or how many there are.
    pub length: Length,
    /// Where the history goes.
    pub history: Option<PathBuf>,
    /// Whether each fault is told on standard error.
    pub loud: bool,
}

/// When a campaign is over.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// After so long.
    Time(Duration),
    /// After so many faults.
    Faults(usize),
}

/// What came of a campaign.
#[derive(Debug)]
pub struct Done {
    /// What happened.
    pub records: Vec<Record>,
    /// Which promises it breaks.
    pub verdict: Verdict,
}

/// Runs the clients and, beside them, one fault after the other.
///
/// # Errors
///
/// If workers or servers do not start, or a fault cannot be made or undone. Whether
/// promises were kept is in the verdict.
pub fn campaign(campaign: &Campaign<'_>, scene: &mut Scene, deck: &mut Deck) -> Result<Done> {
    let mut plan = campaign.plan.clone();
    plan.duration = Duration::from_secs(24 * 60 * 60);
    let mut log = match &campaign.history {
        Some(path) => {
            let file =
                File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            Some(BufWriter::new(file))
        }
        None => None,
    };
    let monitor = Monitor::default();
    let (records, broken) = thread::scope(|scope| {
        let (plan, monitor) = (&plan, &monitor);
        let log = log.as_mut().map(|log| log as &mut (dyn Write + Send));
        let running = scope.spawn(move || {
            let log = log.map(|log| log as &mut dyn Write);
            run(plan, campaign.worker, monitor, log)
        });
        let until = || running.is_finished();
        let broken = faults(campaign, scene, deck, monitor, until);
        monitor.stop();
        (running.join(), broken)
    });
    let records = match records {
        Ok(records) => records?,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    broken?;
    let verdict = check(&records);
    Ok(Done { records, verdict })
}

/// Makes and undoes faults until it is time, or the run is over before.
fn faults(
    campaign: &Campaign<'_>,
    scene: &mut Scene,
    deck: &mut Deck,
    monitor: &Monitor,
    over: impl Fn() -> bool,
) -> Result<()> {
    while monitor.progress().begun_us == 0 {
        if over() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(CALM);
    let started = Instant::now();
    let mut count = 0;
    loop {
        let more = match campaign.length {
            Length::Time(length) => started.elapsed() < length,
            Length::Faults(most) => count < most,
        };
        if !more || over() {
            break;
        }
        count += 1;
        let fault = deck.draw();
        let band = fault.band(scene.flavour, campaign.max_ttl, campaign.plan.ttl);
        let tail = Duration::from_micros(band.tail_us);
        if campaign.loud {
            let at = started.elapsed().as_secs_f64();
            let grants = monitor.progress().grants;
            eprintln!(
                "  {at:6.1} s  {grants:6} grants  {} of {}",
                band.kind, band.target
            );
        }
        let ongoing = monitor.begin(band);
        let struck = fault.strike(scene, monitor);
        thread::sleep(fault.length);
        let mended = fault.mend(scene, monitor);
        monitor.end(&ongoing);
        struck?;
        mended?;
        for (node, server) in scene.servers.iter_mut().enumerate() {
            if !server.is_running() {
                bail!(
                    "server {} ended by itself after {}",
                    node + 1,
                    fault.kind.title()
                );
            }
        }
        thread::sleep(tail + REST);
    }
    thread::sleep(CALM);
    Ok(())
}
