//! Job control: who has the terminal, and what its keys do.

use std::fs;

use nix::sys::signal::Signal;

use super::pty::{CTRL_C, CTRL_D, CTRL_Z, Session};
use crate::process::{children, gone, is_alive, is_program, is_stopped, send, stat};
use crate::support::{Scene, acquire, eventually, say, status};

/// Reads lines from the terminal and says what it read.
const ECHO: &str = "echo pid=$$; while read -r line; do echo \"line:$line.\"; done";
/// Counts its signals; ends on SIGTERM.
const COUNT: &str = "trap 'echo INT.' INT; trap 'echo TERM.; exit 7' TERM
    echo pid=$$; while :; do sleep 0.05; done";

fn has_terminal(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| stat.group == stat.foreground)
}

/// How often a process went to sleep, or was stopped, so far.
fn switches(pid: i32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mut lines = status.lines();
    let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    let count = count.and_then(|count| count.trim().parse().ok());
    count.expect("a number of switches")
}

fn parent(pid: i32) -> i32 {
    stat(pid).expect("it is there").parent
}

#[test]
fn ctrl_c_arrives_once_when_the_command_has_the_terminal() {
    let scene = Scene::new();
    let script = scene.write("script", COUNT);
    let mut session = Session::start(&[
        crate::support::executable(),
        "run",
        "x",
        "--",
        "sh",
        &script,
    ]);
    let child = session.expect_number("pid=");
    assert!(has_terminal(child), "at once, without asking");
    assert!(!has_terminal(session.leader()));
    for _ in 0..5 {
        session.type_in(CTRL_C);
        session.expect("INT.");
    }
    send(session.leader(), Signal::SIGTERM);
    session.expect("TERM.");
    assert_eq!(session.end().code(), Some(7));
    assert_eq!(session.count("INT."), 5);
}

#[test]
fn ctrl_c_arrives_once_when_leasehold_keeps_the_terminal() {
    let scene = Scene::new();
    let script = scene.write("script", COUNT);
    let log = scene.name("log");
    // Not the leader of its group, and stdout is a file.
    let line = format!("trap : INT; \"$LEASEHOLD\" run x -- sh {script} >{log}; echo code=$?");
    let mut session = Session::start(&["sh", "-c", &line]);
    eventually("the command runs", || scene.read("log").contains("pid="));
    let child = number_in(&scene.read("log"));
    assert!(!has_terminal(child));
    assert!(has_terminal(parent(child)));
    for presses in 1..=5 {
        session.type_in(CTRL_C);
        eventually("the command has the signal", || {
            scene.read("log").matches("INT.").count() >= presses
        });
    }
    send(parent(child), Signal::SIGTERM);
    assert_eq!(session.expect_number("code="), 7);
    assert_eq!(scene.read("log").matches("INT.").count(), 5);
}

fn number_in(log: &str) -> i32 {
    let line = log.lines().find_map(|line| line.strip_prefix("pid="));
    line.and_then(|pid| pid.parse().ok()).expect("a process id")
}

#[test]
fn ctrl_c_ends_the_command_and_the_loop_around_it() {
    let mut session = Session::shell();
    session.type_in(
        "for n in 1 2 3; do \"$LEASEHOLD\" run x -- sh -c 'echo p\"\"id=$$; exec sleep 100'; done\n",
    );
    let child = session.expect_number("pid=");
    // A shell may put a signal off while it is about to start something.
    eventually("the shell has become the sleep", || {
        is_program(child, "sleep")
    });
    session.type_in(CTRL_C);
    gone(child);
    session.expect("prompt> ");
    session.answers();
    assert_eq!(session.count("pid="), 1);
}

#[test]
fn ctrl_z_stops_both_and_fg_continues_both() {
    let scene = Scene::new();
    let script = scene.write("script", ECHO);
    let mut session = Session::shell();
    session.type_in(&format!("\"$LEASEHOLD\" run x -- sh {script}\n"));
    let child = session.expect_number("pid=");
    let leasehold = parent(child);
    session.type_in("one\n");
    session.expect("line:one.");
    session.type_in(CTRL_Z);
    session.expect("Stopped");
    session.expect("prompt> ");
    assert!(is_stopped(child) && is_stopped(leasehold));
    session.type_in("fg\n");
    eventually("the command has the terminal", || has_terminal(child));
    session.type_in("two\n");
    session.expect("line:two.");
    session.type_in(CTRL_D);
    session.expect("prompt> ");
    session.type_in("echo code=$?\n");
    assert_eq!(session.expect_number("\ncode="), 0);
}

