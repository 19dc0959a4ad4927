//! How a command fails: what it says, and its exit code.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;

use leasehold::{Error, LockName};

/// The exit codes that are Leasehold's own. The rest are a shell's.
pub(crate) mod code {
    /// `doctor` has warnings.
    pub(crate) const WARNINGS: u8 = 1;
    /// `doctor` has errors.
    pub(crate) const ERRORS: u8 = 3;
    /// Wrong usage, or a value that is not acceptable.
    pub(crate) const USAGE: u8 = 2;
    /// The engine cannot be used (`EX_UNAVAILABLE`).
    pub(crate) const UNAVAILABLE: u8 = 69;
    /// The system lacks something (`EX_OSERR`).
    pub(crate) const OS: u8 = 71;
    /// Standard output cannot be written (`EX_IOERR`).
    pub(crate) const IO: u8 = 74;
    /// The lock is busy (`EX_TEMPFAIL`).
    pub(crate) const BUSY: u8 = 75;
    /// The lease is lost.
    pub(crate) const LOST: u8 = 79;
}

/// A command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: u8,
    /// A word for programs.
    pub(crate) kind: &'static str,
    /// One line for people, with the remedy; empty if there is nothing to say.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: u8, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            kind,
            message: message.into(),
        }
    }

    /// A value that is not acceptable.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(code::USAGE, "invalid", message)
    }

    /// The lease that a script named is over.
    pub(crate) fn over(name: &LockName) -> Self {
        Self::new(
            code::LOST,
            "lost",
            format!(
                "the lease of lock {name:?} is over: released before, run out, or broken; \
                 `leasehold status` shows who holds the lock"
            ),
        )
    }

    /// The system has no room for a thread.
    pub(crate) fn no_threads(error: &io::Error) -> Self {
        Self::new(
            code::OS,
            "os",
            format!("cannot start a thread: {error}; raise the limit on processes (ulimit -u)"),
        )
    }

    /// Whoever reads our output has had enough; not worth a word.
    pub(crate) fn is_silent(&self) -> bool {
        self.message.is_empty()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An error is one line, whatever a path or a name has in it.
        for c in self.message.chars() {
            match c.is_control() {
                true => write!(f, "{}", c.escape_default())?,
                false => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, kind) = match &error {
            Error::Contended { .. } => (code::BUSY, "busy"),
            Error::TimedOut { .. } => (code::BUSY, "timed_out"),
            Error::Lost { .. } => (code::LOST, "lost"),
            Error::Invalid { .. } => (code::USAGE, "invalid"),
            Error::Unsupported { .. } => (code::USAGE, "unsupported"),
            Error::Indeterminate { .. } => (code::UNAVAILABLE, "indeterminate"),
            Error::Damaged { .. } => (code::UNAVAILABLE, "damaged"),
            _ => (code::UNAVAILABLE, "unavailable"),
        };
        let remedy = match &error {
            Error::Contended { .. } => "; leave out --no-wait to wait for it",
            Error::TimedOut { .. } => "; wait longer with --wait",
            Error::Indeterminate { .. } => {
                "; look with `leasehold status` whether it was carried out, or repeat it"
            }
            _ => "",
        };
        Self::new(code, kind, format!("{error}{remedy}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(0, "broken_pipe", ""),
            _ => Self::new(code::IO, "io", format!("cannot write the output: {error}")),
        }
    }
}

/// Says what is wrong with the usage, or prints the help that was asked for.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(code::USAGE);
    let text = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // Nobody is left to be told if the help cannot be printed.
            let _ = error.print();
        }
        _ => {
            let text = text.to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            let _ = write!(io::stderr(), "leasehold: {text}");
        }
    }
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_error_has_its_code() {
        let name: LockName = "x".parse().unwrap();
        for (error, code) in [
            (
                Error::Contended {
                    name,
                    holders: Vec::new(),
                },
                75,
            ),
            (Error::invalid("ttl", "0", "more"), 2),
            (Error::unsupported("s3", "watch", "poll"), 2),
            (Error::unavailable("local", "disk full", "make room"), 69),
            (Error::damaged("db", "random bytes", "move it away"), 69),
        ] {
            assert_eq!(Failure::from(error).code, code);
        }
    }

    #[test]
    fn a_message_is_one_line() {
        let said = Failure::usage("a\nb\x1b[2J").to_string();
        assert_eq!(said, "a\\nb\\u{1b}[2J");
    }
}
