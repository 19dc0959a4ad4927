//! The Python package `redlock` and Leasehold on the same lock: four processes of
//! each increment a counter that only the lock protects, and none is lost.
//!
//! `LEASEHOLD_PYTHON` names the interpreter that has the package; without it, it
//! is the one in `target/venv`, which `cargo xtask test` makes.
//! `LEASEHOLD_INCREMENTS` is how often each process increments.

#![allow(unused_crate_dependencies)]

mod support;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use leasehold_core::Released;
use libtest_mimic::{Arguments, Trial};
use support::{Client, Deployment, Server};

/// How many processes of each kind.
const PROCESSES: usize = 4;
/// How often each increments unless told otherwise: a matter of seconds.
const INCREMENTS: u32 = 200;
const TTL: Duration = Duration::from_secs(10);
const KEYS: &str = "max_ttl=10s";
const LOCK: &str = "counter";
/// Tells this program that it is one of the processes: `FILE COUNT URL`.
const AGENT: &str = "LEASEHOLD_PYTHON_TEST_AGENT";

fn main() {
    if let Ok(task) = env::var(AGENT) {
        return agent(&task);
    }
    let trial = Trial::test("four_of_each_lose_no_increment", || {
        none_is_lost(&interpreter()?)
    });
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit();
}

fn none_is_lost(python: &Path) -> Result<(), libtest_mimic::Failed> {
    let count = match env::var("LEASEHOLD_INCREMENTS") {
        Ok(count) => count.parse().map_err(|_| {
            format!("LEASEHOLD_INCREMENTS is {count:?}: give a number, such as 2000")
        })?,
        Err(_) => INCREMENTS,
    };
    let deployment = Deployment::of(5);
    deployment.first_use(KEYS);
    let folder = tempfile::tempdir()?;
    let counter = folder.path().join("counter");
    fs::write(&counter, "0")?;

    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        let hosts = deployment.servers.iter().map(Server::host);
        let mut foreign = Command::new(python);
        foreign
            .arg(file("increment.py"))
            .arg(&counter)
            .args([&count.to_string(), LOCK])
            .args(hosts);
        processes.push(Process::start("redlock", &mut foreign)?);
        let task = format!("{} {count} {}", counter.display(), deployment.url(KEYS));
        let mut ours = Command::new(env::current_exe()?);
        ours.env(AGENT, task);
        processes.push(Process::start("Leasehold", &mut ours)?);
    }
    for process in &mut processes {
        let status = process.wait()?;
        if !status.success() {
            return Err(format!("a process of {} ended with {status}", process.kind).into());
        }
    }
    let total = fs::read_to_string(&counter)?;
    let expected = count * u32::try_from(processes.len())?;
    if total != expected.to_string() {
        return Err(format!("{expected} increments came to {total}").into());
    }
    Ok(())
}

/// One of the processes that increment. Dropping it kills it.
struct Process {
    kind: &'static str,
    child: Child,
}

impl Process {
    fn start(kind: &'static str, command: &mut Command) -> std::io::Result<Self> {
        let child = command.spawn()?;
        Ok(Self { kind, child })
    }

    /// Each gives up by itself when it cannot have the lock.
    fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one process of Leasehold does.
fn agent(task: &str) {
    let words: Vec<_> = task.splitn(3, ' ').collect();
    let [counter, count, url] = words[..] else {
        panic!("{AGENT} is {task:?}, not FILE COUNT URL");
    };
    let client = Client::open(url);
    for _ in 0..count.parse().expect("COUNT is a number") {
        let lease = client.turn(LOCK, TTL).expect("all servers are there");
        increment(Path::new(counter));
        let released = client.give_back(&lease).expect("all servers are there");
        assert_eq!(released, Released::Released, "our lock was lost");
    }
}

fn increment(counter: &Path) {
    let text = fs::read_to_string(counter).expect("the counter can be read");
    let value: u32 = text.parse().expect("nobody else is writing the counter");
    fs::write(counter, (value + 1).to_string()).expect("the counter can be written");
}

fn interpreter() -> Result<PathBuf, String> {
    let python = match env::var_os("LEASEHOLD_PYTHON") {
        Some(python) => PathBuf::from(python),
        None => root().join("target/venv/bin/python"),
    };
    let package = Command::new(&python)
        .args(["-c", "import redlock"])
        .output();
    let problem = match package {
        Ok(output) if output.status.success() => return Ok(python),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(format!(
        "{} has no package redlock ({problem}); make it with\n  python3 -m venv target/venv && target/venv/bin/pip install -r engines/redis/tests/python/requirements.txt\n(cargo xtask test does that), or name another interpreter in LEASEHOLD_PYTHON",
        python.display()
    ))
}

/// The folder of the repository.
fn root() -> &'static Path {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.nth(2).expect("this package is in engines/redis")
}

fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    folder.join(name)
}
