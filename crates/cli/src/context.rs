//! What every command has at hand: the engine, and how to speak.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use leasehold::{Error, Locks};
use pollster::block_on;
use serde_json::json;

use crate::args::Global;
use crate::config::{self, Chosen, Source};
use crate::failure::Failure;
use crate::output::{ALERT, styled};

/// How long the engine may take to close. What it leaves behind then, others clear
/// away in time.
const CLOSING: Duration = Duration::from_millis(250);
const CLOSING_STEP: Duration = Duration::from_micros(50);

/// What every command has at hand.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    global: Global,
}

/// An open engine and the URL that names it to others.
pub(crate) struct Opened {
    pub(crate) locks: Locks,
    pub(crate) url: String,
}

impl Opened {
    /// Closes the engine before the process ends, so that it can tidy up. The
    /// background thread holds it a moment longer than we do.
    pub(crate) fn close(self) {
        let engine = Arc::downgrade(self.locks.engine());
        drop(self);
        let started = Instant::now();
        while engine.strong_count() > 0 && started.elapsed() < CLOSING {
            thread::sleep(CLOSING_STEP);
        }
    }
}

/// An error that a URL may be to blame for, with who gave it.
pub(crate) fn blame(chosen: &Chosen, error: Error) -> Failure {
    let invalid = matches!(error, Error::Invalid { .. } | Error::Unsupported { .. });
    let mut failure = Failure::from(error);
    if invalid && chosen.source != Source::Default {
        failure.message = format!("{}: {}", chosen.source, failure.message);
    }
    failure
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        Self { global }
    }

    /// Whether the output is for programs.
    pub(crate) fn json(&self) -> bool {
        self.global.json
    }

    /// Whether only errors may be said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.global.quiet
    }

    /// Opens the engine for a client that people see as `owner`.
    pub(crate) fn open(&self, owner: String) -> Result<Opened, Failure> {
        let chosen = self.choose(None)?;
        let connecting = Locks::builder().url(&chosen.url).owner(owner).connect();
        match block_on(connecting) {
            Ok(locks) => Ok(Opened {
                locks,
                url: chosen.url,
            }),
            Err(error) => Err(blame(&chosen, error)),
        }
    }

    /// Which engine to use; the one that a command names for itself goes first.
    pub(crate) fn choose(&self, named: Option<&str>) -> Result<Chosen, Failure> {
        let flag = named.or(self.global.url.as_deref());
        config::choose(flag, self.global.config.as_deref())
    }

    /// Whether `--url` names an engine.
    pub(crate) fn has_url(&self) -> bool {
        self.global.url.is_some()
    }

    /// Says something that is no error, on standard error.
    pub(crate) fn notice(&self, kind: &str, text: &str) {
        if !self.global.quiet {
            self.say("notice", kind, text, Style::new());
        }
    }

    /// Says something that went wrong without being the end of the command.
    pub(crate) fn warn(&self, kind: &str, text: &str) {
        self.say("warning", kind, text, ALERT);
    }

    /// Says why the command failed.
    pub(crate) fn fail(&self, failure: &Failure) {
        if !failure.is_silent() {
            self.say("error", failure.kind, &failure.to_string(), ALERT);
        }
    }

    fn say(&self, level: &str, kind: &str, text: &str, style: Style) {
        let plain = AutoStream::choice(&io::stderr()) == ColorChoice::Never;
        let line = match (self.global.json, plain) {
            (true, _) => format!("{}\n", json!({ level: kind, "message": text })),
            (false, true) => format!("leasehold: {text}\n"),
            (false, false) => format!("{} {text}\n", styled(style, "leasehold:")),
        };
        // One write, so that it stays one line among those of the command; and if
        // nobody listens, there is nobody to tell.
        let _ = io::stderr().write_all(line.as_bytes());
    }
}
