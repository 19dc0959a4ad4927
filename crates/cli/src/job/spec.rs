//! What to run.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A command and what it is to be started with. Its stdin, stdout, stderr and
/// working directory are ours, untouched.
pub(crate) struct JobSpec {
    /// A path if it has a slash, else a name to look up in `PATH`.
    pub(crate) program: OsString,
    /// The arguments after the program.
    pub(crate) args: Vec<OsString>,
    /// Variables set on top of our own environment.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// What keeps the lock taken for as long as any process has it open. The guard
    /// gets it, and lets go when the group is dead.
    pub(crate) lifeline: Option<OwnedFd>,
    /// Asked when this process continues after it was stopped together with
    /// the command (Ctrl-Z, then `fg`): may the command continue too? If not,
    /// it stays stopped, to be ended by [`JobControl::end_by`]. This is where
    /// the lease's deadline is looked at, since the command must not run for
    /// the moment until another thread notices that the lease is lost.
    ///
    /// Called on the signal thread. It must be quick and must not call
    /// [`JobControl`].
    ///
    /// [`JobControl`]: super::JobControl
    /// [`JobControl::end_by`]: super::JobControl::end_by
    pub(crate) may_resume: Box<dyn FnMut() -> bool + Send>,
}

impl JobSpec {
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .process_group(0);
        command
    }
}
