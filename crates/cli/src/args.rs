//! What can be typed.
//!
//! Durations, names and nonces come in as text and are read by the commands, so
//! that a bad one is refused in the words of the library, with the remedy.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Run a job under a lock, see who holds what, break a lock safely.
#[derive(Debug, Parser)]
#[command(
    name = "leasehold",
    version,
    max_term_width = 80,
    after_help = EXIT_CODES,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0     done
  1, 3  doctor found something: warnings, errors; 1: torture found a broken promise
  2     wrong usage, or a value that is not acceptable
  69    the engine cannot be used
  71    the system lacks something, such as room for a thread
  74    the output cannot be written
  75    the lock is busy (--busy-code)
  79    the lease is lost
  126   the command cannot be executed
  127   the command was not found
  128+n it died of signal n
  Otherwise the code is that of the command.

The engine comes from --url, else from LEASEHOLD_URL, else from `url` in the
config file, else it is `local:`, a file for all processes of this machine.";

const RUN_EXAMPLES: &str = "\
Examples:
  leasehold run backup -- sh -c 'echo token $LEASEHOLD_TOKEN'
  leasehold run reports/daily --no-wait --busy-code 0 -- ./report.sh
  leasehold run video --permits 3 --wait 10m -- ffmpeg -i in.mov out.mp4";

/// What applies to every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The engine that keeps the locks, as in local:/var/lib/app/locks.db
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,

    /// Read this config file [default: ~/.config/leasehold/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print JSON, errors included
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Say nothing on standard error but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// A command, each in its own file below `commands`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(RunArgs),
    Acquire(AcquireArgs),
    Renew(RenewArgs),
    /// Give a lease back that acquire took
    ///
    /// If it was over before, the exit code is 79: something was done without the lock.
    Release(GrantArgs),
    Status(StatusArgs),
    Ls(LsArgs),
    Watch(WatchArgs),
    Break(BreakArgs),
    Doctor(DoctorArgs),
    Torture(TortureArgs),
    #[command(hide = true)]
    TortureWorker,
    Engines(EnginesArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// How to take a lock.
#[derive(Args, Debug)]
pub(crate) struct TakeArgs {
    /// The lock: 1 to 512 bytes without control characters
    pub(crate) name: String,

    /// How long the lease lasts unless it is renewed
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) ttl: String,

    /// Wait at most this long for the lock [default: without limit]
    #[arg(long, value_name = "DURATION", conflicts_with = "no_wait")]
    pub(crate) wait: Option<String>,

    /// Do not wait: fail at once if the lock is busy
    #[arg(long)]
    pub(crate) no_wait: bool,

    /// How much longer than the TTL the lock stays taken after a loss, so that its
    /// holder can be stopped
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    pub(crate) grace: String,

    /// Exit with this code if the lock is busy
    #[arg(long, value_name = "CODE", default_value_t = 75)]
    pub(crate) busy_code: u8,

    /// Take a shared lease: others may hold shared ones at the same time
    #[arg(long, conflicts_with = "permits")]
    pub(crate) shared: bool,

    /// Take one of N permits: at most N hold the lock at the same time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) permits: Option<u32>,

    /// Who holds the lock, for people to read
    #[arg(long, value_name = "LABEL")]
    pub(crate) owner: Option<String>,
}

/// Run a command while holding a lock
///
/// The lease is renewed while the command runs and given back when it has ended.
/// The command finds LEASEHOLD_NAME, LEASEHOLD_TOKEN, LEASEHOLD_NONCE and
/// LEASEHOLD_URL in its environment; hand the token to whatever it writes to, and
/// let that refuse a token smaller than one it has seen. If the lease is lost, the
/// whole process group of the command is ended before somebody else can have the
/// lock, and the exit code is 79.
#[derive(Args, Debug)]
#[command(
    override_usage = "leasehold run [OPTIONS] <NAME> -- <CMD>...",
    after_help = RUN_EXAMPLES
)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) take: TakeArgs,

    /// What to do with the command when the lease is lost: `term` sends TERM and,
    /// shortly before the grace is over, KILL
    #[arg(long, value_enum, default_value_t = OnLost::Term, value_name = "ACTION")]
    pub(crate) on_lost: OnLost,

    /// End the command when it has held the lock this long
    #[arg(long, value_name = "DURATION")]
    pub(crate) max_hold: Option<String>,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// What happens to the command of `run` when its lease is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnLost {
    /// TERM, then KILL
    Term,
    /// KILL
    Kill,
    /// Only say so
    Warn,
}

/// Take a lock for a script: eval "$(leasehold acquire NAME)"
///
/// The lease outlives this process. It ends with `leasehold release`, or at its TTL
/// and grace unless `leasehold renew` prolongs it; nothing renews it by itself.
#[derive(Args, Debug)]
pub(crate) struct AcquireArgs {
    #[command(flatten)]
    pub(crate) take: TakeArgs,
}

/// A grant that some other process has.
#[derive(Args, Debug)]
pub(crate) struct GrantArgs {
    /// The lock [default: $LEASEHOLD_NAME]
    pub(crate) name: Option<String>,

    /// The nonce that acquire printed [default: $LEASEHOLD_NONCE]
    #[arg(long, value_name = "NONCE")]
    pub(crate) nonce: Option<String>,
}

/// Prolong a lease that acquire took
///
/// Never creates a lease and never revives one: if it is over, the exit code is 79.
#[derive(Args, Debug)]
pub(crate) struct RenewArgs {
    #[command(flatten)]
    pub(crate) grant: GrantArgs,

