//! Several real processes on one file: killed, stopped, and copied from under.

#![allow(unused_crate_dependencies)]

mod common;

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use common::{
    LIMIT, ask, block_on, break_request, granted, is_busy, open, queued, release, request, seconds,
    until, wait_for_grant, waiting,
};
use leasehold_core::{AcquireRequest, Acquired, Engine, Error, Lifetime, Token};
use leasehold_local::{LocalEngine, LocalOptions};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let args: Vec<String> = env::args().collect();
    if let [_, kind, db, rest @ ..] = &args[..]
        && let Some(kind) = kind.strip_prefix("child-")
    {
        return child(kind, Path::new(db), rest);
    }
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let trials = vec![
        trial("a_killed_holder_makes_way", a_killed_holder_makes_way),
        trial(
            "a_killed_waiter_is_passed_over",
            a_killed_waiter_is_passed_over,
        ),
        trial(
            "a_killed_process_keeps_what_is_not_tied_to_it",
            a_detached_grant_survives,
        ),
        trial(
            "a_stopped_process_is_not_dead",
            a_stopped_process_is_not_dead,
        ),
        trial("every_increment_counts", every_increment_counts),
        trial(
            "increments_count_though_holders_are_killed",
            increments_among_kills,
        ),
        trial(
            "a_store_is_created_by_many_at_once",
            created_by_many_at_once,
        ),
        trial("copies_never_repeat_a_token", copies_never_repeat_a_token),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

// ---- the children

fn child(kind: &str, db: &Path, args: &[String]) {
    match kind {
        // Holds a lock, says so, and waits to be killed.
        "hold" => {
            let engine = open(db);
            let token = granted(&engine, &request(&args[0]));
            say(&format!("{token}"));
            wait_for_end_of_input();
        }
        "hold-detached" => {
            let engine = open(db);
            let request = AcquireRequest {
                lifetime: Lifetime::Detached,
                ..request(&args[0])
            };
            granted(&engine, &request);
            say("held");
            wait_for_end_of_input();
        }
        "hold-briefly" => {
            let engine = open(db);
            let request = AcquireRequest {
                ttl: seconds(1),
                ..request(&args[0])
            };
            granted(&engine, &request);
            say("held");
            wait_for_end_of_input();
        }
        "queue" => {
            let engine = open(db);
            queued(&engine, &waiting(&args[0]));
            say("queued");
            wait_for_end_of_input();
        }
        // Adds one to a number in a file, again and again, under a lock.
        "count" => {
            let engine = open(db);
            for _ in 0..args[2].parse::<u32>().unwrap() {
                let asked = waiting("counter");
                let token = wait_for_grant(&engine, &asked);
                increment(Path::new(&args[0]), token, args[1] == "fenced");
                release(&engine, &asked);
            }
        }
        "create" => {
            let engine = open(db);
            let asked = waiting("first");
            let token = wait_for_grant(&engine, &asked);
            release(&engine, &asked);
            say(&token.to_string());
        }
        // Grants as fast as it can, and notes each token.
        "grant" => {
            let options = LocalOptions::new(db).boot_id(&args[0]).token_block(3);
            let options = options.collect_after(Duration::from_millis(20));
            let engine = LocalEngine::open(options).unwrap();
            let mut notes = fs::File::create(&args[1]).unwrap();
            say("begun");
            for n in 0u64.. {
                let names = [
                    format!("{}/{}", args[2], n % 50),
                    format!("shared/{}", n % 7),
                ];
                for name in names {
                    let request = request(&name);
                    if let Acquired::Granted(granted) = ask(&engine, &request).unwrap() {
                        let line = format!("{name} {}\n", granted.token);
                        notes.write_all(line.as_bytes()).unwrap();
                        if n % 5 != 0 {
                            release(&engine, &request);
                        } else {
                            block_on(engine.break_lock(&break_request(&name))).unwrap();
                        }
                    }
                }
            }
        }
        other => panic!("no child {other}"),
    }
}

/// Adds one to the number in a file. Fenced, as a resource would: a token below
/// the last one seen is refused.
fn increment(file: &Path, token: Token, fenced: bool) {
    let text = fs::read_to_string(file).unwrap();
    let (count, last) = text.split_once(' ').unwrap();
    let (count, last): (u64, u64) = (count.parse().unwrap(), last.parse().unwrap());
    assert!(token.get() > last || !fenced, "{token} after {last}");
    let new = file.with_extension(std::process::id().to_string());
    fs::write(&new, format!("{} {token}", count + 1)).unwrap();
    fs::rename(new, file).unwrap();
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

fn wait_for_end_of_input() {
    let _ = std::io::stdin().lines().count();
}

// ---- and their parent

/// A child that is killed when the test is over.
struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Process {
    fn start(kind: &str, db: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .arg(format!("child-{kind}"))
            .arg(db)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the child said nothing");
        line.trim_end().to_owned()
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Stops it, and returns once every thread has stopped.
    fn stop(&self) {
        self.signal("-STOP");
        let tasks = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        until("the child has stopped", || {
            fs::read_dir(&tasks).unwrap().all(|task| {
                let stat = fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
                stat.rsplit(") ").next().unwrap().starts_with('T')
            })
        });
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn store() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("locks.db");
    (folder, db)
}

fn a_killed_holder_makes_way() {
    let (_folder, db) = store();
    let engine = open(&db);
    for _ in 0..20 {
        let mut holder = Process::start("hold", &db, &["a"]);
        let token: u64 = holder.line().parse().unwrap();
        let asked = waiting("a");
        queued(&engine, &asked);
        holder.signal("-KILL");
        // The TTL is half an hour, and no polling is due for ten minutes.
        assert!(wait_for_grant(&engine, &asked).get() > token);
        release(&engine, &asked);
    }
}

fn a_killed_waiter_is_passed_over() {
    let (_folder, db) = store();
    let engine = open(&db);
    let first = request("a");
    granted(&engine, &first);
    let mut dead = Process::start("queue", &db, &["a"]);
    dead.line();
    let second = waiting("a");
    assert_eq!(queued(&engine, &second).ahead, 1);
    drop(dead);
    release(&engine, &first);
    wait_for_grant(&engine, &second);
}

fn a_detached_grant_survives() {
    let (_folder, db) = store();
    let engine = open(&db);
    let mut holder = Process::start("hold-detached", &db, &["a"]);
    holder.line();
    drop(holder);
    assert!(is_busy(&engine, "a"));
}

fn a_stopped_process_is_not_dead() {
    let (_folder, db) = store();
    let engine = open(&db);
    let mut holder = Process::start("hold-briefly", &db, &["a"]);
    holder.line();
    let at = Instant::now();
    holder.stop();
    assert!(is_busy(&engine, "a"));
    // It lives, so its TTL decides.
    until("the TTL is over", || !is_busy(&engine, "a"));
    assert!(at.elapsed() > Duration::from_millis(100), "too soon");
    holder.signal("-CONT");
}

fn every_increment_counts() {
    let (folder, db) = store();
    let file = folder.path().join("counter");
    fs::write(&file, "0 0").unwrap();
    let text = file.display().to_string();
    let start = |_| Process::start("count", &db, &[&text, "fenced", "50"]);
    let processes: Vec<Process> = (0..6).map(start).collect();
    processes.into_iter().for_each(Process::end);
    assert!(fs::read_to_string(&file).unwrap().starts_with("300 "));
}

fn increments_among_kills() {
    let (folder, db) = store();
    let file = folder.path().join("counter");
    fs::write(&file, "0 0").unwrap();
    let text = file.display().to_string();
    let start = || Process::start("count", &db, &[&text, "fenced", "1000000"]);
    let mut processes: Vec<Process> = (0..4).map(|_| start()).collect();
    let count = || -> u64 {
        let text = fs::read_to_string(&file).unwrap();
        text.split_once(' ').unwrap().0.parse().unwrap()
    };
    for round in 0..40 {
        let before = count();
        drop(processes.remove(round % 4));
        processes.insert(round % 4, start());
        // Whoever was killed, in the middle of whatever, the others go on.
        until("somebody gets on", || count() > before + 5);
    }
}

fn created_by_many_at_once() {
    for _ in 0..10 {
        let (_folder, db) = store();
        let start = |_| Process::start("create", &db, &[]);
        let mut processes: Vec<Process> = (0..6).map(start).collect();
        let mut tokens: Vec<String> = processes.iter_mut().map(Process::line).collect();
        processes.into_iter().for_each(Process::end);
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), 6, "{tokens:?}");
    }
}

/// Stops the writers at some moment, copies the files, and opens the copy as after
/// a restart of the machine. No token may come again, even if the log is lost.
fn copies_never_repeat_a_token() {
    let (folder, db) = store();
    let note = |n: usize| folder.path().join(format!("tokens-{n}"));
    let mut broken = 0;
    let rounds = 60;
    for round in 0..rounds {
        let boot = format!("boot {}", round / 20);
        let mut writers: Vec<Process> = (0..2)
            .map(|n| {
                let notes = note(n).display().to_string();
                Process::start("grant", &db, &[&boot, &notes, &format!("own-{n}")])
            })
            .collect();
        writers.iter_mut().for_each(|writer| {
            writer.line();
        });
        // Not the same moment each time.
        let length = 1000 + 7919 * (round % 11);
        until("some tokens are granted", || {
            let size = |n| fs::metadata(note(n)).map_or(0, |notes| notes.len());
            size(0) + size(1) > length
        });
        writers.iter().for_each(Process::stop);
        let copy = folder.path().join(format!("copy-{round}.db"));
        fs::copy(&db, &copy).unwrap();
        let with_log = round % 2 == 0;
        if with_log {
            let log = |db: &Path| PathBuf::from(format!("{}-wal", db.display()));
            fs::copy(log(&db), log(&copy)).unwrap();
        }
        let mut last: HashMap<String, u64> = HashMap::new();
        for n in 0..2 {
            for line in fs::read_to_string(note(n)).unwrap().lines() {
                let (name, token) = line.split_once(' ').unwrap();
                let token: u64 = token.parse().unwrap();
                let last = last.entry(name.to_owned()).or_default();
                *last = token.max(*last);
            }
        }
        drop(writers);
        match check_copy(&copy, &last) {
            Ok(()) => {}
            // A database file in the middle of a checkpoint, without the log that
            // completes it, may be noticed to be damaged.
            Err(Error::Damaged { .. }) if !with_log => broken += 1,
            Err(error) => panic!("round {round}: {error}"),
        }
    }
    assert!(broken < rounds / 4, "{broken} of {rounds} copies unusable");
}

fn check_copy(copy: &Path, last: &HashMap<String, u64>) -> Result<(), Error> {
    let engine = LocalEngine::open(LocalOptions::new(copy).boot_id("after"))?;
    assert!(last.len() > 20, "too little happened");
    let give_up = Instant::now() + LIMIT;
    for (name, last) in last {
        block_on(engine.break_lock(&break_request(name)))?;
        let request = request(name);
        let Acquired::Granted(granted) = ask(&engine, &request)? else {
            panic!("{name} was broken");
        };
        let token = granted.token.get();
        assert!(token > *last, "{name}: {token} after {last}");
        assert!(Instant::now() < give_up, "took too long");
    }
    Ok(())
}
