//! What the new process does between `fork` and `exec`. The only unsafe code.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::SigSet;
use rustix::io::Errno;
use rustix::process;
use rustix::termios;

/// Makes the command start with an empty signal mask, die with the calling
/// thread (Linux), and own the terminal if one is given.
///
/// The terminal is handed over here and not by the parent, so that the command
/// cannot find itself in the background for its first moment.
#[allow(unsafe_code)]
pub(super) fn prepare(command: &mut Command, terminal: Option<File>) {
    let parent = process::getpid();
    let hook = move || {
        #[cfg(target_os = "linux")]
        process::set_parent_process_death_signal(Some(process::Signal::KILL))?;
        // The parent may have died before the call above.
        if process::getppid() != Some(parent) {
            return Err(Errno::SRCH.into());
        }
        if let Some(terminal) = &terminal {
            // The mask still blocks SIGTTOU. Failing, the command asks later.
            let _ = termios::tcsetpgrp(terminal, process::getpid());
        }
        Ok(SigSet::empty().thread_set_mask()?)
    };
    // SAFETY: the hook runs in the forked child, where only async-signal-safe
    // calls are allowed. It makes system calls (prctl, getppid, getpid, ioctl,
    // sigprocmask) on values made before the fork, and neither allocates nor
    // takes a lock; its errors are plain numbers.
    unsafe {
        command.pre_exec(hook);
    }
}
