//! `cargo xtask peers`: installs other projects' clients for the harness, and checks each on five
//! real servers.

mod deployment;
mod worker;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::process;
use crate::python;
use crate::servers;
use crate::steps::Steps;
use crate::workspace;
use deployment::Deployment;
use worker::Worker;

/// The clients: one folder of `peers/` each.
pub(crate) const PEERS: &[&str] = &["rslock", "python", "node"];

/// How many servers they are checked on.
const SERVERS: usize = 5;

/// Installs them, and checks them.
///
/// # Errors
///
/// When one could not be installed, or does not do as docs/torture.md says.
pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::new("peers");
    prepare(&mut steps);
    for name in PEERS {
        steps.step(
            format!("peers/{name} on {SERVERS} servers"),
            "read the failure above; peers/README.md and docs/torture.md say what a worker does",
            || check(name),
        );
    }
    steps.finish()
}

/// Installs what they need.
pub(crate) fn prepare(steps: &mut Steps) {
    steps.step("servers and node", servers::REMEDY, || {
        servers::ensure(servers::FOR_PEERS)
    });
    steps.step("Python packages", python::REMEDY, python::ensure);
    steps.step(
        "node packages",
        "see that the npm registry can be reached; then npm ci in peers/node",
        || {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
            process::run(npm.current_dir(folder("node")))?;
            Ok(String::new())
        },
    );
    steps.step("peers/rslock", "read the compiler's messages above", || {
        let mut command = process::cargo(&workspace::root());
        let args = "build --release --locked --manifest-path peers/rslock/Cargo.toml";
        process::run(command.args(args.split(' ')))?;
        Ok(String::new())
    });
}

fn folder(name: &str) -> PathBuf {
    workspace::root_dir().join("peers").join(name)
}

/// Takes, contends for, extends, gives back and takes again.
fn check(name: &str) -> Result<String> {
    let servers = Deployment::start(SERVERS)?;
    let program = folder(name).join("worker");
    let mut one = Worker::start(&program, &servers.url())?;
    let mut two = Worker::start(&program, &servers.url())?;
    let skills = one.hello["can"].as_array().cloned().unwrap_or_default();

    let lease = one.expect("granted", &acquire(0))?;
    let valid = one.last["valid_ms"].as_f64();
    if let Some(valid) = valid {
        ensure!(
            valid > 0.0 && valid <= 20_000.0,
            "a fresh lease is valid for {valid} ms"
        );
    }
    two.expect("busy", &acquire(0))?;
    one.expect("used", &json!({ "do": "use", "lease": lease }))?;
    if skills.contains(&Value::from("extend")) {
        one.expect(
            "extended",
            &json!({ "do": "extend", "lease": lease, "ttl_ms": 20_000 }),
        )?;
    }
    one.expect("released", &json!({ "do": "release", "lease": lease }))?;
    one.expect("lost", &json!({ "do": "use", "lease": lease }))?;
    // It has to wait for the next try, and gets it.
    let lease = two.expect("granted", &acquire(20_000))?;
    one.expect("busy", &acquire(0))?;
    two.expect("released", &json!({ "do": "release", "lease": lease }))?;
    let lease = one.expect("granted", &acquire(20_000))?;
    one.expect("released", &json!({ "do": "release", "lease": lease }))?;
    ensure!(servers.is_empty()?, "keys are left on the servers");
    let text = |key: &str| one.hello[key].as_str().unwrap_or("?").to_owned();
    let said = format!("{} {}", text("hello"), text("version"));
    one.quit()?;
    two.quit()?;
    Ok(said)
}

fn acquire(wait_ms: u64) -> Value {
    json!({ "do": "acquire", "name": "peer-check", "ttl_ms": 20_000, "wait_ms": wait_ms })
}
