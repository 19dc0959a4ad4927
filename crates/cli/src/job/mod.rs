//! The job of `leasehold run`: one command in a process group of its own.
//!
//! A [`Job`] starts the command, passes signals and the terminal through to
//! it, and can end the whole group from another thread when the lease is
//! lost. It knows nothing of leases.
//!
//! # Layout
//!
//! * [`signals`]: the one thread that takes every signal of this process,
//!   from before the lock is held until the process ends.
//! * [`spec`], [`pre_exec`], [`error`]: what to run, how it starts, why it
//!   could not.
//! * [`running`]: the running command's state and its answer to each event.
//! * [`terminal`], [`stop`]: job control, in the manner of a shell.
//! * [`control`], [`group`]: ending the whole group by an instant.
//! * [`guard`]: a helper process that ends the group if we are killed.
//! * [`end`]: the exit status, as a shell would tell it.
//!
//! # What is promised
//!
//! **Signals.** INT, TERM, HUP, QUIT, USR1 and USR2 (and WINCH) sent to this
//! process are sent on to the command's whole group, as a terminal would do:
//! signalling only the direct child would leave `sleep` behind in
//! `sh -c 'sleep 100; echo'`. The command is in a group of its own, so what
//! the terminal sends reaches either that group or ours, never both, and a
//! Ctrl-C arrives once.
//!
//! **Terminal.** The command gets the terminal at once if stdin, stdout and
//! stderr are all terminals and we lead the terminal's foreground group.
//! Otherwise we may be one part of a pipeline (`leasehold run x -- cmd | less`),
//! and the command gets the terminal when it asks for it, by stopping with
//! TTIN or TTOU. We take it back when the command ends or is stopped by
//! Ctrl-Z; then we stop too, with our group, and carry on together.
//!
//! **Death.** If this process dies in any way, SIGKILL included, the command is
//! killed by the kernel (Linux), and the rest of its group by the [`guard`],
//! before the lock is free for others where the engine has a lifeline for that.
//! The guard starts [`GUARD_DELAY`] after the command, so that short commands
//! do not pay for it; in that first moment only the command itself is killed,
//! not what it has started. The guard does not run where the executable of
//! this process cannot be started again.
//!
//! **Normal end.** When the command ends of itself, whatever it left running in
//! the background is left alone, as a shell would.

mod control;
mod end;
mod error;
mod group;
mod guard;
mod pre_exec;
mod running;
mod signals;
mod spec;
mod stop;
mod terminal;

use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

pub(crate) use control::JobControl;
pub(crate) use end::{JobEnd, signal_exit};
pub(crate) use error::SpawnError;
pub(crate) use guard::guard_if_asked;
pub(crate) use signals::Signals;
pub(crate) use spec::JobSpec;

use group::Group;
use guard::Guard;
use running::Running;
use signals::{Shared, State};
use terminal::Terminal;

/// How long a command runs before its guard is started.
const GUARD_DELAY: Duration = Duration::from_millis(10);

/// How often the clock and the group are looked at while the group is being
/// ended. Short, since a condition variable's timeout does not count the time
/// that the machine was suspended.
const ENDING_TICK: Duration = Duration::from_millis(10);

/// A running command. Dropping it without [`Job::wait`] kills the group.
pub(crate) struct Job {
    shared: Arc<Shared>,
    child: Child,
    group: Group,
    started: Instant,
    lifeline: Option<OwnedFd>,
    guard: Option<Guard>,
}

impl Job {
    /// Starts the command in a process group of its own.
    ///
    /// Call it from the main thread: on Linux the command is killed when the
    /// *thread* that started it ends.
    ///
    /// # Errors
    ///
    /// No command is running after any of them: the command was not found or
    /// could not be executed, or a signal had arrived before.
    pub(crate) fn spawn(mut spec: JobSpec, signals: &Signals) -> Result<Job, SpawnError> {
        let shared = Arc::clone(signals.shared());
        // Held until the job is registered, so that a signal is either seen
        // here, and the command not started, or sent on to the command.
        let mut state = shared.lock();
        if let Some(signal) = state.interrupted {
            return Err(SpawnError::Interrupted(signal as i32));
        }
        let mut terminal = Terminal::of_this_process();
        let eager = terminal.as_mut().is_some_and(Terminal::lend_at_start);
        let mut command = spec.command();
        let foreground = terminal.as_ref().filter(|_| eager);
        pre_exec::prepare(&mut command, foreground.and_then(Terminal::device));
        let child = match command.spawn() {
            Ok(child) => child,
            Err(source) => {
                if let Some(terminal) = foreground {
                    terminal.reclaim();
                }
                return Err(SpawnError::new(&spec, source));
            }
        };
        let group = Group::led_by(&child);
        state.running = Some(Running::new(group, terminal, spec.may_resume));
        drop(state);
        Ok(Job {
            shared,
            child,
            group,
            started: Instant::now(),
            lifeline: spec.lifeline.take(),
            guard: None,
        })
    }

    /// A handle for other threads, to end the group.
    pub(crate) fn control(&self) -> JobControl {
        JobControl::new(Arc::clone(&self.shared))
    }

    /// Waits for the command to end and says how it did.
    ///
    /// If [`JobControl::end_by`] was called meanwhile, it also waits until
    /// nothing of the group is left, which is by the given instant. It must
    /// be called for that instant to be kept.
    pub(crate) fn wait(mut self) -> JobEnd {
        self.wait_for_command();
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let ending = state.running.as_ref().and_then(|job| job.kill_at).is_some();
        if !ending {
            // The ended command still holds its process id until it is reaped
            // below: the guard is gone before the id can mean another group.
            self.guard = None;
        }
        let status = self.child.wait();
        if let Some(running) = state.running.as_mut() {
            running.reaped = true;
        }
        if ending {
            state = self.wait_for_group(state);
            self.guard = None;
        }
        state.running = None;
        JobEnd::from(status)
    }

    /// Returns once the command has ended (it is not reaped yet).
    fn wait_for_command(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        while let Some(running) = state.running.as_ref().filter(|job| !job.ended) {
            if running.is_overdue() {
                self.group.kill();
            }
            let guard_in = GUARD_DELAY.saturating_sub(self.started.elapsed());
            if self.guard.is_none() && guard_in.is_zero() {
                drop(state);
                self.guard = Some(Guard::start(self.group, self.lifeline.take()));
                state = shared.lock();
                continue;
            }
            let pause = match (running.kill_at, &self.guard) {
                (Some(_), _) => Some(ENDING_TICK),
                (None, None) => Some(guard_in),
                (None, Some(_)) => None,
            };
            state = shared.wait(state, pause);
        }
    }

    /// Returns once the group is empty, after its end was asked for.
    ///
    /// The command is reaped by now, since a group with a dead but unreaped
    /// member does not look empty. The group's id stays ours while a member
    /// lives; that it becomes free and is taken by another group within one
    /// [`ENDING_TICK`] would need a full round of process ids in that time.
    fn wait_for_group<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        while let Some(running) = &state.running {
            if self.group.is_empty() {
                break;
            }
            if running.is_overdue() {
                self.group.kill();
                break;
            }
            state = self.shared.wait(state, Some(ENDING_TICK));
        }
        state
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.running.take().is_some() {
            self.group.kill();
            // It was sent SIGKILL; nothing is to be learnt from how it ended.
            let _ = self.child.wait();
        }
    }
}
