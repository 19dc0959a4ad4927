//! The chores of this repository, as `cargo xtask VERB`.
//!
//! # Layout
//!
//! One file per verb, named after it: `verify` changes nothing, `fix` rewrites, `test` is the
//! README's test command, `fuzz` feeds what nobody should send, `interop` runs other projects'
//! clients beside ours, `faults` breaks servers while clients use them, `peers` installs other
//! projects' clients for it, `bench` measures, `sim` simulates, `man` writes man pages and completions. Under them:
//!
//! * [`checks`]: what `verify` asks of dependencies and source files.
//! * [`steps`]: runs named steps to the end and sums them up.
//! * [`servers`]: the programs that tests and benchmarks start, and how to get them.
//! * [`trixie`]: servers of another Debian, unpacked and not installed. [`python`]: Python
//!   packages, in an environment of their own.
//! * [`process`]: starts cargo and other programs.
//! * [`workspace`]: which workspaces this repository has.

mod bench;
mod checks;
mod faults;
mod fix;
mod fuzz;
mod interop;
mod man;
mod peers;
mod process;
mod python;
mod safety;
mod servers;
mod sim;
mod steps;
mod test;
mod trixie;
mod verify;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of the Leasehold repository.
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Check formatting, lints, docs, dependencies and house rules; changes nothing.
    Verify,
    /// Apply clippy's suggestions and format, in every workspace.
    Fix,
    /// Install what the tests need, then run every test of every workspace.
    Test {
        /// Instead: the tests of the Redis engine on these servers of Debian trixie, which are
        /// fetched and unpacked under target/servers: redis8, valkey8.
        #[arg(long, value_delimiter = ',', value_name = "NAMES")]
        servers: Vec<String>,
        /// Arguments for each `cargo test`, after `--`.
        #[arg(last = true, value_name = "ARGS")]
        args: Vec<String>,
    },
    /// Run other projects' clients beside ours on the same locks, at full length.
    Interop,
    /// Run one benchmark in a release build; without a name, list them.
    Bench {
        /// A program of bench/src/bin.
        name: Option<String>,
        /// Arguments for the benchmark, after `--`.
        #[arg(last = true, value_name = "ARGS")]
        args: Vec<String>,
    },
    /// Feed parsers, decoders and the Redis engine with what nobody should send.
    Fuzz {
        /// Arguments for the fuzzer: `--seconds N`, `--seed S`, `--list`, names of targets.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "ARGS"
        )]
        args: Vec<String>,
    },
    /// Run clients on five real servers that are killed, frozen, flushed and cut off.
    Faults {
        /// Arguments for the runner: `--minutes N`, `--seed S`, `--peer NAME`, `--report DIR`,
        /// `--json FILE`, and those of `--help`.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "ARGS"
        )]
        args: Vec<String>,
    },
    /// Install other projects' clients for the harness, and check each on five real servers.
    Peers,
    /// Run every proof and write docs/safety.md.
    Safety(safety::Options),
    /// Play the protocols, as shipped, against faults at random; make mistakes on purpose.
    Sim(sim::Sim),
    /// Write man pages and shell completions to the target directory's `assets`.
    Man,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Verify => verify::run(),
        Verb::Fix => fix::run(),
        Verb::Test { servers, args } if servers.is_empty() => test::run(&args),
        Verb::Test { servers, args } => test::with_servers(&servers, &args),
        Verb::Interop => interop::run(),
        Verb::Bench { name, args } => bench::run(name.as_deref(), &args),
        Verb::Fuzz { args } => fuzz::run(&args),
        Verb::Faults { args } => faults::run(&args),
        Verb::Peers => peers::run(),
        Verb::Safety(options) => safety::run(&options),
        Verb::Sim(sim) => sim::run(&sim),
        Verb::Man => man::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
