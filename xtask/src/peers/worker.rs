//! A worker as docs/torture.md describes it, asked by hand.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// How long an answer may take: far more than any does.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of them. Dropping it kills it.
pub(super) struct Worker {
    process: Child,
    asks: Option<ChildStdin>,
    said: Receiver<String>,
    next_id: u64,
    pub(super) hello: Value,
    /// Its last answer.
    pub(super) last: Value,
}

impl Worker {
    pub(super) fn start(program: &Path, url: &str) -> Result<Self> {
        let mut process = Command::new(program)
            .env("LEASEHOLD_URL", url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let asks = process.stdin.take();
        let answers = process.stdout.take().context("it has no output")?;
        let (tell, said) = channel();
        // Ends with the worker's output.
        thread::spawn(move || {
            for line in BufReader::new(answers).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let (hello, last) = (Value::Null, Value::Null);
        let mut worker = Self {
            process,
            asks,
            said,
            next_id: 1,
            hello,
            last,
        };
        let first = worker.line()?;
        if first.get("hello").is_none() {
            bail!("it does not begin with hello: {first}");
        }
        worker.hello = first;
        Ok(worker)
    }

    /// Asks, and returns the id of the ask if the answer is as it should be.
    pub(super) fn expect(&mut self, outcome: &str, ask: &Value) -> Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        let mut ask = ask.clone();
        ask["id"] = id.into();
        let asks = self.asks.as_mut().context("it was told to quit")?;
        writeln!(asks, "{ask}").context("it reads no more")?;
        asks.flush().context("it reads no more")?;
        self.last = self.line()?;
        let said = &self.last;
        if said["id"] != id || said["ok"] != outcome {
            bail!("asked {ask}, it says {said}, not {outcome}");
        }
        let time = |key: &str| {
            said[key]
                .as_u64()
                .with_context(|| format!("no {key} in {said}"))
        };
        if time("sent_us")? > time("got_us")? {
            bail!("it has the answer before it asked: {said}");
        }
        Ok(id)
    }

    fn line(&self) -> Result<Value> {
        let line = self
            .said
            .recv_timeout(PATIENCE)
            .context("it says nothing")?;
        serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))
    }

    /// Tells it to end, and waits until it has.
    pub(super) fn quit(mut self) -> Result<()> {
        if let Some(mut asks) = self.asks.take() {
            writeln!(asks, r#"{{"do":"quit"}}"#).context("it reads no more")?;
        }
        while self.said.recv_timeout(PATIENCE).is_ok() {}
        let status = self.process.wait()?;
        if !status.success() {
            bail!("it ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Fails only if it is dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
