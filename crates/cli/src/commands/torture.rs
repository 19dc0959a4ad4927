//! `leasehold torture`: clients in several processes, and what they saw checked.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use leasehold::parse_duration;
use leasehold_torture::clock::now_us;
use leasehold_torture::history::{self, Record};
use leasehold_torture::protocol::URL_VARIABLE;
use leasehold_torture::{Failure as Torture, Monitor, Plan, WorkerCommand, check, report, run};

use crate::args::TortureArgs;
use crate::context::Context;
use crate::failure::{Failure, code};
use crate::output::{ALERT, FREE, print, print_json, styled};

/// How often progress is shown on a terminal, and how often elsewhere.
const LIVELY: Duration = Duration::from_millis(200);
const CALM: Duration = Duration::from_secs(5);

pub(super) fn torture(context: &Context, args: TortureArgs) -> Result<ExitCode, Failure> {
    // Made before the run, so that a bad path is told before and not after it.
    let drawing = match &args.report {
        Some(path) => Some((create(path)?, path)),
        None => None,
    };
    let records = match &args.check {
        Some(path) => kept(path)?,
        None => ran(context, &args)?,
    };
    let verdict = check(&records);
    if let Some((mut file, path)) = drawing {
        let page = report::page("leasehold torture", &verdict, &records);
        file.write_all(page.as_bytes())
            .map_err(|error| unwritable(path, &error))?;
    }
    if context.json() {
        print_json(&verdict)?;
    } else {
        print(&report::summary(&verdict))?;
        let (style, said) = match verdict.holds() {
            true => (FREE, "every promise was kept"),
            false => (ALERT, "a promise was broken"),
        };
        print(&format!("{}\n", styled(style, said)))?;
    }
    Ok(match verdict.holds() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// A history that was kept.
fn kept(path: &Path) -> Result<Vec<Record>, Failure> {
    let unreadable = |error: io::Error| {
        let path = path.display().to_string();
        Failure::usage(format!(
            "--check {path:?} cannot be read: {error}; name a file that --history has written"
        ))
    };
    let file = File::open(path).map_err(unreadable)?;
    let records = history::read(BufReader::new(file)).map_err(unreadable)?;
    match records.first() {
        Some(Record::Run(_)) => Ok(records),
        _ => Err(unreadable(io::Error::other("it is no history"))),
    }
}

/// What happens now.
fn ran(context: &Context, args: &TortureArgs) -> Result<Vec<Record>, Failure> {
    let chosen = context.choose(None)?;
    let plan = plan(args, &chosen.url)?;
    plan.check().map_err(failure)?;
    let command = worker_command(args.worker.as_deref())?;
    let mut log = match &args.history {
        Some(path) => Some(BufWriter::new(create(path)?)),
        None => None,
    };
    context.notice("seed", &format!("seed {}", plan.seed));
    let monitor = Monitor::default();
    let records = thread::scope(|scope| {
        let (running, over) = channel::<()>();
        let (plan, monitor) = (&plan, &monitor);
        scope.spawn(move || show_progress(context, plan, monitor, &over));
        let log = log.as_mut().map(|log| log as &mut dyn Write);
        let records = run(plan, &command, monitor, log);
        drop(running);
        records
    });
    records.map_err(failure)
}

/// Serves a parent, which named the store in the environment.
pub(super) fn worker(context: &Context) -> Result<(), Failure> {
    let url = context.choose(None)?.url;
    leasehold_torture::worker::serve(&url)?;
    Ok(())
}

fn plan(args: &TortureArgs, url: &str) -> Result<Plan, Failure> {
    let length =
        |setting: &'static str, text: &str| Ok::<_, Failure>(parse_duration(setting, text)?);
    let percent = args.pauses.strip_suffix('%').unwrap_or(&args.pauses);
    let pauses = percent.parse().map_err(|_| {
        let value = &args.pauses;
        Failure::usage(format!(
            "--pauses {value:?} is not valid: give a share such as 5%"
        ))
    })?;
    Ok(Plan {
        url: url.to_owned(),
        clients: args.clients,
        processes: args.processes,
        duration: length("--duration", &args.duration)?,
        names: args.names,
        ttl: length("--ttl", &args.ttl)?,
        hold: length("--hold", &args.hold)?,
        think: length("--think", &args.think)?,
        wait: length("--wait", &args.wait)?,
        pauses,
        mode: args
            .mode
            .parse()
            .map_err(|error| Failure::usage(format!("--{error}")))?,
        // Any will do, as long as it is told.
        seed: args.seed.unwrap_or_else(now_us),
    })
}

/// Ourselves once more, or the program that was named.
fn worker_command(named: Option<&str>) -> Result<WorkerCommand, Failure> {
    let Some(named) = named else {
        let program = std::env::current_exe().map_err(|error| {
            let text = format!("cannot find this program's own file: {error}");
            Failure::new(code::OS, "os", text)
        })?;
        return Ok(WorkerCommand {
            program,
            args: vec!["torture-worker".into()],
        });
    };
    let mut words = named.split_whitespace().map(str::to_owned);
    let program = words.next().ok_or_else(|| {
        Failure::usage("--worker \"\" is not valid: give a program and its arguments")
    })?;
    Ok(WorkerCommand {
        program: PathBuf::from(program),
        args: words.collect(),
    })
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let text = format!("cannot write {}: {error}", path.display());
    Failure::new(code::IO, "io", text)
}

fn failure(error: Torture) -> Failure {
    let text = error.to_string();
    match error {
        Torture::Invalid { .. } => Failure::usage(text),
        Torture::Worker(_) => Failure::new(code::UNAVAILABLE, "unavailable", text),
        _ => Failure::new(code::IO, "io", text),
    }
}

/// Shows how far it is until `over` hangs up: a bar on a terminal, else a line every
/// few seconds.
fn show_progress(
    context: &Context,
    plan: &Plan,
    monitor: &Monitor,
    over: &std::sync::mpsc::Receiver<()>,
) {
    if context.is_quiet() || context.json() {
        return;
    }
    let bar = io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new(plan.duration.as_secs());
        let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} s  {msg}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar
    });
    let every = if bar.is_some() { LIVELY } else { CALM };
    while over.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        let at = monitor.progress();
        let seconds = match at.begun_us {
            0 => 0,
            begun => now_us().saturating_sub(begun) / 1_000_000,
        };
        let said = format!(
            "{} grants, {} writes refused by the fence, {} calls failed",
            at.grants, at.refused, at.failures
        );
        match &bar {
            Some(bar) => {
                bar.set_position(seconds.min(plan.duration.as_secs()));
                bar.set_message(said);
            }
            None => context.notice("progress", &format!("{seconds} s: {said}")),
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// The variable that a worker reads is the one that the command reads anyway.
const _: () = assert!(matches!(URL_VARIABLE.as_bytes(), b"LEASEHOLD_URL"));
