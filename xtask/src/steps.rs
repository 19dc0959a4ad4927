//! Named steps, all of which run even when one fails, and the summary after them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// What became of one step.
struct Outcome {
    name: String,
    took: Duration,
    /// A remark for the summary, or what is wrong and what to do about it.
    result: Result<String, Failure>,
}

struct Failure {
    problem: String,
    remedy: &'static str,
}

/// The steps of one verb.
pub(crate) struct Steps {
    verb: &'static str,
    outcomes: Vec<Outcome>,
}

impl Steps {
    pub(crate) fn new(verb: &'static str) -> Self {
        Self {
            verb,
            outcomes: Vec::new(),
        }
    }

    /// Runs one step now and tells whether it succeeded. `work` returns a remark for the summary,
    /// which may be empty; if it fails, the summary repeats its error with `remedy`.
    pub(crate) fn step(
        &mut self,
        name: impl Into<String>,
        remedy: &'static str,
        work: impl FnOnce() -> Result<String>,
    ) -> bool {
        let name = name.into();
        println!("==> {name}");
        let start = Instant::now();
        let result = work().map_err(|error| Failure {
            problem: format!("{error:#}"),
            remedy,
        });
        let succeeded = result.is_ok();
        self.outcomes.push(Outcome {
            name,
            took: start.elapsed(),
            result,
        });
        succeeded
    }

    /// Prints the summary.
    ///
    /// # Errors
    ///
    /// When a step failed.
    pub(crate) fn finish(self) -> Result<()> {
        println!("\n{}", self.summary());
        let failed = self.outcomes.iter().filter(|o| o.result.is_err()).count();
        if failed > 0 {
            bail!(
                "{} failed: {failed} of {} steps",
                self.verb,
                self.outcomes.len()
            );
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let total: Duration = self.outcomes.iter().map(|o| o.took).sum();
        let mut text = format!("{}: {:.1} s", self.verb, total.as_secs_f64());
        for outcome in &self.outcomes {
            let seconds = outcome.took.as_secs_f64();
            let verdict = if outcome.result.is_ok() {
                "ok"
            } else {
                "FAILED"
            };
            // Writing to a String does not fail.
            let _ = write!(text, "\n  {verdict:<6} {seconds:>7.1} s  {}", outcome.name);
            match &outcome.result {
                Ok(remark) if remark.is_empty() => {}
                Ok(remark) => {
                    let _ = write!(text, ": {remark}");
                }
                Err(failure) => {
                    for line in failure.problem.lines() {
                        let _ = write!(text, "\n      {line}");
                    }
                    let _ = write!(text, "\n      remedy: {}", failure.remedy);
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_runs_and_one_failure_fails_the_verb() {
        let mut ran = Vec::new();
        let mut steps = Steps::new("verify");
        let first = steps.step("first", "mend it", || {
            ran.push(1);
            bail!("line one\nline two")
        });
        let second = steps.step("second", "unused", || {
            ran.push(2);
            Ok("12 files".to_owned())
        });
        assert!(!first && second);
        let summary = steps.summary();
        assert!(summary.contains("first\n      line one\n      line two\n      remedy: mend it"));
        assert!(summary.ends_with("second: 12 files"));
        assert!(!summary.contains("unused"));
        assert_eq!(
            steps.finish().unwrap_err().to_string(),
            "verify failed: 1 of 2 steps"
        );
        assert_eq!(ran, [1, 2]);
    }

    #[test]
    fn steps_without_a_failure_succeed() {
        let mut steps = Steps::new("fix");
        steps.step("only", "none", || Ok(String::new()));
        assert!(steps.summary().ends_with("only"));
        steps.finish().unwrap();
    }
}
