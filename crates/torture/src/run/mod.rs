//! Runs clients in worker processes and writes down what happens.
//!
//! * `actor`: one client. `process`: one worker. `monitor`: what those share who
//!   watch a run or disturb it.

mod actor;
mod monitor;
mod process;

pub use monitor::{Monitor, Ongoing, Progress};
pub use process::WorkerCommand;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::clock::now_us;
use crate::failure::Failure;
use crate::history::{self, Call, Record, Run, WriteTo};
use crate::plan::Plan;
use crate::protocol::{Answer, Ask, Hello, Outcome, Said, What};
use crate::register::Registers;
use actor::{Actor, Next};
use process::{Heard, Process};

/// How long a worker may take to be ready.
const STARTING: Duration = Duration::from_secs(30);
/// How long until a worker that could not start is started again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often the run looks at what it shares with others, at least.
const LOOK: Duration = Duration::from_millis(100);

/// Runs the plan with workers started by this command, and returns what happened;
/// each record is written to `log` as well, as soon as it is known.
///
/// # Errors
///
/// [`Failure::Invalid`] for a plan that makes no sense, [`Failure::Worker`] if the
/// first workers cannot start or reach the engine, [`Failure::Io`] if the log cannot
/// be written.
pub fn run<'a>(
    plan: &'a Plan,
    command: &'a WorkerCommand,
    monitor: &'a Monitor,
    log: Option<&'a mut dyn Write>,
) -> Result<Vec<Record>, Failure> {
    plan.check()?;
    let (tell, heard) = channel();
    let mut stage = Stage {
        plan,
        command,
        monitor,
        places: Vec::new(),
        tell,
        heard,
        actors: Vec::new(),
        pending: HashMap::new(),
        next_id: 1,
        timers: BinaryHeap::new(),
        registers: Registers::default(),
        records: Vec::new(),
        log,
    };
    let worker = stage.start()?;
    stage.play(&worker)?;
    stage.close()?;
    Ok(stage.records)
}

/// Everything of one run.
struct Stage<'a> {
    plan: &'a Plan,
    command: &'a WorkerCommand,
    monitor: &'a Monitor,
    places: Vec<Place>,
    tell: Sender<Heard>,
    heard: Receiver<Heard>,
    actors: Vec<Actor>,
    /// Asks without an answer, by id: of whom, what, and since when.
    pending: HashMap<u64, (usize, What, u64)>,
    next_id: u64,
    timers: BinaryHeap<Reverse<(u64, Timer)>>,
    registers: Registers,
    records: Vec<Record>,
    log: Option<&'a mut dyn Write>,
}

/// Where a worker process is, or will be again.
#[derive(Default)]
struct Place {
    process: Option<Process>,
    life: u32,
    ready: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// This client in this life of it has rested.
    Actor(usize, u64),
    /// This worker is to be started again.
    Worker(usize),
}

