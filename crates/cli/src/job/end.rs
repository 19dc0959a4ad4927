//! How a command ended, as a shell would tell it.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use nix::sys::signal::Signal;

use super::stop;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobEnd {
    /// It exited with this code.
    Exited(u8),
    /// It died of this signal.
    Signaled(i32),
}

impl JobEnd {
    /// The code for our own exit: the command's own, or 128 + n.
    pub(crate) fn code(self) -> u8 {
        match self {
            JobEnd::Exited(code) => code,
            JobEnd::Signaled(signal) => signal_code(signal),
        }
    }

    /// Ends this process as the command ended; see [`signal_exit`].
    pub(crate) fn exit(self) -> ExitCode {
        match self {
            JobEnd::Exited(code) => ExitCode::from(code),
            JobEnd::Signaled(signal) => signal_exit(signal),
        }
    }
}

impl From<io::Result<ExitStatus>> for JobEnd {
    fn from(status: io::Result<ExitStatus>) -> JobEnd {
        match status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => JobEnd::Exited(code.to_le_bytes()[0]),
                (None, Some(signal)) => JobEnd::Signaled(signal),
                (None, None) => JobEnd::Exited(u8::MAX),
            },
            // Our own child, reaped nowhere else: there is no such case.
            Err(_) => JobEnd::Exited(u8::MAX),
        }
    }
}

/// The exit after a signal: 128 + n.
///
/// For SIGINT this process dies of that signal instead of returning. A shell
/// shows 130 in both cases, but goes on with its script or loop after a plain
/// exit: Ctrl-C would end the command and not the script around it.
pub(crate) fn signal_exit(signal: i32) -> ExitCode {
    if signal == Signal::SIGINT as i32 {
        stop::die_of(Signal::SIGINT);
    }
    ExitCode::from(signal_code(signal))
}

fn signal_code(signal: i32) -> u8 {
    128_u8.saturating_add(u8::try_from(signal).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::JobEnd;

    fn end_of(script: &str) -> JobEnd {
        JobEnd::from(Command::new("sh").args(["-c", script]).status())
    }

    #[test]
    fn codes_are_those_of_a_shell() {
        assert_eq!(end_of("exit 0").code(), 0);
        assert_eq!(end_of("exit 7").code(), 7);
        assert_eq!(end_of("exit 255").code(), 255);
        assert_eq!(end_of("kill -TERM $$"), JobEnd::Signaled(15));
        assert_eq!(end_of("kill -TERM $$").code(), 143);
        assert_eq!(end_of("kill -INT $$").code(), 130);
    }

    #[test]
    fn a_realtime_signal_has_a_code_too() {
        assert_eq!(end_of("kill -34 $$").code(), 162);
    }
}
