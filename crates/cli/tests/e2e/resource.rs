//! A resource that refuses a write with a token older than one it has seen, as
//! every resource behind a lease should.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::BOUND;

/// One write, as the resource judged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) token: u64,
    /// Whatever came with it.
    pub(crate) text: String,
    /// Refused if a greater token was seen before.
    pub(crate) accepted: bool,
}

/// Takes lines of a token and a text on a pipe, one at a time, and judges each.
pub(crate) struct Resource {
    writes: Receiver<Write>,
}

impl Resource {
    /// A resource that is written to by `echo "$LEASEHOLD_TOKEN text" >PATH`.
    pub(crate) fn at(path: &Path) -> Resource {
        mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe can be made");
        // Open for writing too, so that it has no end while nobody writes.
        let pipe = File::options().read(true).write(true).open(path);
        let lines = BufReader::new(pipe.expect("the pipe can be opened")).lines();
        let (sender, writes) = mpsc::channel();
        thread::spawn(move || {
            let mut newest = 0;
            for line in lines.map_while(Result::ok) {
                let (token, text) = line.split_once(' ').unwrap_or((&line, ""));
                let token = token.parse().expect("a token");
                let write = Write {
                    token,
                    text: text.to_owned(),
                    accepted: token >= newest,
                };
                newest = newest.max(token);
                if sender.send(write).is_err() {
                    return;
                }
            }
        });
        Resource { writes }
    }

    /// Waits for a write like this.
    pub(crate) fn until(&self, wanted: impl Fn(&Write) -> bool) -> Write {
        loop {
            let write = self.writes.recv_timeout(BOUND).expect("a write in time");
            if wanted(&write) {
                return write;
            }
        }
    }

    /// The writes that have come and were not looked at.
    pub(crate) fn rest(&self) -> Vec<Write> {
        self.writes.try_iter().collect()
    }
}