    /// How long the lease lasts from now on
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) ttl: String,
}

/// Show who holds a lock and who waits for it
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// The lock
    pub(crate) name: String,
}

/// List the locks held or waited for
#[derive(Args, Debug)]
pub(crate) struct LsArgs {
    /// Only locks whose names start with this
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
}

/// Print one JSON line for each thing that happens to locks
///
/// Ends when it is interrupted or its reader goes away.
#[derive(Args, Debug)]
pub(crate) struct WatchArgs {
    /// Locks whose names start with one of these [default: all]
    #[arg(value_name = "NAME|PREFIX")]
    pub(crate) prefixes: Vec<String>,

    /// First print each lock in use as it stands (event "present"), then one line
    /// with the event "watching"; every change after that is printed
    #[arg(long)]
    pub(crate) initial: bool,

    /// Take the arguments as whole names, not as prefixes
    #[arg(long, requires = "prefixes")]
    pub(crate) exact: bool,
}

/// End the leases of a lock by force
///
/// Raises the floor above their tokens, so that a resource that checks tokens
/// refuses the holder that was broken, and hands the lock to the next in line. The
/// reason is kept; `status` shows it.
#[derive(Args, Debug)]
pub(crate) struct BreakArgs {
    /// The lock
    pub(crate) name: String,

    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,

    /// End what another kind of client holds as well; stop that client first
    #[arg(long)]
    pub(crate) force: bool,
}

const DOCTOR_EXIT_CODES: &str = "\
Exit codes:
  0   all is well, or there is only something worth knowing
  1   warnings: a promise is weaker than it could be, or will be
  3   errors: a promise is not kept, or no lock can be had
  69  nothing could be looked at";

/// Check the engine as a careful operator would
///
/// Says of each server, and of all together, what is as it should be and what is
/// not, what that means for the promises C1 to C7, and what to do. Works where the
/// engine cannot be opened. Changes nothing; a few keys that are written to try the
/// user's rights are removed again.
#[derive(Args, Debug)]
#[command(after_help = DOCTOR_EXIT_CODES)]
pub(crate) struct DoctorArgs {
    /// The engine [default: the one that the other commands use]
    #[arg(value_name = "URL")]
    pub(crate) engine: Option<String>,

    /// The TTL of your leases, to judge distances and limits by
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) ttl: String,

    /// Let a new era of tokens begin on servers with era=manual whose majority has
    /// lost its memory; waits until a majority votes, then checks
    #[arg(long)]
    pub(crate) new_era: bool,
}

const TORTURE_EXIT_CODES: &str = "\
Exit codes:
  0   every promise was kept
  1   one was not
  2   wrong usage, or a value that is not acceptable
  69  the engine could not be reached";

/// Drive clients of a store in several processes, and check what they saw
///
/// The clients take, use, extend, drop and give back locks of their own, and are
/// sometimes paused for longer than the TTL between looking at a lease and writing.
/// Every call is recorded; beside them a register refuses old tokens. Then the
/// history is checked: tokens, deadlines, overlaps, answers, writes, waiters. Stop
/// servers meanwhile, cut connections, set clocks, as you like.
#[derive(Args, Debug)]
#[command(after_help = TORTURE_EXIT_CODES)]
pub(crate) struct TortureArgs {
    /// How many clients
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) clients: u32,

    /// In how many processes
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) processes: u32,

    /// For how long they take new locks
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) duration: String,

    /// Over how many locks
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) names: u32,

    /// The TTL of each lease
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub(crate) ttl: String,

    /// How long most leases are held
    #[arg(long, value_name = "DURATION", default_value = "5ms")]
    pub(crate) hold: String,

    /// How long a client rests between two locks
    #[arg(long, value_name = "DURATION", default_value = "5ms")]
    pub(crate) think: String,

    /// How long a waiter waits
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub(crate) wait: String,

    /// How many holders in a hundred are paused for longer than the TTL before they
    /// write
    #[arg(long, value_name = "PERCENT", default_value = "5%")]
    pub(crate) pauses: String,

    /// How the locks are taken: exclusive, shared (one in four exclusive), permits:N
    #[arg(long, value_name = "MODE", default_value = "exclusive")]
    pub(crate) mode: String,

    /// What all choices come from [default: a new one, which is printed]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Draw the history, as one HTML file
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Keep the history, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,

    /// Run nothing: judge a history that --history has kept
    #[arg(long, value_name = "FILE", conflicts_with_all = ["history", "worker"])]
    pub(crate) check: Option<PathBuf>,

    /// Drive the clients of another program, which speaks the lines of
    /// docs/torture.md
    #[arg(long, value_name = "COMMAND")]
    pub(crate) worker: Option<String>,
}

/// List the engines of this build and what each can do
#[derive(Args, Debug)]
pub(crate) struct EnginesArgs {}

/// Print a completion script for a shell
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// Print the manual page, or write those of all commands
#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Write leasehold.1, leasehold-run.1 and so on into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_command_is_the_commands() {
        for line in [
            &["leasehold", "run", "x", "--", "echo", "--ttl", "5s"][..],
            &["leasehold", "run", "x", "echo", "--ttl", "5s"],
        ] {
            let Command::Run(args) = Cli::parse_from(line).command else {
                panic!("not run");
            };
            assert_eq!(args.take.ttl, "30s");
            assert_eq!(args.command, ["echo", "--ttl", "5s"]);
        }
    }
}
