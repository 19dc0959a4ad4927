//! Who we are, for people to read.

use std::ffi::OsStr;
use std::path::Path;

/// The label of a process: host, process id, what for.
fn label(pid: i32, purpose: &str) -> String {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    format!("{host} pid {pid} ({purpose})")
}

/// The label of this process, for what it does.
pub(crate) fn of_this_process(purpose: &str) -> String {
    label(rustix::process::getpid().as_raw_pid(), purpose)
}

/// The label of the person at the keyboard.
pub(crate) fn of_person() -> String {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|key| std::env::var(key).ok().filter(|user| !user.is_empty()));
    match user {
        Some(user) => format!("{user}@{host}"),
        None => format!("uid {} on {host}", rustix::process::getuid().as_raw()),
    }
}

/// The label of this process, running a command.
pub(crate) fn of_command(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or(program);
    of_this_process(&name.to_string_lossy())
}

/// The label of whoever started us: the script that the lease is for.
pub(crate) fn of_parent() -> String {
    let Some(parent) = rustix::process::getppid() else {
        return of_this_process("acquire");
    };
    let pid = parent.as_raw_pid();
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => label(pid, name.trim()),
        Err(_) => label(pid, "acquire"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_the_command_without_its_path() {
        let label = of_command(OsStr::new("/usr/bin/backup"));
        assert!(label.ends_with(" (backup)"), "{label}");
        assert!(
            label.contains(&format!(" pid {} ", std::process::id())),
            "{label}"
        );
    }
}
