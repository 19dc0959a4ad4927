//! `cargo xtask faults`: the torture on five real servers that are broken meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use leasehold_torture::check::Promise;
use leasehold_torture::clock::now_us;
use leasehold_torture::protocol::{Kind as Mode, URL_VARIABLE};
use leasehold_torture::{Plan, WorkerCommand, report};

use leasehold_faults::{Campaign, Deck, Done, Flavour, Length, Outcome, Part, Scene, campaign};

/// The only argument of a worker of our own.
const WORKER: &str = "worker";

/// Short, so that what a server that forgot waits for ends within a fault's window.
const MAX_TTL: Duration = Duration::from_secs(4);

/// Run clients on five real servers that are killed, frozen, flushed and cut off.
#[derive(Parser)]
#[command(name = "cargo xtask faults")]
struct Cli {
    /// For how long in all: half on servers without persistence, half on durable ones
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// What all choices come from [default: a new one, which is printed]
    #[arg(long)]
    seed: Option<u64>,
    /// Drive the client of peers/NAME/worker instead of ours
    #[arg(long, value_name = "NAME", conflicts_with = "worker")]
    peer: Option<String>,
    /// Drive the clients of this program, which speaks the lines of docs/torture.md
    #[arg(long, value_name = "COMMAND")]
    worker: Option<String>,
    /// Only on servers that keep this: memory or durable
    #[arg(long, value_name = "WHAT")]
    only: Option<String>,
    /// The TTL of each lease
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    ttl: String,
    /// How many clients
    #[arg(long, default_value_t = 8)]
    clients: u32,
    /// Over how many locks
    #[arg(long, default_value_t = 4)]
    names: u32,
    /// Write reports and histories into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Write the figures into this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(WORKER) {
        return serve();
    }
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Serves a parent as our own client.
fn serve() -> ExitCode {
    let url = std::env::var(URL_VARIABLE).unwrap_or_default();
    match leasehold_torture::worker::serve(&url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<bool> {
    let worker = worker(cli)?;
    let flavours = flavours(cli.only.as_deref())?;
    let ttl =
        humantime::parse_duration(&cli.ttl).with_context(|| format!("--ttl {:?}", cli.ttl))?;
    let each = Duration::try_from_secs_f64(cli.minutes * 60.0 / flavours.len() as f64)
        .context("--minutes: give a number above 0")?;
    // Any will do, as long as it is told.
    let seed = cli.seed.unwrap_or_else(now_us);
    eprintln!("seed {seed}");
    if let Some(dir) = &cli.report {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let mut outcome = empty(seed, ttl)?;
    for flavour in flavours {
        let title = flavour.title();
        eprintln!("five servers, {title}:");
        let mut scene = Scene::start(flavour)?;
        if !scene.has_clocks() && outcome.left_out.is_empty() {
            outcome
                .left_out
                .push("clock steps and rates: no libfaketime (Debian: faketime)".into());
        }
        // Servers that have just started may have forgotten something.
        thread::sleep(MAX_TTL + Duration::from_secs(1));
        let plan = plan(cli, &scene, ttl, seed);
        let mut deck = Deck::of(&scene, ttl, plan.processes as usize, seed);
        let run = Campaign {
            plan,
            worker: &worker,
            max_ttl: MAX_TTL,
            length: Length::Time(each),
            history: cli
                .report
                .as_ref()
                .map(|dir| dir.join(format!("{title}.jsonl"))),
            loud: true,
        };
        let done = campaign(&run, &mut scene, &mut deck)?;
        if let Some(dir) = &cli.report {
            draw(dir, title, &done)?;
        }
        outcome.add(Part {
            servers: title.into(),
            verdict: done.verdict,
        });
    }
    print!("{}", outcome.text());
    if let Some(path) = &cli.json {
        let text = serde_json::to_string_pretty(&outcome)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(outcome.holds)
}

fn plan(cli: &Cli, scene: &Scene, ttl: Duration, seed: u64) -> Plan {
    Plan {
        url: scene.url("max_ttl=4s"),
        clients: cli.clients,
        processes: cli.clients.div_ceil(2),
        duration: Duration::from_secs(1),
        names: cli.names,
        ttl,
        hold: Duration::from_millis(5),
        think: Duration::from_millis(5),
        wait: ttl * 5,
        pauses: 2.0,
        mode: Mode::Exclusive,
        seed,
    }
}

fn flavours(only: Option<&str>) -> Result<Vec<Flavour>> {
    let all = vec![Flavour::Memory, Flavour::Durable];
    match only {
        None => Ok(all),
        Some(word) => match all.into_iter().find(|flavour| flavour.title() == word) {
            Some(flavour) => Ok(vec![flavour]),
            None => bail!("--only {word:?} is not known: use memory or durable"),
        },
    }
}

/// Ourselves once more, a peer's adapter, or the program that was named.
fn worker(cli: &Cli) -> Result<WorkerCommand> {
    if let Some(name) = &cli.peer {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the repository")?;
        let program = root.join("peers").join(name).join("worker");
        if !program.is_file() {
            bail!(
                "--peer {name:?} has no adapter: {} is missing",
                program.display()
            );
        }
        return Ok(WorkerCommand {
            program,
            args: Vec::new(),
        });
    }
    if let Some(command) = &cli.worker {
        let mut words = command.split_whitespace().map(str::to_owned);
        let program = words
            .next()
            .context("--worker \"\": give a program and its arguments")?;
        return Ok(WorkerCommand {
            program: program.into(),
            args: words.collect(),
        });
    }
    Ok(WorkerCommand {
        program: std::env::current_exe()?,
        args: vec![WORKER.into()],
    })
}

fn empty(seed: u64, ttl: Duration) -> Result<Outcome> {
    let version = Command::new("redis-server").arg("--version").output();
    let version = version.context("cannot start redis-server (Debian: redis-server)")?;
    let version = String::from_utf8_lossy(&version.stdout);
    let words: Vec<_> = version.split_whitespace().take(3).collect();
    let millis = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    Ok(Outcome {
        client: String::new(),
        version: String::new(),
        tokens: false,
        seed,
        server: words.join(" "),
        ttl_ms: millis(ttl),
        max_ttl_ms: millis(MAX_TTL),
        seconds: 0,
        left_out: Vec::new(),
        totals: leasehold_torture::check::Figures::default(),
        classes: Vec::new(),
        holds: true,
        parts: Vec::new(),
    })
}

/// The page, and as drawings of their own a holder that was overtaken while it was
/// paused, and the first overlap.
fn draw(dir: &Path, title: &str, done: &Done) -> Result<()> {
    let heading = format!("Torture on five servers under faults: {title}");
    let page = report::page(&heading, &done.verdict, &done.records);
    fs::write(dir.join(format!("{title}.html")), page)?;
    if let Some(window) = report::Window::of_paused_holder(&done.records) {
        let drawing = report::standalone(&done.verdict, &done.records, &window);
        fs::write(dir.join(format!("{title}-paused-holder.svg")), drawing)?;
    }
    let overlap =
        |violation: &&leasehold_torture::check::Violation| violation.promise == Promise::Exclusion;
    let mut overlaps = done.verdict.violations.iter().filter(overlap);
    let first = overlaps
        .clone()
        .find(|violation| violation.inside)
        .or_else(|| overlaps.next());
    if let Some(first) = first {
        let window = report::Window::around(first);
        let drawing = report::standalone(&done.verdict, &done.records, &window);
        fs::write(dir.join(format!("{title}-overlap.svg")), drawing)?;
    }
    Ok(())
}
