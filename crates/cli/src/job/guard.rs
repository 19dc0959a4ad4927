//! A helper process that kills the group if this process dies.
//!
//! The kernel kills the command with us (see [`super::pre_exec`]), but not what
//! the command has started. So a job that lives for a moment gets a guard: our
//! own executable once more, which waits for the end of a pipe that only we
//! hold open, and then kills the group. When the job ends in order, the guard
//! is killed before the group's id can be used again.
//!
//! The guard also has the lifeline open, if there is one. So the lock stays taken
//! after our death until the group is dead, and no two jobs overlap.
//!
//! If we are killed, the group's id stays in use for as long as a member
//! lives. Only when none lives can it be given to another group, and then only
//! after a full round of process ids within the moment between our death and
//! the guard's signal.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process;

use super::group::Group;

/// The hidden first argument that makes this executable a guard.
const VERB: &str = "__guard";

/// How long a killed group may take to die; a process in the midst of a slow disk
/// access takes longer, and then the lock is free before.
const DYING: Duration = Duration::from_secs(5);
const DYING_STEP: Duration = Duration::from_millis(1);

/// A guard process, or none if it could not be started. Dropping it ends the
/// guard without harm to the group.
pub(super) struct Guard(Option<Child>);

impl Guard {
    /// Starts a guard for the group. Its pipe is the child's `stdin`, which
    /// [`Child`] keeps open until it is dropped.
    ///
    /// A failure is no reason to end a healthy job: without a guard, the
    /// command itself still dies with us.
    pub(super) fn start(group: Group, lifeline: Option<OwnedFd>) -> Guard {
        // Just to be open there; nothing is written.
        let lifeline = lifeline.map_or_else(Stdio::null, Stdio::from);
        let guard = executable().and_then(|executable| {
            Command::new(executable)
                .arg0("leasehold")
                .arg(VERB)
                .arg(group.id().to_string())
                .stdin(Stdio::piped())
                .stdout(lifeline)
                .stderr(Stdio::null())
                .spawn()
        });
        Guard(guard.ok())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(guard) = &mut self.0 {
            // Killed while its pipe is open: it cannot act on the end of the
            // pipe any more. Reaped, since in a container nobody else may.
            let _ = guard.kill();
            let _ = guard.wait();
        }
    }
}

/// This executable, even if its file was replaced by an update meanwhile.
fn executable() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe()
    }
}

/// Acts as a guard if the command line says so, and returns its exit code.
/// To be called first of all in `main`.
pub(crate) fn guard_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != VERB {
        return None;
    }
    let group = args.next().and_then(|id| id.to_str()?.parse().ok());
    Some(group.map_or(ExitCode::from(2), guard_main))
}

/// Waits for the end of stdin, then kills the group of this id.
///
/// It was started with its signals blocked, as ours are, and leaves our
/// session, so that neither the terminal nor a signal to our group ends it.
pub(crate) fn guard_main(group: i32) -> ExitCode {
    let Some(group) = Group::from_raw(group) else {
        return ExitCode::from(2);
    };
    let _ = process::setsid();
    match io::copy(&mut io::stdin().lock(), &mut io::sink()) {
        Ok(_) => {
            group.kill();
            await_death(group);
            ExitCode::SUCCESS
        }
        // Nothing is known about the job then.
        Err(_) => ExitCode::FAILURE,
    }
}

/// Waits until the group, which was sent SIGKILL, is dead: its exit lets go of the
/// lifeline.
fn await_death(group: Group) {
    let started = Instant::now();
    while group.is_alive() && started.elapsed() < DYING {
        thread::sleep(DYING_STEP);
    }
}
