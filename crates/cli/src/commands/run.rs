//! `leasehold run`: a command that lives as long as its lease, at most.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leasehold::{Lease, Loss, Released, parse_duration};
use pollster::block_on;

use crate::args::{OnLost, RunArgs};
use crate::commands::watchdog::{Held, Watchdog};
use crate::context::{Context, Opened};
use crate::failure::{Failure, code};
use crate::job::{Job, JobEnd, JobSpec, Signals, SpawnError, signal_exit};
use crate::owner;
use crate::sync::lock;
use crate::take::Take;
use crate::waiting::{self, Outcome};

pub(super) fn run(context: &Context, args: RunArgs) -> Result<ExitCode, Failure> {
    let plan = Take::new(&args.take)?;
    let max_hold = max_hold(args.max_hold.as_deref())?;
    // Before any other thread exists, and before there is anything to lose.
    let signals = Signals::install().map_err(|error| Failure::no_threads(&error))?;
    let label = args
        .take
        .owner
        .unwrap_or_else(|| owner::of_command(&args.command[0]));
    let opened = context.open(label)?;
    let mut request = plan.request(&opened.locks);
    if let Some(limit) = max_hold {
        // The watchdog ends the command at the limit; the lock must stay taken
        // until it is gone.
        request = request.max_hold(match args.on_lost {
            OnLost::Warn => limit,
            OnLost::Term | OnLost::Kill => limit.saturating_add(plan.grace),
        });
    }
    let lease = match waiting::take(context, &opened.locks, &plan, request, &signals)? {
        Outcome::Held(lease) => lease,
        Outcome::Signal(signal) => return Ok(signal_exit(signal)),
    };
    let watchdog = Watchdog::new(context, &lease, &plan, args.on_lost, max_hold);
    let held: Held = Arc::new(Mutex::new(Some(lease)));
    let spec = spec(args.command, &held, &opened, args.on_lost);
    let end = supervise(spec, &held, &watchdog, &signals);
    give_back(context, &held, &watchdog);
    watchdog.stop();
    opened.close();
    match end {
        _ if watchdog.has_barked() => Err(Failure::new(code::LOST, "lost", "")),
        Ok(end) => Ok(end.exit()),
        Err(NotRun::Spawn(SpawnError::Interrupted(signal))) => Ok(signal_exit(signal)),
        Err(NotRun::Spawn(error)) => {
            let kind = match error {
                SpawnError::NotFound { .. } => "not_found",
                _ => "not_executable",
            };
            Err(Failure::new(error.code(), kind, error.to_string()))
        }
        Err(NotRun::Watchdog(error)) => Err(Failure::no_threads(&error)),
    }
}

/// Why the command did not run, or not to its end.
enum NotRun {
    Spawn(SpawnError),
    Watchdog(io::Error),
}

/// Runs the command to its end.
fn supervise(
    spec: JobSpec,
    held: &Held,
    watchdog: &Watchdog,
    signals: &Signals,
) -> Result<JobEnd, NotRun> {
    let job = Job::spawn(spec, signals).map_err(NotRun::Spawn)?;
    // After the command's start, which this would delay. A job that is dropped is
    // killed: better none than one that nobody would stop.
    watchdog
        .start(held, &job.control())
        .map_err(NotRun::Watchdog)?;
    Ok(job.wait())
}

/// Releases the lease. That it was over before the command had ended is as good
/// as a loss noticed in time.
fn give_back(context: &Context, held: &Held, watchdog: &Watchdog) {
    let Some(lease) = lock(held).take() else {
        return;
    };
    if let Some(why) = lease.is_lost() {
        watchdog.tell(&why.to_string());
    }
    let name = lease.name().clone();
    match block_on(lease.release()) {
        Ok(Released::Released) => {}
        Ok(Released::AlreadyLost) => watchdog.tell(&Loss::Gone.to_string()),
        Err(error) => context.warn(
            "not_released",
            &format!("lock {name:?} was not released, and is free when its TTL and grace are over: {error}"),
        ),
    }
}

/// The command, with what it must know of its lease.
fn spec(command: Vec<OsString>, held: &Held, opened: &Opened, on_lost: OnLost) -> JobSpec {
    let mut words = command.into_iter();
    let mut env: Vec<(OsString, OsString)> = vec![("LEASEHOLD_URL".into(), (&opened.url).into())];
    if let Some(lease) = &*lock(held) {
        env.push(("LEASEHOLD_NAME".into(), lease.name().as_str().into()));
        env.push(("LEASEHOLD_TOKEN".into(), lease.token().to_string().into()));
        env.push(("LEASEHOLD_NONCE".into(), lease.nonce().to_string().into()));
    }
    let held = Arc::clone(held);
    JobSpec {
        program: words.next().unwrap_or_default(),
        args: words.collect(),
        env,
        lifeline: opened.locks.engine().lifeline(),
        may_resume: Box::new(move || {
            on_lost == OnLost::Warn || lock(&held).as_ref().is_some_and(Lease::is_valid)
        }),
    }
}

fn max_hold(text: Option<&str>) -> Result<Option<Duration>, Failure> {
    let Some(text) = text else { return Ok(None) };
    match parse_duration("max-hold", text)? {
        Duration::ZERO => Err(Failure::usage(
            "max-hold \"0\" is not valid: give a time above zero, or leave it out for no limit",
        )),
        limit => Ok(Some(limit)),
    }
}
