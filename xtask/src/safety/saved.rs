//! A result, as it is kept.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What came of a command, when, and of which state of this repository.
#[derive(Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) command: String,
    /// In UTC.
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) seconds: u64,
    /// With which code it ended.
    pub(crate) exit: i32,
    /// Whether it was a short run.
    pub(crate) quick: bool,
    /// What it wrote.
    pub(crate) output: String,
    /// What it wrote to a file, if it does.
    #[serde(default)]
    pub(crate) figures: Value,
}

impl Saved {
    /// The result of a part, if there is one.
    ///
    /// # Errors
    ///
    /// When there is one that cannot be read.
    pub(crate) fn read(folder: &Path, name: &str) -> Result<Option<Self>> {
        let file = folder.join(format!("{name}.json"));
        if !file.is_file() {
            return Ok(None);
        }
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let saved = serde_json::from_str(&text);
        saved
            .map(Some)
            .with_context(|| format!("{} is no result; remove it", file.display()))
    }

    /// Keeps it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> Result<()> {
        let file = folder.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Where the figures below are from.
    pub(crate) fn provenance(&self) -> String {
        let short = if self.quick { ", a short run" } else { "" };
        format!(
            "`{}` on {}, commit {}, {}{short}.",
            self.command,
            self.date,
            self.commit,
            length(self.seconds)
        )
    }

    /// What it wrote, without the lines of cargo and of this program.
    pub(crate) fn said(&self) -> String {
        let lines = self.output.lines().map(str::trim_end);
        let kept: Vec<_> = lines.filter(|line| !line.starts_with("    $ ")).collect();
        kept.join("\n").trim_matches('\n').to_owned()
    }

    pub(crate) fn last_line(&self) -> &str {
        self.output
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("it said nothing")
    }
}

/// Seconds as people say them.
fn length(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Saved::read(dir.path(), "a").unwrap().is_none());
        let saved = Saved {
            command: "cargo a".into(),
            date: "2026-11-21 13:00 UTC".into(),
            commit: "abc".into(),
            seconds: 130,
            exit: 0,
            quick: true,
            output: "    $ cargo b\none\ntwo\n\n".into(),
            figures: Value::Null,
        };
        saved.write(dir.path(), "a").unwrap();
        let back = Saved::read(dir.path(), "a").unwrap().unwrap();
        assert_eq!(back.said(), "one\ntwo");
        assert_eq!(back.last_line(), "two");
        assert_eq!(
            back.provenance(),
            "`cargo a` on 2026-11-21 13:00 UTC, commit abc, 2 min 10 s, a short run."
        );
        fs::write(dir.path().join("b.json"), "{").unwrap();
        assert!(Saved::read(dir.path(), "b").is_err());
    }
}