#[test]
fn a_background_job_that_reads_stops_and_reads_after_fg() {
    let scene = Scene::new();
    let script = scene.write("script", ECHO);
    let mut session = Session::shell();
    session.type_in(&format!("\"$LEASEHOLD\" run x -- sh {script} &\n"));
    let child = session.expect_number("pid=");
    let leasehold = parent(child);
    session.expect_notice("Stopped");
    assert!(is_stopped(child) && is_stopped(leasehold));
    assert!(has_terminal(session.leader()));
    session.type_in("bg\n");
    session.expect_notice("Stopped");
    assert!(is_stopped(child) && is_stopped(leasehold));
    session.type_in("fg\n");
    eventually("the command has the terminal", || has_terminal(child));
    session.type_in("one\n");
    session.expect("line:one.");
    session.type_in(CTRL_C);
    session.expect("prompt> ");
    gone(child);
}

#[test]
fn the_rest_of_a_pipeline_keeps_the_terminal() {
    let scene = Scene::new();
    let pager = scene.write(
        "pager",
        "read -r pid; echo pid=${pid#pid=}; read -r key </dev/tty; echo \"key:$key.\"; exec cat",
    );
    // Neither of the two may start anything when the Ctrl-Z comes: between vfork and
    // exec it would hang the shell.
    let script = "trap 'echo TERM.; exit 7' TERM; echo pid=$$; sleep 100 & wait";
    let script = scene.write("script", script);
    let mut session = Session::shell();
    session.type_in(&format!(
        "\"$LEASEHOLD\" run x -- sh {script} | sh {pager}\n"
    ));
    let child = session.expect_number("pid=");
    let leasehold = parent(child);
    assert!(!has_terminal(child));
    session.type_in("q\n");
    session.expect("key:q.");
    session.type_in(CTRL_Z);
    session.expect("Stopped");
    session.expect("prompt> ");
    eventually("both are stopped", || {
        is_stopped(child) && is_stopped(leasehold)
    });
    session.type_in("fg\n");
    eventually("both are continued", || {
        !is_stopped(child) && !is_stopped(leasehold)
    });
    assert!(!has_terminal(child));
    send(leasehold, Signal::SIGTERM);
    session.expect("TERM.");
    session.expect("prompt> ");
}

#[test]
fn inside_a_script_the_terminal_is_lent_on_demand() {
    let scene = Scene::new();
    let script = scene.write("script", ECHO);
    let outer = scene.write(
        "outer",
        &format!(
            "\"$LEASEHOLD\" run x -- sh {script}; echo code=$?; read -r key; echo \"key:$key.\""
        ),
    );
    let mut session = Session::shell();
    session.type_in(&format!("sh {outer}\n"));
    let child = session.expect_number("pid=");
    let shell = parent(parent(child));
    session.type_in("one\n");
    session.expect("line:one.");
    assert!(has_terminal(child));
    session.type_in(CTRL_Z);
    session.expect("Stopped");
    let all = [child, parent(child), shell];
    eventually("all are stopped", || all.iter().all(|&pid| is_stopped(pid)));
    session.type_in("fg\n");
    eventually("the command has the terminal", || has_terminal(child));
    session.type_in("two\n");
    session.expect("line:two.");
    session.type_in(CTRL_D);
    assert_eq!(session.expect_number("code="), 0);
    session.type_in("three\n");
    session.expect("key:three.");
    session.expect("prompt> ");
}

#[test]
fn the_rest_of_the_group_is_continued_after_a_loan() {
    let scene = Scene::new();
    let reader = scene.write("reader", "read -r line; echo \"line:$line.\"");
    // A pager that wanted the terminal meanwhile would have been stopped.
    let outer = scene.write(
        "outer",
        &format!("trap 'echo continued.' CONT; \"$LEASEHOLD\" run x -- sh {reader}; :"),
    );
    let mut session = Session::shell();
    session.type_in(&format!("sh {outer}\none\n"));
    session.expect("line:one.");
    session.expect("continued.");
    session.expect("prompt> ");
}

#[test]
fn a_session_without_a_shell_survives_ctrl_z() {
    let scene = Scene::new();
    let script = scene.write("script", ECHO);
    let mut session = Session::start(&[
        crate::support::executable(),
        "run",
        "x",
        "--",
        "sh",
        &script,
    ]);
    let child = session.expect_number("pid=");
    session.type_in(CTRL_Z);
    session.type_in("one\n");
    session.expect("line:one.");
    assert!(has_terminal(child));
    session.type_in(CTRL_D);
    assert_eq!(session.end().code(), Some(0));
}

#[test]
fn a_reader_in_the_background_of_no_shell_is_hung_up() {
    let scene = Scene::new();
    let (go, code) = (scene.name("go"), scene.name("code"));
    let mut session = Session::shell();
    // The shell in between ignores the kernel's own hang-up, but leasehold and
    // the command do not: `env` undoes it for them.
    session.type_in(&format!(
        "( (trap '' HUP; while [ ! -e {go} ]; do sleep 0.02; done; \
         env --default-signal=HUP \"$LEASEHOLD\" run x -- cat </dev/tty; echo $? >{code}) & )\n"
    ));
    // From here on, the shell has the terminal.
    session.answers();
    scene.write("go", "");
    eventually("the command ends", || scene.read("code") == "129\n");
    session.answers();
}

