//! Ending the whole group when the lease is lost, and leaving it alone if not.

use nix::sys::signal::Signal;

use crate::process::{gone, is_alive, is_stopped, send};
use crate::support::{Running, Scene, eventually, run, say};

/// The exit code after a loss.
const LOST: Option<i32> = Some(79);
/// A grace so long that no test would wait for it.
const LONG: &[&str] = &["--grace", "10m"];
const SHORT: &[&str] = &["--grace", "300ms"];

/// A command with a lease that [`lose`] ends.
fn losing(scene: &Scene, options: &[&str], script: &str) -> Running {
    let script = scene.write("script", script);
    // Short enough that the loss is noticed soon, at the next renewal.
    Running::start(run(&[&["--ttl", "3s"], options].concat(), &["sh", &script]))
}

fn lose() {
    say(&["break", "x", "--reason", "test"]).with_code(0);
}

#[test]
fn a_loss_with_nothing_left_kills_at_once_whatever_is_trapped() {
    let scene = Scene::new();
    let script =
        "trap '' TERM; sh -c 'sleep 100; :' & echo $!; echo $$; while :; do sleep 0.05; done";
    let mut running = losing(&scene, &["--grace", "0s"], script);
    let (grandchild, child) = (running.pid_line(), running.pid_line());
    lose();
    assert_eq!(running.end().code(), LOST);
    gone(child);
    gone(grandchild);
    assert_eq!(running.line(), "", "nobody holds stdout any more");
}

#[test]
fn a_loss_terminates_first() {
    let scene = Scene::new();
    let script = "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let mut running = losing(&scene, LONG, script);
    assert_eq!(running.line(), "ready");
    lose();
    assert_eq!(running.line(), "asked");
    assert_eq!(running.end().code(), LOST);
}

#[test]
fn what_ignores_sigterm_is_killed_at_the_instant() {
    let scene = Scene::new();
    let script = "trap '' TERM; echo $$; while :; do sleep 0.05; done";
    let mut running = losing(&scene, SHORT, script);
    let child = running.pid_line();
    lose();
    assert_eq!(running.end().code(), LOST);
    gone(child);
}

#[test]
fn a_grandchild_that_outlives_the_command_is_killed_at_the_instant() {
    let scene = Scene::new();
    // The grandchild ignores SIGTERM, the command dies of it.
    let script = "echo $$; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' & wait";
    let mut running = losing(&scene, SHORT, script);
    let (child, grandchild) = (running.pid_line(), running.pid_line());
    lose();
    gone(child);
    assert_eq!(running.end().code(), LOST);
    gone(grandchild);
}

#[test]
fn a_grandchild_may_use_the_grace_and_is_waited_for() {
    let scene = Scene::new();
    let done = scene.name("done");
    let go = scene.name("go");
    // The grandchild tidies up for as long as the test likes.
    let worker = scene.write(
        "worker",
        &format!(
            "trap 'echo asked; while [ ! -e {go} ]; do sleep 0.01; done; echo tidy >{done}; exit' TERM
             echo $$; while :; do sleep 0.05; done"
        ),
    );
    let script = format!("sh {worker} & echo $!; wait");
    let mut running = losing(&scene, LONG, &script);
    let grandchild = running.pid_line();
    assert_eq!(running.pid_line(), grandchild);
    lose();
    assert_eq!(running.line(), "asked");
    assert!(is_alive(running.pid()));
    scene.write("go", "");
    assert_eq!(running.end().code(), LOST);
    assert_eq!(scene.read("done"), "tidy\n");
}

#[test]
fn a_stopped_command_is_ended_too() {
    let scene = Scene::new();
    let script = "trap 'echo asked; exit 0' TERM; echo $$; while :; do sleep 0.05; done";
    let mut running = losing(&scene, LONG, script);
    let child = running.pid_line();
    send(child, Signal::SIGSTOP);
    eventually("the command is stopped", || is_stopped(child));
    lose();
    assert_eq!(running.line(), "asked");
    assert_eq!(running.end().code(), LOST);
}

#[test]
fn a_command_stopped_by_someone_does_not_stop_leasehold() {
    let mut running = Running::start(run(&[], &["sh", "-c", "echo $$; exec sleep 100"]));
    let child = running.pid_line();
    send(child, Signal::SIGSTOP);
    eventually("the command is stopped", || is_stopped(child));
    // SIGCONT sent to leasehold proves that it is awake, and is sent on.
    running.signal(Signal::SIGCONT);
    eventually("the command is continued", || !is_stopped(child));
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().code(), Some(143));
}

#[test]
fn background_children_survive_a_normal_end() {
    let script = "sleep 100 & echo $!";
    let mut running = Running::start(run(&[], &["sh", "-c", script]));
    let background = running.pid_line();
    assert!(running.end().success());
    assert!(is_alive(background));
    send(background, Signal::SIGKILL);
}

#[test]
fn background_children_survive_a_normal_end_under_a_guard() {
    let scene = Scene::new();
    let go = scene.name("go");
    let script = format!("sleep 100 & echo $!; while [ ! -e {go} ]; do sleep 0.01; done");
    let mut running = Running::start(run(&[], &["sh", "-c", &script]));
    let background = running.pid_line();
    let guard = crate::process::await_guard(running.pid());
    scene.write("go", "");
    assert!(running.end().success());
    assert!(
        !std::path::Path::new(&format!("/proc/{guard}")).exists(),
        "reaped"
    );
    assert!(is_alive(background));
    send(background, Signal::SIGKILL);
}
