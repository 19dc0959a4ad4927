//! Where the worker processes are, and start again when they die.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::Monitor;
use super::process::{Heard, Process, WorkerCommand};
use crate::failure::Failure;
use crate::plan::Plan;
use crate::protocol::{Ask, Hello, Said};

/// How long a worker may take to be ready.
const STARTING: Duration = Duration::from_secs(30);

/// The worker processes of a run.
pub(super) struct Places<'a> {
    plan: &'a Plan,
    command: &'a WorkerCommand,
    monitor: &'a Monitor,
    tell: Sender<Heard>,
    /// What they say.
    pub(super) heard: Receiver<Heard>,
    list: Vec<Place>,
}

/// Where a worker process is, or will be again.
#[derive(Default)]
struct Place {
    process: Option<Process>,
    life: u32,
    ready: bool,
}

impl<'a> Places<'a> {
    pub(super) fn new(plan: &'a Plan, command: &'a WorkerCommand, monitor: &'a Monitor) -> Self {
        let (tell, heard) = channel();
        Self {
            plan,
            command,
            monitor,
            tell,
            heard,
            list: Vec::new(),
        }
    }

    /// Starts as many processes as are asked for, and more if it takes more to be all
    /// the clients; waits until all are ready. Says how many there are.
    pub(super) fn start(&mut self) -> Result<(Hello, u32), Failure> {
        self.open(0)?;
        let worker = self.await_hello()?;
        let clients = self.plan.clients;
        let needed = clients.div_ceil(worker.clients.max(1));
        let count = self.plan.processes.max(needed).min(clients);
        for process in 1..count as usize {
            self.open(process)?;
        }
        for _ in 1..count {
            self.await_hello()?;
        }
        Ok((worker, count))
    }

    /// Starts the process of a place, the first or the next.
    pub(super) fn open(&mut self, process: usize) -> Result<(), Failure> {
        if self.list.len() <= process {
            self.list.resize_with(process + 1, Place::default);
        }
        let place = &mut self.list[process];
        place.life += 1;
        place.ready = false;
        let (url, life) = (&self.plan.url, place.life);
        let started =
            Process::start(self.command, url, process, life, &self.tell).map_err(|error| {
                let program = self.command.program.display();
                Failure::Worker(format!("cannot start {program}: {error}"))
            })?;
        self.monitor.set_worker(process, Some(started.pid()));
        place.process = Some(started);
        Ok(())
    }

    fn await_hello(&mut self) -> Result<Hello, Failure> {
        let until = Instant::now() + STARTING;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(heard) = self.heard.recv_timeout(left) else {
                let text = format!("no hello within {STARTING:?}");
                return Err(Failure::Worker(text));
            };
            match heard.said {
                Some(Said::Hello(hello)) => {
                    self.is_up(heard.process);
                    return Ok(hello);
                }
                Some(Said::Failed { failed }) => return Err(Failure::Worker(failed)),
                Some(_) => {}
                None => {
                    let text = "it ended without a hello; its standard error may say why";
                    return Err(Failure::Worker(text.into()));
                }
            }
        }
    }

    /// Whether it comes from the process that is there now.
    pub(super) fn is_current(&self, heard: &Heard) -> bool {
        heard.life == self.list[heard.process].life
    }

    /// Whether a process has said its hello.
    pub(super) fn is_ready(&self, process: usize) -> bool {
        self.list[process].ready
    }

    /// It has said its hello.
    pub(super) fn is_up(&mut self, process: usize) {
        self.list[process].ready = true;
    }

    /// It has died; says whether it had been ready.
    pub(super) fn died(&mut self, process: usize) -> bool {
        self.monitor.set_worker(process, None);
        let place = &mut self.list[process];
        place.process = None;
        std::mem::take(&mut place.ready)
    }

    /// Asks a process for something, if it is there.
    pub(super) fn ask(&mut self, process: usize, ask: &Ask) {
        if let Some(process) = &mut self.list[process].process {
            process.ask(ask);
        }
    }

    /// Lets all end by themselves, and kills those that do not.
    pub(super) fn end(&mut self) {
        for place in self.list.drain(..) {
            if let Some(process) = place.process {
                process.end();
            }
        }
    }
}