impl Stage<'_> {
    /// Starts the workers and says what is run.
    fn start(&mut self) -> Result<Hello, Failure> {
        self.open(0).map_err(|error| self.cannot_start(&error))?;
        let worker = self.await_hello()?;
        let each = worker.clients.max(1);
        let count = self
            .plan
            .processes
            .max(self.plan.clients.div_ceil(each))
            .min(self.plan.clients);
        for process in 1..count as usize {
            self.open(process)
                .map_err(|error| self.cannot_start(&error))?;
        }
        for _ in 1..count {
            self.await_hello()?;
        }
        for client in 0..self.plan.clients {
            let (process, slot) = ((client % count) as usize, client / count);
            self.actors
                .push(Actor::new(self.plan, client, process, slot));
        }
        let at_us = now_us();
        self.monitor.update(|progress| progress.begun_us = at_us);
        let run = Run {
            at_us,
            worker: worker.clone(),
            url: shown(&self.plan.url),
            seed: self.plan.seed,
            clients: self.plan.clients,
            processes: count,
            names: self.plan.names,
            ttl_ms: crate::plan::millis(self.plan.ttl),
            mode: self.plan.mode.to_string(),
        };
        self.record(Record::Run(run))?;
        Ok(worker)
    }

    fn cannot_start(&self, error: &std::io::Error) -> Failure {
        let program = self.command.program.display();
        Failure::Worker(format!("cannot start {program}: {error}"))
    }

    fn open(&mut self, process: usize) -> std::io::Result<()> {
        if self.places.len() <= process {
            self.places.resize_with(process + 1, Place::default);
        }
        let place = &mut self.places[process];
        place.life += 1;
        place.ready = false;
        let started = Process::start(
            self.command,
            &self.plan.url,
            process,
            place.life,
            &self.tell,
        )?;
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
                    self.places[heard.process].ready = true;
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

    /// Lets clients take locks until the time is over, and then finish.
    fn play(&mut self, worker: &Hello) -> Result<(), Failure> {
        let end = now_us() + micros(self.plan.duration);
        let mut last = u64::MAX;
        for actor in 0..self.actors.len() {
            self.timer(Duration::ZERO, Timer::Actor(actor, 0));
        }
        loop {
            let now = now_us();
            if last == u64::MAX && (now >= end || self.monitor.is_stopped()) {
                last = now + micros(self.plan.wait + self.plan.ttl * 3 + Duration::from_secs(5));
            }
            let ending = last != u64::MAX;
            if ending && (now >= last || self.actors.iter().all(Actor::is_idle)) {
                return Ok(());
            }
            self.due(now, ending, worker)?;
            let next = self.timers.peek().map_or(u64::MAX, |timer| timer.0.0);
            let rest = Duration::from_micros(next.saturating_sub(now_us())).min(LOOK);
            match self.heard.recv_timeout(rest) {
                Ok(heard) => self.hears(heard, ending)?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            for band in self.monitor.ended() {
                self.record(Record::Fault(band))?;
            }
        }
    }

    /// Does what it is time for.
    fn due(&mut self, now: u64, ending: bool, worker: &Hello) -> Result<(), Failure> {
        while let Some(Reverse((at, timer))) = self.timers.peek().copied() {
            if at > now {
                return Ok(());
            }
            self.timers.pop();
            match timer {
                Timer::Actor(actor, life) => {
                    let client = &mut self.actors[actor];
                    let away = !self.places[client.process].ready;
                    if client.life != life || away || (ending && client.is_idle()) {
                        continue;
                    }
                    let next = client.wakes(self.plan, worker, self.next_id);
                    self.does(actor, next);
                }
                Timer::Worker(process) => {
                    if let Err(error) = self.open(process) {
                        return Err(self.cannot_start(&error));
                    }
                }
            }
        }
        Ok(())
    }

    fn does(&mut self, actor: usize, next: Next) {
        let client = &self.actors[actor];
        match next {
            Next::Rest(length) => self.timer(length, Timer::Actor(actor, client.life)),
            Next::Ask(what) => {
                let id = self.next_id;
                self.next_id += 1;
                let process = client.process;
                self.pending.insert(id, (actor, what.clone(), now_us()));
                if let Some(process) = &mut self.places[process].process {
                    process.ask(&Ask { id, what });
                }
            }
        }
    }

    fn hears(&mut self, heard: Heard, ending: bool) -> Result<(), Failure> {
        let process = heard.process;
        if heard.life != self.places[process].life {
            return Ok(());
        }
        match heard.said {
            Some(Said::Answer(answer)) => self.answered(answer),
            Some(Said::Event(event)) => self.record(Record::Event {
                process: number(process),
                event,
            }),
            Some(Said::Hello(_)) => {
                self.places[process].ready = true;
                for actor in 0..self.actors.len() {
                    if self.actors[actor].process == process {
                        let life = self.actors[actor].life;
                        self.timer(Duration::ZERO, Timer::Actor(actor, life));
                    }
                }
                Ok(())
            }
            Some(Said::Failed { .. }) => Ok(()),
            None => self.hung_up(process, ending),
        }
    }

    fn answered(&mut self, answer: Answer) -> Result<(), Failure> {
        let Some((actor, what, asked_us)) = self.pending.remove(&answer.id) else {
            return Ok(());
        };
        self.monitor.update(|progress| match answer.ok {
            Outcome::Granted => progress.grants += 1,
            Outcome::Unknown | Outcome::Error => progress.failures += 1,
            _ => {}
        });
        let client = &mut self.actors[actor];
        let process = number(client.process);
        let (next, arrived) = client.hears(self.plan, &what, &answer);
        // The write arrives now, before anything that others do later.
        let write = arrived.map(|arrived| WriteTo {
            accepted: self.registers.write(&arrived.name, arrived.token),
            lease: arrived.lease,
            name: arrived.name,
            token: arrived.token,
            at_us: now_us(),
        });
        self.record(Record::Call(Call {
            id: answer.id,
            client: number(actor),
            process,
            what,
            asked_us,
            ended_us: now_us(),
            answer: Some(answer),
        }))?;
        if let Some(write) = write {
            if write.accepted == Some(false) {
                self.monitor.update(|progress| progress.refused += 1);
            }
            self.record(Record::Write(write))?;
        }
        self.does(actor, next);
        Ok(())
    }

    /// A worker died: what it was at has no outcome, and another takes its place.
    fn hung_up(&mut self, process: usize, ending: bool) -> Result<(), Failure> {
        let at_us = now_us();
        self.places[process].process = None;
        self.monitor.set_worker(process, None);
        self.unanswered(|of| of == process)?;
        for actor in self
            .actors
            .iter_mut()
            .filter(|actor| actor.process == process)
        {
            actor.dies();
        }
        self.record(Record::Died {
            process: number(process),
            at_us,
        })?;
        if !ending {
            let soon = if self.places[process].ready {
                Duration::ZERO
            } else {
                AGAIN
            };
            self.timer(soon, Timer::Worker(process));
        }
        self.places[process].ready = false;
        Ok(())
    }

    /// Writes down the asks that get no answer any more.
    fn unanswered(&mut self, of: impl Fn(usize) -> bool) -> Result<(), Failure> {
        let mut ids: Vec<u64> = self.pending.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let process = self.actors[self.pending[&id].0].process;
            if !of(process) {
                continue;
            }
            let Some((actor, what, asked_us)) = self.pending.remove(&id) else {
                continue;
            };
            self.record(Record::Call(Call {
                id,
                client: number(actor),
                process: number(process),
                what,
                asked_us,
                ended_us: now_us(),
                answer: None,
            }))?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Failure> {
        self.unanswered(|_| true)?;
        for band in self
            .monitor
            .ended()
            .into_iter()
            .chain(self.monitor.unended())
        {
            self.record(Record::Fault(band))?;
        }
        self.record(Record::End { at_us: now_us() })?;
        if let Some(log) = &mut self.log {
            log.flush()?;
        }
        for place in self.places.drain(..) {
            if let Some(process) = place.process {
                process.end();
            }
        }
        Ok(())
    }

    fn timer(&mut self, after: Duration, timer: Timer) {
        self.timers.push(Reverse((now_us() + micros(after), timer)));
    }

    fn record(&mut self, record: Record) -> Result<(), Failure> {
        if let Some(log) = &mut self.log {
            history::write(*log, &record)?;
        }
        self.records.push(record);
        Ok(())
    }
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// The URL without user, password and settings, for those who read the report.
fn shown(url: &str) -> String {
    let url = url.split_once('?').map_or(url, |(url, _)| url);
    match (url.split_once("//"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, hosts))) => format!("{scheme}//{hosts}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_url_is_shown_without_what_is_secret() {
        for (url, said) in [
            ("redis://a,b?max_ttl=4s", "redis://a,b"),
            ("rediss://me:p@ss@a,b/2", "rediss://a,b/2"),
            ("redis+unix:/run/a?password=x", "redis+unix:/run/a"),
            ("local:/var/a@b.db", "local:/var/a@b.db"),
        ] {
            assert_eq!(shown(url), said);
        }
    }
}
