//! The Python package `python-redis-lock`, in an environment of its own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use leasehold_bench::Worker;

use crate::contended::{SPAN, TASKS};
use crate::servers::Server;

const PACKAGES: [&str; 2] = ["python-redis-lock==4.0.0", "redis==8.1.0"];

/// As for `Peer::sends`. Its release is a script that calls GET exactly once,
/// which so stands for the EVALSHA.
pub(crate) const SENDS: &[&str] = &["get", "set", "blpop"];

/// A process that contends as ours do, with threads for tasks.
pub(crate) fn worker(server: &Server) -> Result<Worker> {
    let mut command = Command::new(environment()?.join("bin/python"));
    command.args(["-c", include_str!("contend.py")]);
    command.args([server.port().to_string(), TASKS.to_string()]);
    command.arg(SPAN.as_secs_f64().to_string());
    Worker::run(&mut command)
}

/// The environment, in the target folder beside this program; made if need be.
fn environment() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).context("a target folder")?;
    let place = target.join("python-redis-lock");
    let marker = place.join(format!("has-{}", PACKAGES.join("-")));
    if marker.exists() {
        return Ok(place);
    }
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&place)
        .status()?;
    ensure!(
        made.success(),
        "python3 -m venv failed; it needs Debian's package python3-venv"
    );
    let installed = Command::new(place.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(PACKAGES)
        .status()?;
    ensure!(installed.success(), "pip cannot install {PACKAGES:?}");
    std::fs::write(&marker, "")?;
    Ok(place)
}
