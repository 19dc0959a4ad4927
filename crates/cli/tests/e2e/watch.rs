//! `leasehold watch`, and what other tests use it for.

use std::process::Stdio;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{BOUND, Running, acquire, leasehold, say};

/// `leasehold watch --initial`, running.
pub(crate) struct Watching {
    events: Receiver<Value>,
    _process: Running,
}

impl Watching {
    /// Watches these names; whatever happens after this returns will be seen.
    pub(crate) fn start(args: &[&str]) -> Watching {
        let mut process = Running::start(leasehold(&[&["watch", "--initial"], args].concat()));
        let lines = process.take_lines();
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            for line in lines {
                let event = serde_json::from_str(&line).expect("a line of JSON");
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        let mut watching = Watching {
            events,
            _process: process,
        };
        watching.until(|event| event["event"] == "watching");
        watching
    }

    pub(crate) fn next(&mut self) -> Value {
        self.events.recv_timeout(BOUND).expect("an event in time")
    }

    /// Waits for an event like this.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.next();
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Waits for an event of this kind.
    pub(crate) fn until_event(&mut self, kind: &str) -> Value {
        self.until(|event| event["event"] == kind)
    }
}

#[test]
fn each_change_is_a_line_of_json() {
    let mut watching = Watching::start(&["jobs/"]);
    let other = acquire(&["elsewhere"]);
    let first = acquire(&["jobs/1"]);
    let event = watching.next();
    assert_eq!(event["event"], "acquired");
    assert_eq!(event["name"], "jobs/1");
    assert_eq!(event["token"], first.token);
    assert_eq!(event["nonce"], first.nonce.as_str());
    assert_eq!(event["mode"], "exclusive");
    assert!(event["time"].as_str().expect("a time").ends_with('Z'));
    let mut waiting = Running::start(leasehold(&["run", "jobs/1", "-q", "--", "true"]));
    assert_eq!(watching.next()["event"], "waiting");
    other.release().with_code(0);
    first.release().with_code(0);
    let event = watching.next();
    assert_eq!(
        (&event["event"], &event["token"]),
        (&"ended".into(), &first.token.into())
    );
    // A lease shorter than a look may be told as a skipped token.
    watching.until(|event| event["event"] == "ended" || event["event"] == "skipped");
    assert!(waiting.end().success());
}

#[test]
fn a_break_is_told_with_its_reason() {
    let mut watching = Watching::start(&["x"]);
    let taken = acquire(&["x"]);
    watching.until_event("acquired");
    say(&["break", "x", "--reason", "stuck since noon"]).with_code(0);
    let event = watching.next();
    assert_eq!(event["event"], "broken");
    assert_eq!(event["token"], taken.token);
    assert_eq!(event["reason"], "stuck since noon");
}

#[test]
fn initial_shows_what_is_there_before_it_says_that_it_watches() {
    let taken = acquire(&["x/1"]);
    let mut watching = Running::start(leasehold(&["watch", "--initial", "x/"]));
    let present: Value = serde_json::from_str(&watching.line()).expect("JSON");
    assert_eq!(present["event"], "present");
    assert_eq!(present["name"], "x/1");
    assert_eq!(present["holders"][0]["token"], taken.token);
    let ready: Value = serde_json::from_str(&watching.line()).expect("JSON");
    assert_eq!(ready["event"], "watching");
}

#[test]
fn exact_names_leave_longer_ones_out() {
    let mut watching = Watching::start(&["--exact", "x", "y"]);
    acquire(&["xx"]);
    acquire(&["y"]);
    assert_eq!(watching.next()["name"], "y");
}

#[test]
fn prefixes_that_cover_each_other_do_not_tell_twice() {
    let mut watching = Watching::start(&["a/b", "a/", "c"]);
    let first = acquire(&["a/b/1"]);
    watching.until_event("acquired");
    first.release().with_code(0);
    assert_eq!(watching.next()["event"], "ended");
}

#[test]
fn it_ends_quietly_on_an_interrupt_and_when_its_reader_goes() {
    let start = || {
        let mut command = leasehold(&["watch", "--initial"]);
        command.stderr(Stdio::piped());
        let mut watching = Running::start(command);
        assert!(watching.line().contains("watching"));
        watching
    };
    let mut watching = start();
    watching.signal(Signal::SIGINT);
    assert!(!watching.end().success());
    assert_eq!(watching.stderr(), "");
    // Nothing happens that it could print, and still it ends.
    let mut watching = start();
    watching.close_stdout();
    assert!(watching.end().success());
    assert_eq!(watching.stderr(), "");
}
