//! What becomes of the command when its lease is lost, and `--max-hold`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::process::{gone, is_alive};
use crate::support::{Running, Scene, database, run, say, status};

/// A `leasehold run` with a lease that is broken as soon as its first line is there.
fn broken(options: &[&str], script: &str) -> (Running, String) {
    let options = [&["--ttl", "3s"], options].concat();
    let mut command = run(&options, &["sh", "-c", script]);
    command.stderr(Stdio::piped());
    let mut running = Running::start(command);
    let first = running.line();
    say(&["break", "x", "--reason", "test"]).with_code(0);
    (running, first)
}

#[test]
fn a_broken_lease_ends_the_command_with_79_and_a_word() {
    let script = "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let (mut running, _) = broken(&[], script);
    assert_eq!(running.line(), "asked");
    assert_eq!(running.end().code(), Some(79));
    let said = running.stderr();
    // The shell may have a word on the end of its own children.
    let mut ours = said.lines().filter(|line| line.contains("leasehold"));
    let line = ours.next().expect("a line");
    assert_eq!(ours.next(), None, "{said}");
    for part in ["leasehold: the lease of lock \"x\"", "lost", "broken"] {
        assert!(line.contains(part), "{said}");
    }
    assert_eq!(status("x")["holders"], serde_json::json!([]));
}

#[test]
fn what_ignores_term_is_killed_before_the_grace_is_over() {
    let script = "trap '' TERM; echo $$; while :; do sleep 0.05; done";
    let (mut running, child) = broken(&["--grace", "300ms"], script);
    assert_eq!(running.end().code(), Some(79));
    gone(child.parse().expect("a process id"));
}

#[test]
fn on_lost_kill_does_not_ask() {
    let script = "trap 'echo asked; exit 0' TERM; echo $$; while :; do sleep 0.05; done";
    let (mut running, child) = broken(&["--on-lost", "kill", "--grace", "10m"], script);
    assert_eq!(running.end().code(), Some(79));
    assert_eq!(running.line(), "", "it was not asked");
    gone(child.parse().expect("a process id"));
    assert!(running.stderr().contains("killed"));
}

#[test]
fn on_lost_warn_lets_the_command_finish_and_still_exits_79() {
    // Goes on until its lease is over by its own account, then ends well.
    let script = "echo ready
        while \"$0\" renew --ttl 3s 2>/dev/null; do sleep 0.02; done
        echo done";
    let mut command = run(
        &["--ttl", "3s", "--on-lost", "warn"],
        &["sh", "-c", script, crate::support::executable()],
    );
    command.stderr(Stdio::piped());
    let mut running = Running::start(command);
    assert_eq!(running.line(), "ready");
    say(&["break", "x", "--reason", "test"]).with_code(0);
    assert_eq!(running.line(), "done");
    assert_eq!(running.end().code(), Some(79));
    let said = running.stderr();
    assert!(said.contains("lost"), "{said}");
}

#[test]
fn max_hold_ends_the_command_and_keeps_the_lock_until_it_is_gone() {
    let script =
        "trap 'echo asked; sleep 0.2; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let mut command = run(&["--max-hold", "200ms"], &["sh", "-c", script]);
    command.stderr(Stdio::piped());
    let started = Instant::now();
    let mut running = Running::start(command);
    assert_eq!(running.line(), "ready");
    assert_eq!(running.line(), "asked");
    assert!(started.elapsed() >= Duration::from_millis(200));
    // Asked to end, it still has the lock.
    say(&["run", "x", "--no-wait", "--", "true"]).with_code(75);
    assert_eq!(running.end().code(), Some(79));
    assert!(running.stderr().contains("--max-hold"));
    say(&["run", "x", "--no-wait", "--", "true"]).with_code(0);
}

#[test]
fn a_lease_is_renewed_for_as_long_as_the_command_runs() {
    let mut running = Running::start(run(
        &["--ttl", "900ms", "--grace", "0s"],
        &["sh", "-c", "echo $$; exec sleep 1000"],
    ));
    let child = running.pid_line();
    let token = status("x")["token"].clone();
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(2_500) {
        assert_eq!(status("x")["token"], token);
        say(&["run", "x", "--no-wait", "--", "true"]).with_code(75);
    }
    assert!(is_alive(child));
    crate::process::send(child, nix::sys::signal::Signal::SIGTERM);
    assert_eq!(running.end().code(), Some(143));
}

#[test]
fn the_lock_stays_taken_while_the_command_uses_its_grace() {
    let scene = Scene::new();
    let go = scene.name("go");
    let script = format!(
        "trap 'echo asked; while [ ! -e {go} ]; do sleep 0.02; done; exit 0' TERM
         echo ready; while :; do sleep 0.05; done"
    );
    let options = ["--ttl", "1500ms", "--grace", "10m"];
    let mut command = run(&options, &["sh", "-c", &script]);
    command.stderr(Stdio::piped());
    let mut running = Running::start(command);
    assert_eq!(running.line(), "ready");
    // Somebody else's transaction keeps every renewal out until the deadline.
    let db = rusqlite::Connection::open(database()).expect("a database");
    db.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
    assert_eq!(running.line(), "asked");
    db.execute_batch("ROLLBACK").expect("its end");
    // From now on the store can be reached again, and must not be told that the
    // lock is free before the command is gone.
    for _ in 0..30 {
        say(&["run", "x", "--no-wait", "--", "true"]).with_code(75);
    }
    scene.write("go", "");
    assert_eq!(running.end().code(), Some(79));
    assert!(running.stderr().contains("deadline"));
    say(&["run", "x", "--no-wait", "--", "true"]).with_code(0);
}
