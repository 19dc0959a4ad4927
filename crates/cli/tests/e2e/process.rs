//! Looking at processes, and sending them signals.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::eventually;

pub(crate) fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("the process can be signalled");
}

/// What `/proc/PID/stat` says.
#[derive(Debug)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    /// The foreground group of its terminal.
    pub(crate) foreground: i32,
}

/// A process, if it is there; a zombie is not.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<i32>().ok();
    let stat = Stat {
        state: fields.first()?.chars().next()?,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        foreground: number(5)?,
    };
    (!matches!(stat.state, 'Z' | 'X')).then_some(stat)
}

pub(crate) fn is_alive(pid: i32) -> bool {
    stat(pid).is_some()
}

pub(crate) fn is_stopped(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| stat.state == 'T')
}

/// Whether a process runs this program by now.
pub(crate) fn is_program(pid: i32, name: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
}

/// Waits for a process to be gone.
pub(crate) fn gone(pid: i32) {
    eventually("a process is gone", || !is_alive(pid));
}

/// The children of a process, zombies included.
pub(crate) fn children(parent: i32) -> Vec<i32> {
    fs::read_dir(format!("/proc/{parent}/task"))
        .into_iter()
        .flatten()
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|pids| {
            pids.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<i32>>()
        })
        .collect()
}

/// Waits until a process runs a program of this name as its child. A shell that
/// has just said something has not started its next command yet, and a signal in
/// that moment hits the shell alone.
pub(crate) fn await_child(parent: i32, name: &str) -> i32 {
    let mut found = None;
    eventually(&format!("{name} runs"), || {
        found = children(parent)
            .into_iter()
            .find(|&pid| is_program(pid, name));
        found.is_some()
    });
    found.expect("it runs")
}

/// The guard of a `leasehold`, once it has left its session.
pub(crate) fn guard_of(leasehold: i32) -> Option<i32> {
    children(leasehold).into_iter().find(|&pid| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let is_guard = arguments
            .split(|&byte| byte == 0)
            .any(|argument| argument == b"__guard");
        is_guard && stat(pid).is_some_and(|stat| stat.session == pid)
    })
}

/// Waits for the guard of a `leasehold` to be on duty.
pub(crate) fn await_guard(leasehold: i32) -> i32 {
    let mut guard = None;
    eventually("the guard is there", || {
        guard = guard_of(leasehold);
        guard.is_some()
    });
    guard.expect("the guard is there")
}