#[test]
fn a_command_that_ignores_the_hang_up_does_not_spin() {
    let scene = Scene::new();
    let (go, pid) = (scene.name("go"), scene.name("pid"));
    let mut session = Session::shell();
    session.type_in(&format!(
        "( (trap '' HUP; while [ ! -e {go} ]; do sleep 0.02; done; \"$LEASEHOLD\" run x -- sh -c 'echo $$ >{pid}; exec cat </dev/tty') & )\n"
    ));
    session.answers();
    scene.write("go", "");
    eventually("the command is there", || scene.read("pid").ends_with('\n'));
    let child = scene.read("pid").trim().parse().expect("a process id");
    eventually("the command is stopped", || is_stopped(child));
    // Continued again and again, it would be switched to thousands of times while
    // the shell does all this.
    for _ in 0..50 {
        session.answers();
    }
    assert!(is_stopped(child));
    assert!(switches(child) < 100, "{} switches", switches(child));
    // Leasehold itself is awake: what ends it ends the command.
    let leasehold = parent(child);
    assert!(is_alive(leasehold) && !is_stopped(leasehold));
    send(leasehold, Signal::SIGKILL);
    gone(child);
}

#[test]
fn a_shell_under_leasehold_has_its_own_jobs_and_can_suspend() {
    let mut session = Session::shell();
    session.type_in("PS1='in''ner> ' \"$LEASEHOLD\" run x -- bash --norc --noprofile -i\n");
    session.expect("inner> ");
    session.type_in("sh -c 'echo p\"\"id=$$; exec sleep 100'\n");
    let job = session.expect_number("pid=");
    eventually("the shell has become the sleep", || {
        is_program(job, "sleep")
    });
    session.type_in(CTRL_Z);
    session.expect("Stopped");
    session.expect("inner> ");
    session.type_in("kill %1; suspend\n");
    session.expect("Stopped");
    session.expect("prompt> ");
    session.type_in("fg\n");
    session.answers();
    session.type_in("exit 3\n");
    session.expect("prompt> ");
    session.type_in("echo code=$?\n");
    assert_eq!(session.expect_number("\ncode="), 3);
}

#[test]
fn ctrl_z_stops_the_wait_for_the_lock() {
    let holder = acquire(&["x", "--ttl", "10m"]);
    let mut session = Session::shell();
    session.type_in("\"$LEASEHOLD\" run x -- echo 'sta''rted.'\n");
    session.expect("waiting");
    session.type_in(CTRL_Z);
    session.expect("Stopped");
    let leasehold = children(session.leader())[0];
    assert!(is_stopped(leasehold));
    session.type_in("fg\n");
    eventually("it goes on", || !is_stopped(leasehold));
    holder.release().with_code(0);
    session.expect("started.");
    session.expect("prompt> ");
}

#[test]
fn a_command_does_not_continue_without_its_lease() {
    let scene = Scene::new();
    let script = scene.write("script", ECHO);
    let mut session = Session::shell();
    session.type_in(&format!(
        "\"$LEASEHOLD\" run x --ttl 1s --grace 10m -- sh {script}\n"
    ));
    let child = session.expect_number("pid=");
    session.type_in(CTRL_Z);
    session.expect("Stopped");
    session.expect("prompt> ");
    eventually("only the grace is left", || {
        status("x")["holders"][0]["remaining_seconds"] == 0.0
    });
    session.type_in("fg\n");
    gone(child);
    session.expect("prompt> ");
    session.type_in("echo code=$?\n");
    assert_eq!(session.expect_number("\ncode="), 79);
}

#[test]
fn the_terminal_is_usable_after_a_command_was_killed() {
    let line = "\"$LEASEHOLD\" run x --ttl 3s --grace 0s -- \
                sh -c 'stty -echo; echo pid=$$; sleep 100'; echo code=$?";
    let mut session = Session::start(&["sh", "-c", line]);
    let child = session.expect_number("pid=");
    assert!(has_terminal(child), "stty has asked for it");
    assert!(!session.echoes());
    say(&["break", "x", "--reason", "test"]).with_code(0);
    assert_eq!(session.expect_number("code="), 79);
    assert!(session.echoes());
}

#[test]
fn a_failed_start_leaves_the_terminal_as_it_was() {
    let mut session = Session::start(&[
        "bash",
        "--norc",
        "-c",
        "set -m; \"$LEASEHOLD\" run x -- /no/such/file; read -r line; echo \"line:$line.\"",
    ]);
    session.expect("no such file");
    session.type_in("one\n");
    session.expect("line:one.");
    assert!(session.end().success());
}
