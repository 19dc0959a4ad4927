//! `kill -9` of leasehold itself.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::unix::process::CommandExt;

use crate::process::{await_guard, gone, is_alive, send, stat};
use crate::support::{Running, eventually, run, status};

#[test]
fn the_command_dies_with_leasehold_from_its_first_moment() {
    let mut running = Running::start(run(&[], &["sh", "-c", "echo $$; exec sleep 100"]));
    let child = running.pid_line();
    running.signal(Signal::SIGKILL);
    gone(child);
}

#[test]
fn grandchildren_die_too() {
    let mut running = Running::start(run(
        &[],
        &[
            "sh",
            "-c",
            "(trap '' TERM HUP; sleep 100) & echo $!; echo $$; wait",
        ],
    ));
    let (grandchild, child) = (running.pid_line(), running.pid_line());
    let guard = await_guard(running.pid());
    running.signal(Signal::SIGKILL);
    gone(child);
    gone(grandchild);
    gone(guard);
}

#[test]
fn the_lock_is_free_only_when_the_whole_group_is_dead() {
    for _ in 0..5 {
        let script = "for i in 1 2 3 4 5 6 7 8 9 10; do (trap '' TERM HUP; exec sleep 100) & \
                      echo $!; done; wait";
        let mut running = Running::start(run(&["--ttl", "10m"], &["sh", "-c", script]));
        let group: Vec<i32> = (0..10).map(|_| running.pid_line()).collect();
        await_guard(running.pid());
        let waiting = Running::start(run(&["-q"], &["sh", "-c", &count_living(&group)]));
        eventually("it waits", || {
            status("x")["waiters"]
                .as_array()
                .is_some_and(|w| w.len() == 1)
        });
        running.signal(Signal::SIGKILL);
        let mut waiting = waiting;
        assert_eq!(waiting.line(), "living:");
        assert_eq!(waiting.end().code(), Some(0));
    }
}

/// A shell script that says which of these processes run.
fn count_living(pids: &[i32]) -> String {
    let pids: Vec<String> = pids.iter().map(i32::to_string).collect();
    format!(
        "living=; for p in {}; do
           read -r stat </proc/$p/stat && case \"${{stat##*) }}\" in Z*) ;; *) living=\"$living $p\" ;; esac
         done 2>/dev/null; echo living:$living",
        pids.join(" ")
    )
}

#[test]
fn the_guard_outlives_signals_to_leaseholds_group() {
    let mut command = run(&[], &["sh", "-c", "sleep 100 & echo $!; wait"]);
    command.process_group(0);
    let mut running = Running::start(command);
    let grandchild = running.pid_line();
    let guard = await_guard(running.pid());
    let of_guard = stat(guard).expect("it is there");
    assert_eq!(of_guard.parent, running.pid());
    assert_eq!(of_guard.group, guard, "in a group of its own");
    assert_ne!(of_guard.group, stat(grandchild).expect("it is there").group);
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGTSTP,
    ] {
        send(guard, signal);
    }
    assert!(is_alive(guard));
    killpg(Pid::from_raw(running.pid()), Signal::SIGKILL).expect("the group can be killed");
    gone(grandchild);
    gone(guard);
}

#[test]
fn a_guard_refuses_a_group_that_is_none() {
    // Ids with a meaning of their own are tested on `Group::from_raw`: here, a
    // failure would kill more than this test.
    for arguments in [&["__guard"][..], &["__guard", ""], &["__guard", "x"]] {
        let status = std::process::Command::new(crate::support::executable())
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .status()
            .expect("it can be started");
        assert_eq!(status.code(), Some(2), "{arguments:?}");
    }
}
