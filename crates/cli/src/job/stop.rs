//! Signals that this process sends to itself, and what /proc says of them.
//!
//! No signal's disposition is ever changed here. A signal is blocked in every
//! thread; unblocked in one thread for a moment, it does what it would have
//! done to a program that cares for none of this.

use std::fs;

use nix::sys::signal::{SigSet, Signal, raise};
use rustix::process;

/// Who is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// This process: the others of its group were sent the signal as well.
    Alone,
    /// Its whole group: the shell waits for every process of a pipeline.
    Group,
}

/// Stops this process with a stop signal other than SIGSTOP, and returns when
/// it is continued: true. The kernel refuses to stop a group that no shell
/// could continue; then it returns at once: false.
pub(super) fn stop(signal: Signal, who: Who) -> bool {
    match who {
        Who::Alone => {
            // To this very thread; no other one can take it.
            let _ = raise(signal);
        }
        Who::Group => send_to_own_group(signal),
    }
    let only = SigSet::from(signal);
    // The stop happens before the first call returns: only this thread can
    // take the signal, and takes it on its way out of the system call.
    let _ = only.thread_unblock();
    let _ = only.thread_block();
    was_continued()
}

/// Ends this process by the signal, unless it is ignored.
pub(super) fn die_of(signal: Signal) {
    let _ = raise(signal);
    let _ = SigSet::from(signal).thread_unblock();
}

/// Sends a signal to our own process group, which includes this process.
pub(super) fn send_to_own_group(signal: Signal) {
    if let Some(signal) = process::Signal::from_named_raw(signal as i32) {
        let _ = process::kill_current_process_group(signal);
    }
}

/// Whether this process was started with the signal ignored (`nohup`, or a
/// script's background job). Then it stays ignored, and it is the command's
/// to inherit, as if we were not in between.
pub(super) fn is_ignored(signal: Signal) -> bool {
    own_status().is_some_and(|status| has_signal(&status, "SigIgn:", signal))
}

/// A stop signal discards a waiting SIGCONT. SIGCONT is blocked, so one that
/// waits after the stop is the one that ended it.
fn was_continued() -> bool {
    own_status().is_none_or(|status| has_signal(&status, "ShdPnd:", Signal::SIGCONT))
}

/// What Linux tells about this process; nothing elsewhere.
fn own_status() -> Option<String> {
    fs::read_to_string("/proc/self/status").ok()
}

/// Whether the signal is in the set on the line that starts with `key`.
fn has_signal(status: &str, key: &str, signal: Signal) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .is_some_and(|set| set >> (signal as i32 - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;

    use super::{has_signal, is_ignored};

    #[test]
    fn signal_sets_are_read() {
        let status = "Name:\tx\nShdPnd:\t0000000000020000\nSigIgn:\t0000000000001001\n";
        assert!(has_signal(status, "ShdPnd:", Signal::SIGCONT));
        assert!(!has_signal(status, "ShdPnd:", Signal::SIGINT));
        assert!(has_signal(status, "SigIgn:", Signal::SIGHUP));
        assert!(has_signal(status, "SigIgn:", Signal::SIGPIPE));
        assert!(!has_signal(status, "SigIgn:", Signal::SIGINT));
        assert!(!has_signal(status, "SigCgt:", Signal::SIGHUP));
        assert!(!has_signal("", "SigIgn:", Signal::SIGHUP));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_ignored_signal_is_noticed() {
        // Rust's own start-up ignores SIGPIPE; nothing ignores SIGUSR2.
        assert!(is_ignored(Signal::SIGPIPE));
        assert!(!is_ignored(Signal::SIGUSR2));
    }
}
