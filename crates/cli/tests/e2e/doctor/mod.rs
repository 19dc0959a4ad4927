//! `doctor`, on real Redis servers and on the local engine.

mod local;
mod server;
mod set;
mod trouble;

use serde_json::Value;

use crate::support::{Said, eventually, say};
use server::Server;

/// So many servers that keep nothing on disk.
fn servers(count: usize) -> Vec<Server> {
    (0..count).map(|_| Server::start(&[])).collect()
}

/// A URL of these servers with these keys.
fn url(servers: &[Server], keys: &str) -> String {
    let hosts: Vec<_> = servers.iter().map(Server::host).collect();
    format!("redis://{}?{keys}", hosts.join(","))
}

/// Uses the servers until every one of them has joined.
fn join_all(url: &str) {
    eventually("every server votes", || {
        say(&["run", "x", "--url", url, "--", "true"]).with_code(0);
        let json = diagnose(url).0.json();
        let findings = json["findings"].as_array().expect("an array");
        let mut memory = findings.iter().filter(|found| found["check"] == "memory");
        memory.all(|found| found["severity"] == "ok")
    });
}

/// `leasehold doctor --json URL`.
fn diagnose(url: &str) -> Diagnosis {
    Diagnosis(say(&["doctor", "--json", url]))
}

/// What the doctor said to a program.
#[derive(Debug)]
struct Diagnosis(Said);

impl Diagnosis {
    #[track_caller]
    fn with_code(self, code: i32) -> Diagnosis {
        assert_eq!(self.0.code, Some(code), "{self:?}");
        self
    }

    /// Checks that there is a finding of this check about this subject with this
    /// severity, and all these words in it.
    #[track_caller]
    fn finds(self, check: &str, subject: &str, severity: &str, words: &[&str]) -> Diagnosis {
        let json = self.0.json();
        let all = json["findings"].as_array().expect("an array");
        let found = all.iter().find(|finding| {
            finding["check"] == check
                && finding["subject"] == subject
                && finding["severity"] == severity
        });
        let found = found.unwrap_or_else(|| panic!("no {severity} {check} of {subject}: {json:#}"));
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        let said = [text("detail"), text("meaning"), text("remedy")].join(" ");
        for word in words {
            assert!(said.contains(word), "no {word:?} in {found:#}");
        }
        if severity != "ok" {
            assert!(!text("remedy").is_empty(), "no remedy: {found:#}");
        }
        self
    }

    /// Checks that no finding is worse than this.
    #[track_caller]
    fn worst(self, severity: &str) -> Diagnosis {
        let json: Value = self.0.json();
        assert_eq!(json["worst"], severity, "{json:#}");
        self
    }
}
