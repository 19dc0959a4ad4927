//! A process group, and signals to all of it.

use std::fs;
use std::process::Child;

use nix::sys::signal::Signal;
use rustix::io::Errno;
use rustix::process::{self, Pid};

/// The command's process group. Its id is the command's process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group(Pid);

impl Group {
    /// The group that a child started with `process_group(0)` leads.
    pub(super) fn led_by(child: &Child) -> Group {
        Group(Pid::from_child(child))
    }

    /// The group of this id, if it can be the group of a command: 0 stands for
    /// the caller's own group and 1 for every process there is.
    pub(super) fn from_raw(id: i32) -> Option<Group> {
        if id > 1 {
            Pid::from_raw(id).map(Group)
        } else {
            None
        }
    }

    /// The group's id, which is also the process id of the command.
    pub(super) fn id(self) -> Pid {
        self.0
    }

    /// Sends a signal to every member. A group that is gone, or that belongs
    /// to another user by now, is not ours to signal: such errors are ignored.
    pub(super) fn send(self, signal: Signal) {
        if let Some(signal) = process::Signal::from_named_raw(signal as i32) {
            let _ = process::kill_process_group(self.0, signal);
        }
    }

    /// Asks every member to end, stopped ones included.
    pub(super) fn terminate(self) {
        self.send(Signal::SIGTERM);
        self.send(Signal::SIGCONT);
    }

    /// Ends every member at once.
    pub(super) fn kill(self) {
        self.send(Signal::SIGKILL);
    }

    /// Whether any member still runs. A dead one that nobody has reaped counts as
    /// dead here: in a container there may be nobody to reap it.
    pub(super) fn is_alive(self) -> bool {
        if self.is_empty() {
            return false;
        }
        let Ok(processes) = fs::read_dir("/proc") else {
            return true;
        };
        processes
            .flatten()
            .filter_map(|process| fs::read_to_string(process.path().join("stat")).ok())
            .any(|stat| runs_in(&stat, self.0.as_raw_nonzero().get()))
    }

    /// Whether the group has no member left, dead but unreaped ones included.
    pub(super) fn is_empty(self) -> bool {
        process::test_kill_process_group(self.0) == Err(Errno::SRCH)
    }
}

/// Whether `/proc/PID/stat` tells of a live process in a group.
fn runs_in(stat: &str, group: i32) -> bool {
    // The name, in parentheses, may hold anything.
    let mut fields = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace();
    let is_dead = matches!(fields.next(), None | Some("Z" | "X"));
    !is_dead && fields.nth(1).and_then(|id| id.parse().ok()) == Some(group)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Command, Stdio};

    use super::{Group, runs_in};

    #[test]
    fn ids_that_mean_something_else_are_refused() {
        for id in [i32::MIN, -7, 0, 1] {
            assert_eq!(Group::from_raw(id), None, "{id}");
        }
        assert!(Group::from_raw(2).is_some());
    }

    #[test]
    fn killing_reaches_a_member_and_empties_the_group() {
        let mut child = Command::new("sleep")
            .arg("1000")
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sleep can be started");
        let group = Group::led_by(&child);
        assert!(!group.is_empty());
        assert!(group.is_alive());
        group.kill();
        let status = child.wait().expect("the child can be waited for");
        assert_eq!(status.signal(), Some(9));
        assert!(group.is_empty());
        assert!(!group.is_alive());
    }

    #[test]
    fn the_state_and_group_of_a_process_are_read() {
        assert!(runs_in("7 (sh) S 1 42 42 0 -1", 42));
        assert!(runs_in("7 (a) Z 1) R 1 42 42 0 -1", 42));
        assert!(!runs_in("7 (sh) S 1 41 42 0 -1", 42));
        assert!(!runs_in("7 (sh) Z 1 42 42 0 -1", 42));
        assert!(!runs_in("", 42));
    }
}
