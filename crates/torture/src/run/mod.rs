//! Runs clients in worker processes and writes down what happens.
//!
//! * `actor`: one client. `process`: one worker. `places`: all of them. `monitor`:
//!   what those share who watch a run or disturb it.

mod actor;
mod monitor;
mod places;
mod process;

pub use monitor::{Monitor, Ongoing, Progress};
pub use process::WorkerCommand;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::Write;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use crate::clock::now_us;
use crate::failure::Failure;
use crate::history::{self, Band, Call, Record, Run, Scope, WriteTo};
use crate::plan::Plan;
use crate::protocol::{Answer, Ask, Hello, Outcome, Said, What};
use crate::register::Registers;
use actor::{Actor, Next};
use places::Places;
use process::Heard;

/// How long until a worker that could not start is started again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often the run looks at what it shares with others, at least.
const LOOK: Duration = Duration::from_millis(100);
/// If it does not get to look for so much longer, the machine stood still, and with it
/// the workers, and whatever else runs here.
const STALL: Duration = Duration::from_millis(400);

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
    let mut stage = Stage {
        plan,
        monitor,
        places: Places::new(plan, command, monitor),
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
    monitor: &'a Monitor,
    places: Places<'a>,
    actors: Vec<Actor>,
    /// Asks without an answer, by id: of whom, what, and since when.
    pending: HashMap<u64, (usize, What, u64)>,
    next_id: u64,
    timers: BinaryHeap<Reverse<(u64, Timer)>>,
    registers: Registers,
    records: Vec<Record>,
    log: Option<&'a mut dyn Write>,
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
        let (worker, count) = self.places.start()?;
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

    /// Lets clients take locks until the time is over, and then finish.
    fn play(&mut self, worker: &Hello) -> Result<(), Failure> {
        let end = now_us() + micros(self.plan.duration);
        let mut last = u64::MAX;
        let mut looked = now_us();
        for actor in 0..self.actors.len() {
            self.timer(Duration::ZERO, Timer::Actor(actor, 0));
        }
        loop {
            let now = now_us();
            if now - looked > micros(LOOK + STALL) {
                self.stood_still(looked, now)?;
            }
            looked = now;
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
            match self.places.heard.recv_timeout(rest) {
                Ok(heard) => self.hears(heard, ending)?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            for band in self.monitor.ended() {
                self.record(Record::Fault(band))?;
            }
        }
    }

    /// Writes down that nothing went on here for a while: nobody's wait of that time
    /// says anything about the locks.
    fn stood_still(&mut self, from_us: u64, to_us: u64) -> Result<(), Failure> {
        let processes = self.actors.iter().map(|actor| number(actor.process));
        let mut processes: Vec<_> = processes.collect();
        processes.dedup();
        self.record(Record::Fault(Band {
            kind: "machine stood still".into(),
            target: "everything".into(),
            scope: Scope::Client,
            voids: false,
            from_us,
            to_us,
            tail_us: micros(self.plan.ttl),
            processes,
        }))
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
                    let away = !self.places.is_ready(client.process);
                    if client.life != life || away || (ending && client.is_idle()) {
                        continue;
                    }
                    let next = client.wakes(self.plan, worker, self.next_id);
                    self.does(actor, next);
                }
                Timer::Worker(process) => self.places.open(process)?,
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
                self.places.ask(process, &Ask { id, what });
            }
        }
    }

    fn hears(&mut self, heard: Heard, ending: bool) -> Result<(), Failure> {
        let process = heard.process;
        if !self.places.is_current(&heard) {
            return Ok(());
        }
        match heard.said {
            Some(Said::Answer(answer)) => self.answered(answer),
            Some(Said::Event(event)) => self.record(Record::Event {
                process: number(process),
                event,
            }),
            Some(Said::Hello(_)) => {
                self.places.is_up(process);
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
        let was_ready = self.places.died(process);
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
            let soon = if was_ready { Duration::ZERO } else { AGAIN };
            self.timer(soon, Timer::Worker(process));
        }
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
        self.places.end();
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
