//! A running command: its state, and what each event does to it.

use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

use crate::clock;

use super::group::Group;
use super::stop::{self, Who};
use super::terminal::Terminal;

/// The command while it runs, and until the job is over.
pub(super) struct Running {
    pub(super) group: Group,
    /// When the group is to be killed, on [`clock`], once its end is wanted.
    pub(super) kill_at: Option<Duration>,
    /// The command has ended. Its process id is ours until it is reaped.
    pub(super) ended: bool,
    /// The command has been reaped: its group may be gone.
    pub(super) reaped: bool,
    terminal: Option<Terminal>,
    may_resume: Box<dyn FnMut() -> bool + Send>,
    /// The command is stopped; by what, and whether it had the terminal.
    stopped: Option<Stopped>,
    /// We were sent SIGTSTP and have sent it on.
    told_to_stop: bool,
    hung_up: bool,
}

#[derive(Clone, Copy)]
struct Stopped {
    by: Option<Signal>,
    in_foreground: bool,
}

impl Running {
    pub(super) fn new(
        group: Group,
        terminal: Option<Terminal>,
        may_resume: Box<dyn FnMut() -> bool + Send>,
    ) -> Running {
        Running {
            group,
            kill_at: None,
            ended: false,
            reaped: false,
            terminal,
            may_resume,
            stopped: None,
            told_to_stop: false,
            hung_up: false,
        }
    }

    /// Whether the instant by which the group must be gone is here.
    pub(super) fn is_overdue(&self) -> bool {
        self.kill_at.is_some_and(|instant| clock::now() >= instant)
    }

    /// Handles a signal to this process.
    pub(super) fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::SIGCHLD => self.on_child(),
            Signal::SIGCONT => self.on_continued(),
            Signal::SIGTSTP => {
                // We stop when the command has stopped; it may not want to.
                self.told_to_stop = true;
                self.send_on(signal);
            }
            _ => self.send_on(signal),
        }
    }

    fn send_on(&self, signal: Signal) {
        if !self.reaped && !stop::is_ignored(signal) {
            self.group.send(signal);
        }
    }

    /// Takes in what happened to the command. One SIGCHLD may stand for
    /// several events, or for the end of a guard.
    fn on_child(&mut self) {
        while let Some(status) = self.news(WaitIdOptions::STOPPED) {
            self.on_stopped(status.stopping_signal());
        }
        // Not reaped here: the process id must stay ours until the guard is
        // gone, and for as long as another thread may signal the group.
        if let Some(status) = self.news(WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            self.ended = true;
            if let Some(terminal) = &self.terminal {
                let killed = status.killed() || status.dumped();
                terminal.take_back_at_end(self.group, killed);
            }
        }
    }

    fn news(&self, kind: WaitIdOptions) -> Option<WaitIdStatus> {
        if self.ended {
            return None;
        }
        waitid(WaitId::Pid(self.group.id()), kind | WaitIdOptions::NOHANG)
            .ok()
            .flatten()
    }

    /// The command was stopped: give it the terminal if that is what it waits
    /// for, else stop with it as one job.
    fn on_stopped(&mut self, signal: Option<i32>) {
        let by = signal.and_then(|signal| Signal::try_from(signal).ok());
        let in_foreground = self
            .terminal
            .as_ref()
            .is_some_and(|terminal| terminal.is_lent_to(self.group));
        self.stopped = Some(Stopped { by, in_foreground });
        match by {
            Some(Signal::SIGTTIN | Signal::SIGTTOU) if self.own_foreground() => self.resume(),
            Some(signal @ (Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU)) => {
                self.stop_together(signal);
            }
            // A command in the foreground that suspends itself (`suspend` in a
            // shell) must give the terminal back; SIGTSTP, since nobody could
            // continue us after a SIGSTOP where there is no shell.
            Some(Signal::SIGSTOP) if in_foreground => self.stop_together(Signal::SIGTSTP),
            // Someone stopped the command alone and will continue it. The
            // lease is to be kept meanwhile, so we do not stop.
            _ => {}
        }
    }

    fn own_foreground(&self) -> bool {
        self.terminal.as_ref().is_some_and(Terminal::is_ours)
    }

    fn stop_together(&mut self, signal: Signal) {
        if let Some(terminal) = &self.terminal {
            terminal.take_back(self.group);
        }
        let who = if self.told_to_stop {
            Who::Alone
        } else {
            Who::Group
        };
        self.told_to_stop = false;
        let stopped = stop::stop(signal, who);
        let wants_terminal = matches!(signal, Signal::SIGTTIN | Signal::SIGTTOU);
        if !stopped && wants_terminal && !self.own_foreground() {
            self.hang_up();
        } else {
            self.resume();
        }
    }

    /// We were continued, perhaps only for the command's sake.
    fn on_continued(&mut self) {
        if self.stopped.is_some() {
            self.resume();
        }
    }

    /// Continues the command, in the foreground if it was or wants to be.
    fn resume(&mut self) {
        let Some(stopped) = self.stopped else { return };
        if self.kill_at.is_none() && !(self.may_resume)() {
            return;
        }
        self.stopped = None;
        if let Some(terminal) = self.terminal.as_mut().filter(|terminal| terminal.is_ours()) {
            let wanted = matches!(stopped.by, Some(Signal::SIGTTIN | Signal::SIGTTOU));
            if terminal.is_exclusive() || stopped.in_foreground || wanted {
                terminal.lend(self.group);
            }
        }
        self.group.send(Signal::SIGCONT);
    }

    /// The command waits for a terminal that it can never have: no shell is
    /// left to bring us to the foreground. The kernel sends SIGHUP to stopped
    /// groups in that state. Once: a command that ignores it stays stopped,
    /// for it would only stop again.
    fn hang_up(&mut self) {
        if !self.hung_up {
            self.hung_up = true;
            self.stopped = None;
            self.group.send(Signal::SIGHUP);
            self.group.send(Signal::SIGCONT);
        }
    }
}
