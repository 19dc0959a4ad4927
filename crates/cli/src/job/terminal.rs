//! The controlling terminal, and who is in its foreground.

use std::fs::File;
use std::io::{self, IsTerminal};

use nix::sys::signal::Signal;
use rustix::process::{self, Pid};
use rustix::termios::{self, OptionalActions, Termios};

use super::group::Group;
use super::stop;

/// The controlling terminal of this process.
///
/// Every thread has SIGTTOU blocked (see [`super::signals`]), so handing the
/// terminal back and forth never stops us, wherever we are at that time.
pub(super) struct Terminal {
    device: File,
    own: Pid,
    /// Stdin, stdout and stderr are all terminals and we lead our group: the
    /// terminal is meant for the command and nobody else.
    exclusive: bool,
    /// Lent to the command at least once while others of our group might have
    /// been using it.
    lent_from_others: bool,
    /// The terminal's modes when it was first lent.
    modes: Option<Termios>,
}

impl Terminal {
    /// The controlling terminal, if there is one.
    pub(super) fn of_this_process() -> Option<Terminal> {
        let device = File::options()
            .read(true)
            .write(true)
            .open("/dev/tty")
            .ok()?;
        let own = process::getpgrp();
        let exclusive = own == process::getpid()
            && io::stdin().is_terminal()
            && io::stdout().is_terminal()
            && io::stderr().is_terminal();
        Some(Terminal {
            device,
            own,
            exclusive,
            lent_from_others: false,
            modes: None,
        })
    }

    /// The device, for the process to be started.
    pub(super) fn device(&self) -> Option<File> {
        self.device.try_clone().ok()
    }

    /// Whether our own group is in the foreground.
    pub(super) fn is_ours(&self) -> bool {
        self.is_held_by(self.own)
    }

    /// Whether the command's group is in the foreground.
    pub(super) fn is_lent_to(&self, group: Group) -> bool {
        self.is_held_by(group.id())
    }

    fn is_held_by(&self, group: Pid) -> bool {
        termios::tcgetpgrp(&self.device).is_ok_and(|holder| holder == group)
    }

    /// Whether the command is to be started in the foreground. If so, the
    /// new process takes the terminal itself.
    pub(super) fn lend_at_start(&mut self) -> bool {
        let lend = self.is_exclusive() && self.is_ours();
        if lend {
            self.save_modes();
        }
        lend
    }

    /// Whether nobody but the command is meant to use the terminal.
    pub(super) fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    /// Puts the command into the foreground. To be called only while we are.
    pub(super) fn lend(&mut self, group: Group) {
        self.save_modes();
        if termios::tcsetpgrp(&self.device, group.id()).is_ok() && !self.exclusive {
            self.lent_from_others = true;
        }
    }

    /// Takes the terminal back from the command, if the command has it.
    pub(super) fn take_back(&self, group: Group) {
        if self.is_lent_to(group) {
            self.reclaim();
        }
    }

    /// Puts our own group into the foreground, whoever is there.
    pub(super) fn reclaim(&self) {
        let _ = termios::tcsetpgrp(&self.device, self.own);
    }

    /// Takes the terminal back after the command ended. If it was killed, it
    /// may have left the terminal without echo; the modes are put back then.
    pub(super) fn take_back_at_end(&self, group: Group, killed: bool) {
        if !self.is_lent_to(group) {
            return;
        }
        self.reclaim();
        if let Some(modes) = self.modes.as_ref().filter(|_| killed) {
            let _ = termios::tcsetattr(&self.device, OptionalActions::Drain, modes);
        }
        if self.lent_from_others {
            // Another part of our pipeline may have stopped when it wanted the
            // terminal meanwhile. For those that run, this changes nothing.
            stop::send_to_own_group(Signal::SIGCONT);
        }
    }

    fn save_modes(&mut self) {
        if self.modes.is_none() {
            self.modes = termios::tcgetattr(&self.device).ok();
        }
    }
}
