//! `run`: the lock, the wait for it, and what the command is told.

use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::support::{Running, Scene, acquire, run, said, say, status};
use crate::watch::Watching;

#[test]
fn the_first_command_prints_its_token_and_nothing_else() {
    let first = said(run(&[], &["sh", "-c", "echo token $LEASEHOLD_TOKEN"])).with_code(0);
    let second = said(run(&[], &["sh", "-c", "echo token $LEASEHOLD_TOKEN"])).with_code(0);
    assert_eq!((&*first.err, &*second.err), ("", ""));
    let token = |said: &str| -> u64 {
        let number = said.strip_prefix("token ").expect("the token");
        number.trim_end().parse().expect("a number")
    };
    assert!(token(&first.out) > 0);
    assert!(token(&second.out) > token(&first.out));
    assert!(crate::support::database().exists(), "in the default place");
}

#[test]
fn the_command_is_told_its_lease() {
    let script = "echo \"$LEASEHOLD_NAME\"; echo $LEASEHOLD_TOKEN; echo $LEASEHOLD_NONCE; echo $LEASEHOLD_URL; \
                  \"$0\" status --json \"$LEASEHOLD_NAME\"";
    let args = [
        "run",
        "jobs/é",
        "--",
        "sh",
        "-c",
        script,
        crate::support::executable(),
    ];
    let said = say(&args).with_code(0);
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(lines[0], "jobs/é");
    let status: serde_json::Value = serde_json::from_str(lines[4]).expect("JSON");
    assert_eq!(status["holders"][0]["token"].to_string(), lines[1]);
    assert_eq!(status["holders"][0]["nonce"], lines[2]);
    assert_eq!(lines[3], "local:");
    let owner = status["holders"][0]["owner"].as_str().expect("a text");
    assert!(
        owner.ends_with("(sh)") && owner.contains(" pid "),
        "{owner}"
    );
}

#[test]
fn a_second_run_waits_its_turn_and_says_for_whom() {
    let mut watching = Watching::start(&["x"]);
    let mut first = Running::start(run(
        &["--owner", "the first"],
        &["sh", "-c", "echo held; exec sleep 1000"],
    ));
    assert_eq!(first.line(), "held");
    let mut command = run(&["--owner", "the second"], &["echo", "mine"]);
    command.stderr(Stdio::piped());
    let mut second = Running::start(command);
    watching.until_event("waiting");
    let status = status("x");
    assert_eq!(status["holders"][0]["owner"], "the first");
    assert_eq!(status["waiters"][0]["owner"], "the second");
    first.signal(Signal::SIGTERM);
    assert_eq!(first.end().code(), Some(143));
    assert_eq!(second.line(), "mine");
    assert!(second.end().success());
    let said = second.stderr();
    let waiting = said.lines().next().expect("a line");
    assert!(
        waiting.starts_with("leasehold: waiting for lock \"x\", held by the first for "),
        "{said}"
    );
    assert!(!said.contains('\x1b'), "no colours in a file: {said}");
}

#[test]
fn waiters_have_the_lock_in_the_order_they_came() {
    let scene = Scene::new();
    let log = scene.write("log", "");
    let mut watching = Watching::start(&["x"]);
    let holder = acquire(&["x", "--ttl", "10m"]);
    let mut waiting = Vec::new();
    for n in 0..5 {
        let script = format!("echo {n} >>{log}");
        waiting.push(Running::start(run(&["-q"], &["sh", "-c", &script])));
        watching.until_event("waiting");
    }
    holder.release().with_code(0);
    for mut process in waiting {
        assert!(process.end().success());
    }
    assert_eq!(scene.read("log"), "0\n1\n2\n3\n4\n");
}

#[test]
fn a_busy_lock_is_75_or_what_was_asked_for() {
    let holder = acquire(&["x", "--owner", "somebody", "--ttl", "10m"]);
    let token = holder.token.to_string();
    say(&["run", "x", "--no-wait", "--", "true"])
        .with_code(75)
        .explains(&["\"x\"", "busy", "somebody", &token, "--no-wait"]);
    say(&["run", "x", "--wait", "0s", "--", "true"]).with_code(75);
    say(&["run", "x", "--wait", "50ms", "-q", "--", "true"])
        .with_code(75)
        .explains(&["\"x\"", "not free within", "somebody", "--wait"]);
    say(&["run", "x", "--no-wait", "--busy-code", "3", "--", "true"]).with_code(3);
    say(&[
        "run",
        "x",
        "--wait",
        "50ms",
        "--busy-code",
        "0",
        "--",
        "true",
    ])
    .with_code(0);
    say(&["acquire", "x", "--no-wait", "--busy-code", "9"]).with_code(9);
    assert_eq!(
        status("x")["waiters"],
        serde_json::json!([]),
        "nobody stays in the line"
    );
}

#[test]
fn shared_leases_stand_side_by_side_and_permits_are_counted() {
    let reader = acquire(&["r", "--shared"]);
    acquire(&["r", "--shared", "--no-wait"]);
    say(&["run", "r", "--no-wait", "--", "true"]).with_code(75);
    assert_eq!(status("r")["holders"][0]["nonce"], reader.nonce.as_str());
    acquire(&["p", "--permits", "2"]);
    acquire(&["p", "--permits", "2", "--no-wait"]);
    say(&["run", "p", "--permits", "2", "--no-wait", "--", "true"]).with_code(75);
    say(&["run", "p", "--permits", "3", "--no-wait", "--", "true"])
        .with_code(2)
        .explains(&["permits", "2"]);
}

#[test]
fn a_signal_while_it_waits_gives_the_place_back() {
    let holder = acquire(&["x", "--ttl", "10m"]);
    let mut watching = Watching::start(&["x"]);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut waiter = Running::start(run(&["-q"], &["echo", "started"]));
        watching.until_event("waiting");
        waiter.signal(signal);
        let status = waiter.end();
        let died = std::os::unix::process::ExitStatusExt::signal(&status).map(|n| 128 + n);
        assert_eq!(status.code().or(died), Some(128 + signal as i32));
        assert_eq!(waiter.line(), "", "the command was not started");
        assert_eq!(
            crate::support::status("x")["waiters"],
            serde_json::json!([])
        );
        watching.until_event("gave_up");
    }
    holder.release().with_code(0);
}

#[test]
fn quiet_and_json_govern_what_is_said_while_waiting() {
    for (flag, check) in [
        ("--quiet", (|said| said.is_empty()) as fn(&str) -> bool),
        ("--json", |said| {
            let line = said.lines().next().unwrap_or_default();
            let notice: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            notice["notice"] == "waiting" && notice["message"].is_string()
        }),
    ] {
        let holder = acquire(&["x", "--ttl", "10m"]);
        let mut watching = Watching::start(&["x"]);
        let mut command = run(&[flag], &["true"]);
        command.stderr(Stdio::piped());
        let mut waiter = Running::start(command);
        watching.until_event("waiting");
        holder.release().with_code(0);
        assert!(waiter.end().success());
        let said = waiter.stderr();
        assert!(check(&said), "{flag}: {said}");
    }
}

#[test]
fn errors_are_json_where_that_was_asked_for() {
    let _holder = acquire(&["x"]);
    let said = say(&["run", "x", "--no-wait", "--json", "--", "true"]).with_code(75);
    let error: serde_json::Value = serde_json::from_str(&said.err).expect("JSON");
    assert_eq!(error["error"], "busy");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("busy"))
    );
}
