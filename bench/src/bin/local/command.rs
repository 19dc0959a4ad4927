//! `leasehold run x -- true` beside `flock f true`, in pairs.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use leasehold_bench::{median, verdict};

const PAIRS: usize = 50;

pub(crate) fn bench() -> Result<()> {
    let leasehold = build()?;
    let (folder, url) = crate::fresh()?;
    let mut ours = Command::new(leasehold);
    ours.args(["--url", &url, "run", "x", "--", "true"]);
    let mut flock = Command::new("flock");
    flock.arg(folder.path().join("f")).arg("true");
    let (mut a, mut b) = (Vec::new(), Vec::new());
    time(&mut ours)?;
    time(&mut flock).context("flock is in Debian's package util-linux")?;
    for _ in 0..PAIRS {
        a.push(time(&mut ours)?);
        b.push(time(&mut flock)?);
    }
    let mut slower: Vec<f64> = a.iter().zip(&b).map(|(ours, flock)| ours - flock).collect();
    let slower = median(&mut slower);
    println!("a whole command, {PAIRS} pairs");
    println!(
        "  leasehold run x -- true {:.2} ms, flock f true {:.2} ms: {slower:.2} ms slower, target at most 5   {}",
        median(&mut a),
        median(&mut b),
        verdict(slower <= 5.0)
    );
    Ok(())
}

/// The command as it ships, built if need be.
fn build() -> Result<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()?;
    let built = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--locked",
            "--quiet",
            "-p",
            "leasehold-cli",
        ])
        .current_dir(&root)
        .status()?;
    ensure!(built.success(), "leasehold-cli does not build");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release/leasehold"))
}

fn time(command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    let taken = start.elapsed();
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(taken.as_secs_f64() * 1e3)
}
