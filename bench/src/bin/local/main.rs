//! The local engine's benchmark: `cargo xtask bench local`.
//!
//! Each part prints its figures, the target, and whether it was met.

mod command;
mod handover;
mod held;
mod pairs;

use anyhow::{Result, bail};

/// Rounds per figure; the median is printed.
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["pairs-worker", url, name] => pairs::worker(url, name),
        ["handover-worker", url] => handover::worker(url),
        [] => {
            pairs::bench()?;
            handover::bench()?;
            command::bench()?;
            held::bench()
        }
        ["pairs"] => pairs::bench(),
        ["handover"] => handover::bench(),
        ["command"] => command::bench(),
        ["held"] => held::bench(),
        _ => bail!("usage: cargo xtask bench local [-- pairs|handover|command|held]"),
    }
}

/// A fresh database and its URL.
fn fresh() -> Result<(tempfile::TempDir, String)> {
    let folder = tempfile::tempdir()?;
    let url = format!("local:{}", folder.path().join("locks.db").display());
    Ok((folder, url))
}
