//! `leasehold watch`: one line for each thing that happens.

use std::io;
use std::process;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::SystemTime;

use leasehold::{LockName, LockStatus, Watch};
use pollster::block_on;
use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;

use crate::args::WatchArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::print_json;
use crate::owner;

/// One line.
#[derive(Serialize)]
struct Line<'a, T> {
    /// When it was seen, by the wall clock of this machine; for people.
    time: String,
    #[serde(flatten)]
    event: &'a T,
}

/// What `--initial` prints before the first change.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Initial<'a> {
    /// A lock as it stands.
    Present(&'a LockStatus),
    /// From here on, every change is printed.
    Watching { names: &'a [String] },
}

/// Which locks are meant.
struct Wanted {
    names: Vec<String>,
    exact: bool,
}

impl Wanted {
    fn is(&self, name: &LockName) -> bool {
        !self.exact || self.names.iter().any(|wanted| wanted == name.as_str())
    }
}

pub(super) fn watch(context: &Context, args: WatchArgs) -> Result<(), Failure> {
    let opened = context.open(owner::of_this_process("watch"))?;
    end_with_reader();
    let prefixes = widest(&args.prefixes);
    let wanted = Arc::new(Wanted {
        names: args.prefixes,
        exact: args.exact,
    });
    let mut watches = Vec::new();
    for prefix in prefixes {
        let mut watch = opened.locks.watch(&prefix);
        for status in block_on(watch.initial())? {
            if args.initial && wanted.is(&status.name) {
                print_line(&Initial::Present(&status))?;
            }
        }
        watches.push(watch);
    }
    if args.initial {
        let names = &wanted.names;
        print_line(&Initial::Watching { names })?;
    }
    let (failed, failure) = mpsc::channel();
    for watch in watches {
        let (wanted, failed) = (Arc::clone(&wanted), failed.clone());
        thread::Builder::new()
            .name("watch".into())
            .spawn(move || failed.send(follow(watch, &wanted)))
            .map_err(|error| Failure::no_threads(&error))?;
    }
    drop(failed);
    // The first failure ends the command, and with it the other threads.
    failure.recv().unwrap_or(Ok(()))
}

/// Prints what happens until that fails.
fn follow(mut watch: Watch, wanted: &Wanted) -> Result<(), Failure> {
    loop {
        let change = block_on(watch.next())?;
        if wanted.is(change.name()) {
            print_line(&change)?;
        }
    }
}

fn print_line(event: &impl Serialize) -> io::Result<()> {
    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    print_json(&Line { time, event })
}

/// The prefixes without those that another one covers, so that nothing is printed
/// twice; the empty prefix, which covers all, if there is none.
fn widest(prefixes: &[String]) -> Vec<String> {
    let mut sorted = prefixes.to_vec();
    sorted.sort();
    let mut kept: Vec<String> = Vec::new();
    for prefix in sorted {
        if !kept.last().is_some_and(|wider| prefix.starts_with(wider)) {
            kept.push(prefix);
        }
    }
    if kept.is_empty() {
        kept.push(String::new());
    }
    kept
}

/// Ends the process when nobody reads its output any more, even if nothing happens
/// that it could print.
fn end_with_reader() {
    let wait = || {
        let out = io::stdout();
        loop {
            let mut watched = [PollFd::new(&out, PollFlags::empty())];
            let polled = poll(&mut watched, None);
            if polled.is_ok()
                && watched[0]
                    .revents()
                    .intersects(PollFlags::ERR | PollFlags::HUP)
            {
                process::exit(0);
            }
        }
    };
    // Without it, the next line that cannot be printed ends the process.
    let _ = thread::Builder::new().name("reader".into()).spawn(wait);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_below_another_one_is_dropped() {
        let given = ["b/1", "a", "b", "ab", "c"].map(str::to_owned);
        assert_eq!(widest(&given), ["a", "b", "c"]);
        assert_eq!(widest(&[]), [""]);
    }
}
