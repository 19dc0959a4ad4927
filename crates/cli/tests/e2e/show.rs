//! `status`, `ls`, `break`: what people read, and what programs read.

use crate::support::{Running, acquire, executable, leasehold, said, say, status};
use crate::watch::Watching;

/// Checks that no line is wider than a terminal and none has colours.
#[track_caller]
fn fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        assert!(!line.contains('\x1b'), "{line}");
    }
}

#[test]
fn status_shows_who_holds_who_waits_and_the_last_break() {
    let stuck = acquire(&["jobs/nightly", "--owner", "db-1 pid 7 (stuck)"]);
    say(&["break", "jobs/nightly", "--reason", "stuck since noon"]).with_code(0);
    let taken = acquire(&[
        "jobs/nightly",
        "--ttl",
        "10m",
        "--owner",
        "web-1 pid 4711 (backup)",
    ]);
    let mut watching = Watching::start(&["jobs/"]);
    let _waiter = Running::start(leasehold(&[
        "run",
        "jobs/nightly",
        "-q",
        "--owner",
        "web-2 pid 12 (backup)",
        "--",
        "true",
    ]));
    watching.until_event("waiting");
    let text = say(&["status", "jobs/nightly"]).with_code(0).out;
    fits(&text);
    let token = taken.token.to_string();
    for part in [
        "jobs/nightly: held",
        "HELD BY",
        "web-1 pid 4711 (backup)",
        "exclusive",
        " ago",
        "9m ",
        &token,
        "WAITING",
        "web-2 pid 12 (backup)",
        "last broken",
        "stuck since noon",
        &stuck.token.to_string(),
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let json = status("jobs/nightly");
    assert_eq!(json["name"], "jobs/nightly");
    assert_eq!(json["last_break"]["reason"], "stuck since noon");
    assert_eq!(json["last_break"]["ended"][0], stuck.token);
    assert_eq!(json["waiters"][0]["owner"], "web-2 pid 12 (backup)");
}

#[test]
fn status_of_a_lock_nobody_ever_took_is_free() {
    let said = say(&["status", "unheard-of"]).with_code(0);
    assert!(said.out.starts_with("unheard-of: free\n"), "{said:?}");
}

#[test]
fn status_tells_the_grace_from_the_ttl() {
    let mut watching = Watching::start(&["other"]);
    acquire(&["x", "--ttl", "300ms", "--grace", "10m"]);
    // Something else that ends no earlier marks that the TTL is over.
    acquire(&["other", "--ttl", "300ms", "--grace", "0s"]);
    watching.until_event("ended");
    let text = say(&["status", "x"]).with_code(0).out;
    assert!(text.contains("grace 9m"), "{text}");
}

#[test]
fn ls_lists_what_is_in_use_in_80_columns() {
    let said = say(&["ls"]).with_code(0);
    assert_eq!((&*said.out, said.err.contains("no lock")), ("", true));
    let long = "n".repeat(512);
    acquire(&[&long, "--owner", &"o".repeat(256)]);
    acquire(&["jobs/1", "--owner", "me", "--ttl", "10m"]);
    acquire(&["jobs/2", "--permits", "4294967295"]);
    acquire(&["free"]).release().with_code(0);
    let text = say(&["ls"]).with_code(0).out;
    fits(&text);
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.starts_with("LOCK"), "{text}");
    let mine = text
        .lines()
        .find(|line| line.starts_with("jobs/1 "))
        .expect("a row");
    assert!(
        mine.contains(" me ") && mine.contains("exclusive"),
        "{mine}"
    );
    let below = say(&["ls", "jobs/"]).with_code(0).out;
    assert_eq!(below.lines().count(), 3, "{below}");
    let json = say(&["ls", "--json", "jobs/"]).with_code(0).json();
    let names: Vec<_> = json
        .as_array()
        .expect("a list")
        .iter()
        .map(|lock| &lock["name"])
        .collect();
    assert_eq!(names, ["jobs/1", "jobs/2"]);
}

#[test]
fn break_says_what_it_did_and_its_tokens_are_dead() {
    let taken = acquire(&["x", "--owner", "web-1 pid 7 (backup)", "--ttl", "10m"]);
    let said = say(&["break", "x", "--reason", "its host is gone"]).with_code(0);
    fits(&said.out);
    let token = taken.token.to_string();
    for part in [
        "\"x\"",
        "1 lease was ended",
        "web-1 pid 7 (backup)",
        &token,
        "floor is now",
    ] {
        assert!(said.out.contains(part), "no {part:?} in\n{}", said.out);
    }
    taken.release().with_code(79);
    let floor = status("x")["floor"].as_u64().expect("a number");
    assert!(floor > taken.token);
    assert!(acquire(&["x", "--no-wait"]).token >= floor);
}

#[test]
fn break_of_a_free_lock_says_so_and_json_has_it_all() {
    let said = say(&["break", "x", "--reason", "to be sure"]).with_code(0);
    assert!(said.out.contains("was free"), "{said:?}");
    let taken = acquire(&["x"]);
    let json = say(&["break", "x", "--reason", "again", "--json"])
        .with_code(0)
        .json();
    assert_eq!(json["ended"][0]["token"], taken.token);
    assert_eq!(json["ended"][0]["nonce"], taken.nonce.as_str());
    assert_eq!(json["reason"], "again");
    assert!(
        json["floor"]
            .as_u64()
            .is_some_and(|floor| floor > taken.token)
    );
}

#[test]
fn a_break_needs_a_reason() {
    let taken = acquire(&["x"]);
    let said = say(&["break", "x"]).with_code(2);
    assert!(said.err.contains("--reason"), "{said:?}");
    say(&["break", "x", "--reason", " "])
        .with_code(2)
        .explains(&["--reason"]);
    assert_eq!(status("x")["holders"][0]["nonce"], taken.nonce.as_str());
}

#[test]
fn colours_are_for_terminals_and_no_color_is_heeded() {
    use crate::supervise::pty::Session;
    acquire(&["x", "--ttl", "10m"]);
    let mut session = Session::start(&["env", "TERM=xterm", executable(), "status", "x"]);
    session.expect("exclusive");
    assert!(session.end().success());
    assert!(session.count("\x1b[") > 0);
    let mut session = Session::start(&[
        "env",
        "TERM=xterm",
        "NO_COLOR=1",
        executable(),
        "status",
        "x",
    ]);
    session.expect("exclusive");
    assert!(session.end().success());
    assert_eq!(session.count("\x1b["), 0);
    let mut piped = leasehold(&["status", "x"]);
    piped.env("TERM", "xterm-256color");
    fits(&said(piped).with_code(0).out);
}

#[test]
fn a_spinner_on_a_terminal_tells_who_holds_the_lock() {
    use crate::supervise::pty::Session;
    let taken = acquire(&["x", "--ttl", "10m", "--owner", "the holder"]);
    let mut session = Session::start(&[
        "env",
        "TERM=xterm",
        executable(),
        "run",
        "x",
        "--",
        "echo",
        "star\u{74}ed.",
    ]);
    session.expect("waiting for lock \"x\", held by the holder for ");
    taken.release().with_code(0);
    session.expect("started.");
    assert!(session.end().success());
}
