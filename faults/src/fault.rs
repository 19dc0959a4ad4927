//! What can be done to servers, connections, clocks and clients, and how it is undone.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use leasehold_torture::Monitor;
use leasehold_torture::history::{Band, Scope};
use rustix::process::{Pid, Signal, kill_process};

use crate::scene::{Flavour, NODES, Scene};

/// What lies between two servers of [`Kind::KillInTurn`].
const BETWEEN: Duration = Duration::from_millis(100);

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// SIGSTOP, then SIGCONT.
    Freeze,
    /// `kill -9` and, after a while, a start with whatever is on disk: nothing in a
    /// scene without persistence.
    Kill,
    /// `kill -9` and a start at once, one server after the other, so that never more
    /// than one is away.
    KillInTurn,
    /// `FLUSHALL`.
    Flush,
    /// Connections are taken and nothing passes until the end.
    BlackHole,
    /// What clients say arrives, what servers answer does not.
    AnswersLost,
    /// Everything passes late.
    Slow,
    /// Connections are broken, and new ones as well.
    Cut,
    /// The server's clock jumps, and jumps back at the end.
    ClockStep,
    /// The server's clock runs at a rate beyond the margin.
    ClockRate,
    /// No file of the server can grow.
    FullDisk,
    /// A client's process is stopped with SIGSTOP for longer than the TTL.
    ClientStop,
    /// A client's process is killed with `kill -9`.
    ClientKill,
}

impl Kind {
    /// A word for it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Kill => "kill -9",
            Self::KillInTurn => "kill -9 in turn",
            Self::Flush => "FLUSHALL",
            Self::BlackHole => "black hole",
            Self::AnswersLost => "answers lost",
            Self::Slow => "slow",
            Self::Cut => "cut",
            Self::ClockStep => "clock step",
            Self::ClockRate => "clock rate",
            Self::FullDisk => "full disk",
            Self::ClientStop => "client stopped",
            Self::ClientKill => "client killed",
        }
    }

    /// Whether it makes the servers forget what they granted.
    const fn forgets(self, flavour: Flavour) -> bool {
        match self {
            Self::Flush => true,
            Self::Kill | Self::KillInTurn => matches!(flavour, Flavour::Memory),
            _ => false,
        }
    }

    const fn sets_clocks(self) -> bool {
        matches!(self, Self::ClockStep | Self::ClockRate)
    }
}

/// A fault: what is done, and to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// How much it hits.
    pub scope: Scope,
    /// The servers, or the worker process.
    pub targets: Vec<usize>,
    /// How long it goes on.
    pub length: Duration,
    /// The clock's step in seconds and its rate, if it is about clocks.
    clock: (f64, f64),
    /// By how much a slow connection is slow.
    late: Duration,
}

impl Fault {
    /// Draws the details of a fault. `ttl` is that of the clients' leases,
    /// `processes` how many workers there are.
    #[must_use]
    pub fn draw(kind: Kind, scope: Scope, ttl: Duration, processes: usize, dice: &mut Rng) -> Self {
        let count = match scope {
            Scope::Minority => dice.usize(1..=NODES / 2),
            Scope::Majority => dice.usize(NODES / 2 + 1..=NODES),
            Scope::Client => 1,
        };
        let among = if scope == Scope::Client {
            processes.max(1)
        } else {
            NODES
        };
        let mut targets: Vec<usize> = (0..among).collect();
        dice.shuffle(&mut targets);
        targets.truncate(count);
        targets.sort_unstable();
        let length = match kind {
            Kind::ClientStop => ttl.mul_f64(1.1 + dice.f64()),
            Kind::ClientKill | Kind::KillInTurn => Duration::from_millis(10),
            _ => ttl.mul_f64(0.7 + dice.f64() * 1.5),
        };
        let clock = match kind {
            // A key that is set while a clock is ahead outlives the step by as much, so
            // not by more than the rest after it.
            Kind::ClockStep => (
                [2.0, 5.0, -2.0, -5.0, -30.0, -3_600.0][dice.usize(..6)],
                1.0,
            ),
            _ => (0.0, [1.2, 0.8, 2.0, 0.5][dice.usize(..4)]),
        };
        Self {
            kind,
            scope,
            targets,
            length,
            clock,
            late: Duration::from_millis(dice.u64(20..250)),
        }
    }

