//! What is run: commands of this repository, each of which can be run by hand.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::saved::Saved;
use super::{table, versions};
use crate::workspace;

pub(crate) const REMEDY: &str =
    "run the command by hand; docs/safety.md says FAILED until it is mended";

/// One proof.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    /// What it shows, for the overview.
    pub(crate) about: &'static str,
    /// The arguments of cargo; `{}` is how much, in full and quick.
    command: &'static str,
    full: &'static str,
    quick: &'static str,
    pub(crate) form: Form,
}

/// How long a run is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// As for the record.
    Full,
    /// As for a look.
    Quick,
    /// So long, if it is measured in minutes; else in full.
    Minutes(u32),
}

/// What comes out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text, shown as it is.
    Text,
    /// Names of tests.
    Tests,
    /// Figures of the fault runner, and a report.
    Faults,
    /// Figures of the fuzzer.
    Fuzz,
}

impl Form {
    /// Whether it writes figures to a file that it is told.
    const fn has_figures(self) -> bool {
        matches!(self, Self::Faults | Self::Fuzz)
    }
}

/// All of them, in the order of the page.
pub(crate) const PARTS: &[Part] = &[
    Part {
        name: "sim",
        about: "the shipped code in a simulated world, at random",
        command: "xtask sim --schedules {}",
        full: "5000000",
        quick: "200000",
        form: Form::Text,
    },
    Part {
        name: "mutations",
        about: "each promise of the protocol broken on purpose, and caught",
        command: "xtask sim --mutations",
        full: "",
        quick: "",
        form: Form::Text,
    },
    Part {
        name: "exhaustive",
        about: "the shipped quorum machines, every history within bounds",
        command: "xtask sim --exhaustive --minutes {}",
        full: "10",
        quick: "1",
        form: Form::Text,
    },
    Part {
        name: "record",
        about: "the shipped record machine, every history within bounds",
        command: "run --quiet --locked --manifest-path sim/Cargo.toml --bin model",
        full: "",
        quick: "",
        form: Form::Text,
    },
    Part {
        name: "faults",
        about: "our clients on five real servers that are broken meanwhile",
        command: "xtask faults --minutes {}",
        full: "10",
        quick: "1",
        form: Form::Faults,
    },
    Part {
        name: "faults-rslock",
        about: "the same faults, the crate rslock",
        command: "xtask faults --peer rslock --minutes {}",
        full: "10",
        quick: "1",
        form: Form::Faults,
    },
    Part {
        name: "faults-python",
        about: "the same faults, the PyPI package redlock",
        command: "xtask faults --peer python --minutes {}",
        full: "10",
        quick: "1",
        form: Form::Faults,
    },
    Part {
        name: "faults-node",
        about: "the same faults, the npm package redlock",
        command: "xtask faults --peer node --minutes {}",
        full: "10",
        quick: "1",
        form: Form::Faults,
    },
    Part {
        name: "amnesia",
        about: "real servers that forget, among clients at work",
        command: "test --locked --package leasehold-redis --test amnesia --test sentinel",
        full: "",
        quick: "",
        form: Form::Tests,
    },
    Part {
        name: "conformance",
        about: "the suite of the contract on every engine's real store",
        command: "test --locked --no-fail-fast --package leasehold-local --package leasehold-memory --package leasehold-redis --test conformance",
        full: "",
        quick: "",
        form: Form::Tests,
    },
    Part {
        name: "fuzz",
        about: "nonsense fed to parsers, decoders and the Redis engine",
        command: "xtask fuzz --seconds {}",
        full: "600",
        quick: "30",
        form: Form::Fuzz,
    },
];

impl Part {
    /// As one would type it.
    pub(crate) fn command(&self, length: Length) -> String {
        let much = match length {
            Length::Minutes(minutes) if self.command.contains("--minutes") => minutes.to_string(),
            Length::Quick => self.quick.to_owned(),
            Length::Full | Length::Minutes(_) => self.full.to_owned(),
        };
        format!("cargo {}", self.command.replace("{}", &much))
    }

    /// Whether its command may end with 1 for what it found in other projects' clients.
    pub(crate) fn is_of_a_peer(&self) -> bool {
        self.name.starts_with("faults-")
    }

    /// Where its report is kept, if it makes one.
    pub(crate) fn report(&self, folder: &Path) -> Option<PathBuf> {
        (self.form == Form::Faults).then(|| folder.join(format!("{}-report", self.name)))
    }

    /// Its result as the page shows it.
    pub(crate) fn show(&self, saved: &Saved) -> String {
        match self.form {
            Form::Text => table::text(saved),
            Form::Tests => table::tests(saved),
            Form::Faults => table::faults(saved),
            Form::Fuzz => table::fuzz(saved),
        }
    }

    /// Runs it, and keeps its result under `folder`.
    ///
    /// # Errors
    ///
    /// When it could not be run, or failed; what it said is kept if it ran.
    pub(crate) fn run(&self, length: Length, folder: &Path) -> Result<String> {
        fs::create_dir_all(folder).context("cannot make target/safety")?;
        let shown = self.command(length);
        let mut words: Vec<_> = shown.split(' ').skip(1).map(str::to_owned).collect();
        let figures = folder.join(format!("{}.figures.json", self.name));
        if self.form.has_figures() {
            words.extend(["--json".to_owned(), figures.display().to_string()]);
            // What an earlier run left is not this one's.
            let _ = fs::remove_file(&figures);
        }
        if let Some(report) = self.report(folder) {
            let _ = fs::remove_dir_all(&report);
            words.extend(["--report".to_owned(), report.display().to_string()]);
        }
        let date = versions::now()?;
        let start = Instant::now();
        let (exit, output) = listen(&words)?;
        let saved = Saved {
            command: shown.clone(),
            date,
            commit: versions::commit(),
            seconds: start.elapsed().as_secs(),
            exit,
            quick: shown != self.command(Length::Full) && !self.full.is_empty(),
            output,
            figures: match self.form.has_figures() && figures.is_file() {
                true => serde_json::from_str(&fs::read_to_string(&figures)?)?,
                false => Value::Null,
            },
        };
        if exit == 2 || self.form.has_figures() && saved.figures.is_null() {
            bail!("`{shown}` could not be run: {}", saved.last_line());
        }
        saved.write(folder, self.name)?;
        if exit != 0 && !self.is_of_a_peer() {
            bail!("`{shown}` failed");
        }
        Ok(String::new())
    }
}

/// Runs cargo with these arguments; what it writes is shown and returned.
fn listen(words: &[String]) -> Result<(i32, String)> {
    let mut command = crate::process::cargo_for_tests(&workspace::root());
    command.args(words).stdout(Stdio::piped());
    println!("    $ cargo {}", words.join(" "));
    let mut child = command.spawn().context("cannot start cargo")?;
    let mut output = String::new();
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let line = line.context("what it writes is no text")?;
            println!("{line}");
            output.push_str(&line);
            output.push('\n');
        }
    }
    let status = child.wait().context("it cannot be waited for")?;
    Ok((status.code().unwrap_or(-1), output))
}

/// What a program says of itself in one line, or that it is not there.
pub(crate) fn first_line(program: &str, args: &[&str]) -> String {
    let said = Command::new(program)
        .args(args)
        .stderr(Stdio::null())
        .output();
    let said = said.ok().filter(|output| output.status.success());
    let text = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let line = text.as_deref().and_then(|text| text.lines().next());
    line.unwrap_or("not there").trim().to_owned()
}
