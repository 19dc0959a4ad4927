//! A worker process, and what it says.

use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use crate::protocol::{Ask, Said, URL_VARIABLE};

/// How to start a worker.
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// How long a worker may take to end when it is told to.
const ENDING: Duration = Duration::from_secs(3);
const ENDING_STEP: Duration = Duration::from_millis(10);

/// A running worker. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    asks: Option<ChildStdin>,
}

/// Something from a worker.
#[derive(Debug)]
pub(super) struct Heard {
    /// Which process, from 0.
    pub(super) process: usize,
    /// Which of those that were started in its place, so that the last words of a
    /// dead one are not taken for its successor's.
    pub(super) life: u32,
    /// What it said; `None` when it hung up.
    pub(super) said: Option<Said>,
}

impl Process {
    /// Starts a worker whose words go to `heard`.
    pub(super) fn start(
        command: &WorkerCommand,
        url: &str,
        process: usize,
        life: u32,
        heard: &Sender<Heard>,
    ) -> io::Result<Self> {
        let mut child = Command::new(&command.program)
            .args(&command.args)
            .env(URL_VARIABLE, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let asks = child.stdin.take();
        let out = child.stdout.take();
        let heard = heard.clone();
        thread::Builder::new()
            .name(format!("worker {process}"))
            .spawn(move || {
                let lines = out.into_iter().flat_map(|out| BufReader::new(out).lines());
                for line in lines.map_while(Result::ok) {
                    let said = serde_json::from_str(&line).unwrap_or_else(|error| Said::Failed {
                        failed: format!("a worker said what is no answer ({error}): {line}"),
                    });
                    let said = Some(said);
                    if heard
                        .send(Heard {
                            process,
                            life,
                            said,
                        })
                        .is_err()
                    {
                        return;
                    }
                }
                // Nobody listens at the end of a run.
                let said = None;
                let _ = heard.send(Heard {
                    process,
                    life,
                    said,
                });
            })?;
        Ok(Self { child, asks })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks for something. If that cannot be said, the worker has ended or is about
    /// to, which is heard.
    pub(super) fn ask(&mut self, ask: &Ask) {
        let Ok(mut line) = serde_json::to_vec(ask) else {
            return;
        };
        line.push(b'\n');
        if let Some(asks) = &mut self.asks {
            let _ = asks.write_all(&line);
        }
    }

    /// Lets it end by itself, and kills it if it does not.
    pub(super) fn end(mut self) {
        drop(self.asks.take());
        let started = Instant::now();
        while started.elapsed() < ENDING {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(ENDING_STEP);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it is dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
