//! What goes in and what comes out: stdin, stdout, environment, exit codes.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::{fs, thread};

use crate::support::{Running, Scene, fresh, run, status};

fn output(command: &[&str]) -> Output {
    run(&[], command)
        .output()
        .expect("leasehold can be started")
}

fn refused(command: &[&str], code: i32, reason: &str) {
    let output = output(command);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {message}");
    assert!(message.contains(command[0]), "{message}");
    assert!(message.contains(reason), "{message}");
    assert!(message.starts_with("leasehold: "), "{message}");
    assert_eq!(
        status("x")["holders"],
        serde_json::json!([]),
        "the lock is free again"
    );
}

#[test]
fn the_exit_code_is_the_commands() {
    for code in [0, 1, 7, 75, 255] {
        let output = output(&["sh", "-c", &format!("exit {code}")]);
        assert_eq!(output.status.code(), Some(code));
    }
}

#[test]
fn death_by_a_signal_is_128_and_its_number() {
    for (name, code) in [("TERM", 143), ("KILL", 137), ("HUP", 129), ("USR1", 138)] {
        let output = output(&["sh", "-c", &format!("kill -{name} $$")]);
        assert_eq!(output.status.code(), Some(code), "{name}");
    }
}

#[test]
fn death_by_sigint_is_passed_on_so_that_a_script_ends_too() {
    let status = output(&["sh", "-c", "kill -INT $$"]).status;
    assert_eq!(status.signal(), Some(2), "{status}");
}

#[test]
fn an_ignored_sigchld_does_not_lose_the_exit_code() {
    let run = run(&[], &["sh", "-c", "exit 7"]);
    // Not a shell's `trap`: dash undoes that one by itself.
    let mut ignoring = Command::new("env");
    fresh(&mut ignoring)
        .arg("--ignore-signal=CHLD")
        .arg(run.get_program())
        .args(run.get_args());
    assert_eq!(Running::start(ignoring).end().code(), Some(7));
}

#[test]
fn what_is_not_there_is_127_and_says_why() {
    let scene = Scene::new();
    refused(&["no-such-command"], 127, "PATH");
    refused(&["/no/such/command"], 127, "no such file");
    let script = scene.write("script", "#!/no/such/interpreter -x\n");
    make_executable(&script);
    refused(&[&script], 127, "\"/no/such/interpreter\"");
}

#[test]
fn what_cannot_be_executed_is_126() {
    let scene = Scene::new();
    let plain = scene.write("plain", "echo no\n");
    refused(&[&plain], 126, "chmod +x");
    refused(&[scene.dir().to_str().expect("UTF-8")], 126, "denied");
}

#[test]
fn a_script_without_a_first_line_is_run_by_the_shell() {
    let scene = Scene::new();
    let script = scene.write("script", "exit 9\n");
    make_executable(&script);
    assert_eq!(output(&[&script]).status.code(), Some(9));
}

fn make_executable(path: &str) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("mode can be set");
}

#[test]
fn stdin_and_stdout_pass_through_unchanged() {
    let data: Vec<u8> = (0..1 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    let mut child = run(&[], &["cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("leasehold can be started");
    let mut stdin = child.stdin.take().expect("stdin");
    let sent = data.clone();
    let writer = thread::spawn(move || stdin.write_all(&sent));
    let mut received = Vec::new();
    let mut stdout = child.stdout.take().expect("stdout");
    stdout
        .read_to_end(&mut received)
        .expect("stdout can be read");
    writer
        .join()
        .expect("no panic")
        .expect("stdin can be written");
    assert!(received == data, "what came out is not what went in");
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn the_command_gets_no_file_of_ours() {
    let list = ["ls", "/proc/self/fd"];
    let output = output(&list);
    let direct = Command::new(list[0]).args(&list[1..]).output();
    assert!(output.status.success());
    assert_eq!(output.stdout, direct.expect("ls can be started").stdout);
}

#[test]
fn the_command_dies_of_a_closed_pipe() {
    let mut running = Running::start(run(&[], &["yes"]));
    assert_eq!(running.line(), "y");
    running.close_stdout();
    assert_eq!(running.end().code(), Some(128 + 13));
}