    /// As the history has it, but for its times. `max_ttl` is how long a server
    /// that forgot stays away.
    #[must_use]
    pub fn band(&self, flavour: Flavour, max_ttl: Duration, ttl: Duration) -> Band {
        let forgets = self.kind.forgets(flavour);
        let tail = match self.kind {
            _ if forgets => max_ttl + Duration::from_millis(2_500),
            Kind::ClockStep | Kind::ClockRate => max_ttl + Duration::from_millis(2_500),
            Kind::ClientStop | Kind::ClientKill => ttl + Duration::from_millis(500),
            _ => Duration::from_millis(1_500),
        };
        let processes = match self.scope {
            Scope::Client => self
                .targets
                .iter()
                .filter_map(|&at| u32::try_from(at).ok())
                .collect(),
            _ => Vec::new(),
        };
        Band {
            kind: self.kind.title().into(),
            target: self.target(),
            scope: self.scope,
            voids: self.kind.sets_clocks() || (forgets && self.scope == Scope::Majority),
            from_us: 0,
            to_us: 0,
            tail_us: u64::try_from(tail.as_micros()).unwrap_or(u64::MAX),
            processes,
        }
    }

    fn target(&self) -> String {
        let numbers: Vec<_> = self.targets.iter().map(|at| (at + 1).to_string()).collect();
        let numbers = numbers.join(", ");
        match self.kind {
            Kind::ClientStop | Kind::ClientKill => format!("worker process {numbers}"),
            Kind::ClockStep => format!("servers {numbers}: {:+} s", self.clock.0),
            Kind::ClockRate => format!("servers {numbers}: × {}", self.clock.1),
            Kind::Slow => format!("servers {numbers}: {:?} each way", self.late),
            _ => format!("servers {numbers}"),
        }
    }

    /// Does it.
    ///
    /// # Errors
    ///
    /// If it cannot be done.
    pub fn strike(&self, scene: &mut Scene, monitor: &Monitor) -> Result<()> {
        for &at in &self.targets {
            match self.kind {
                Kind::Freeze => scene.servers[at].freeze()?,
                Kind::Kill => scene.servers[at].kill(),
                Kind::KillInTurn => {
                    scene.servers[at].kill();
                    scene.servers[at].start_again()?;
                    thread::sleep(BETWEEN);
                }
                Kind::Flush => scene.servers[at].flush()?,
                Kind::BlackHole => scene.proxies[at].hold(),
                Kind::AnswersLost => scene.proxies[at].hold_answers(),
                Kind::Slow => scene.proxies[at].slow(self.late),
                Kind::Cut => scene.proxies[at].cut(),
                Kind::ClockStep | Kind::ClockRate => {
                    let (step, rate) = self.clock;
                    scene.servers[at].set_clock(step, rate)?;
                }
                Kind::FullDisk => scene.servers[at].fill_disk()?,
                Kind::ClientStop => signal(monitor, at, Signal::STOP)?,
                Kind::ClientKill => signal(monitor, at, Signal::KILL)?,
            }
        }
        Ok(())
    }

    /// Undoes it, as far as it can be undone.
    ///
    /// # Errors
    ///
    /// If a server does not come back.
    pub fn mend(&self, scene: &mut Scene, monitor: &Monitor) -> Result<()> {
        for &at in &self.targets {
            match self.kind {
                Kind::Freeze => scene.servers[at].thaw()?,
                Kind::Kill => scene.servers[at].start_again()?,
                Kind::Flush | Kind::KillInTurn | Kind::ClientKill => {}
                Kind::BlackHole | Kind::AnswersLost | Kind::Slow | Kind::Cut => {
                    scene.proxies[at].pass();
                }
                Kind::ClockStep | Kind::ClockRate => {
                    let rate = scene.usual_rate(at);
                    scene.servers[at].set_clock(0.0, rate)?;
                }
                Kind::FullDisk => {
                    // It may be about to end, or not have written anything yet.
                    scene.servers[at].kill();
                    scene.servers[at].start_again()?;
                }
                Kind::ClientStop => signal(monitor, at, Signal::CONT)?,
            }
        }
        Ok(())
    }
}

fn signal(monitor: &Monitor, process: usize, signal: Signal) -> Result<()> {
    let pid = monitor.workers().get(process).copied().flatten();
    // It may have died by itself, and is about to be started again.
    let Some(pid) = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) else {
        return Ok(());
    };
    kill_process(pid, signal).context("cannot signal a worker")
}
