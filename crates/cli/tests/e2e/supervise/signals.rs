//! Signals: sent on while the command runs, kept while the lock is awaited.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::{SigSet, Signal};

use crate::process::{await_child, gone};
use crate::support::{Running, Scene, acquire, eventually, executable, fresh, run};

const SENT_ON: [Signal; 6] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// `SigBlk`, `SigIgn` and so on of a process.
fn signal_set(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let set = line.unwrap_or_else(|| panic!("no {key} in {status}"));
    u64::from_str_radix(set.trim(), 16).expect("a hexadecimal number")
}

fn bit(signal: Signal) -> u64 {
    1 << (signal as i32 - 1)
}

#[test]
fn six_signals_reach_a_command_that_handles_them() {
    for signal in SENT_ON {
        let name = &signal.as_str()[3..];
        let script = format!(
            "trap 'echo got {name}; exit 5' {name}; echo ready; while :; do sleep 0.05; done"
        );
        let mut running = Running::start(run(&[], &["sh", "-c", &script]));
        assert_eq!(running.line(), "ready");
        running.signal(signal);
        assert_eq!(running.line(), format!("got {name}"));
        assert_eq!(running.end().code(), Some(5));
    }
}

#[test]
fn a_signal_reaches_the_whole_group() {
    let mut running = Running::start(run(&[], &["sh", "-c", "sleep 100 & echo $!; wait; echo"]));
    let sleep = running.pid_line();
    running.signal(Signal::SIGTERM);
    gone(sleep);
    assert_eq!(running.end().code(), Some(143));
}

#[test]
fn a_foreground_child_of_a_shell_is_ended_too() {
    let mut running = Running::start(run(&[], &["sh", "-c", "echo $$; sleep 100; echo late"]));
    await_child(running.pid_line(), "sleep");
    running.signal(Signal::SIGTERM);
    assert_eq!(
        running.line(),
        "",
        "stdout is closed: sleep is gone as well"
    );
    assert_eq!(running.end().code(), Some(143));
}

#[test]
fn the_command_starts_with_the_signals_of_a_fresh_process() {
    let show = |mut command: Command| {
        let output = command.output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let status = show(run(&[], &["cat", "/proc/self/status"]));
    let mut direct = Command::new("cat");
    direct.arg("/proc/self/status");
    let direct = show(direct);
    assert_eq!(signal_set(&status, "SigBlk:"), 0);
    // From 32 on, they are the C library's own business.
    let standard = bit(Signal::SIGSYS) * 2 - 1;
    let ignored = signal_set(&status, "SigIgn:") & standard;
    assert_eq!(ignored, signal_set(&direct, "SigIgn:") & standard);
    assert_eq!(ignored & bit(Signal::SIGPIPE), 0);
}

#[test]
fn a_mask_that_leasehold_was_started_with_is_undone() {
    // Of this thread only, which is the one that starts leasehold.
    let blocked = SigSet::from(Signal::SIGTERM);
    blocked.thread_block().expect("the mask can be set");
    let mut running = Running::start(run(
        &[],
        &["sh", "-c", "grep SigBlk /proc/self/status; sleep 100"],
    ));
    blocked.thread_unblock().expect("the mask can be set");
    let line = running.line();
    assert_eq!(signal_set(&line, "SigBlk:"), 0, "{line}");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().code(), Some(143));
}

#[test]
fn a_signal_ignored_from_the_start_stays_ignored() {
    let scene = Scene::new();
    let script = "trap 'exit 5' TERM; grep SigIgn /proc/self/status; while :; do sleep 0.05; done";
    let script = scene.write("script", script);
    let mut nohup = Command::new("sh");
    fresh(&mut nohup);
    nohup.args(["-c", "trap '' HUP; exec \"$0\" run x -- sh \"$1\""]);
    nohup.args([executable(), &script]);
    let mut running = Running::start(nohup);
    let line = running.line();
    assert_ne!(
        signal_set(&line, "SigIgn:") & bit(Signal::SIGHUP),
        0,
        "{line}"
    );
    running.signal(Signal::SIGHUP);
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().code(), Some(5));
}

#[test]
fn a_signal_ignored_from_the_start_does_not_end_the_wait() {
    let holder = acquire(&["x", "--ttl", "10m"]);
    let mut nohup = Command::new("env");
    fresh(&mut nohup)
        .args(["--ignore-signal=HUP", executable(), "run", "x"])
        .args(["--", "echo", "started"])
        .stderr(Stdio::piped());
    let mut running = Running::start(nohup);
    let state = format!("/proc/{}/status", running.pid());
    let shows = |key: &str, signal: Signal| {
        let status = fs::read_to_string(&state).unwrap_or_default();
        status.contains(key) && signal_set(&status, key) & bit(signal) != 0
    };
    eventually("it has taken over its signals", || {
        shows("SigBlk:", Signal::SIGHUP)
    });
    running.signal(Signal::SIGHUP);
    eventually("it has seen the signal", || {
        !shows("ShdPnd:", Signal::SIGHUP)
    });
    holder.release().with_code(0);
    assert_eq!(running.line(), "started");
    assert!(running.end().success());
}
