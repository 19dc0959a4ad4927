//! An agent, as the case sees it.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use leasehold_core::{AcquireRequest, Lifetime, LockName, Nonce, Token};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::Pace;
use crate::kit::Lease;

/// Another process with a client of the store. Dropping it kills it.
pub(crate) struct Agent {
    child: Child,
    orders: ChildStdin,
    replies: Receiver<String>,
    pace: Pace,
}

impl Agent {
    pub(crate) fn start(address: &str, pace: Pace) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .env(super::ADDRESS, address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let orders = child.stdin.take().expect("its standard input is piped");
        let output = child.stdout.take().expect("its standard output is piped");
        let (sender, replies) = channel();
        // A thread, since a pipe cannot be read with a bound.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let agent = Self {
            child,
            orders,
            replies,
            pace,
        };
        assert_eq!(agent.reply(), "ready");
        agent
    }

    /// Tells it something to do.
    pub(crate) fn order(&mut self, order: impl Display) {
        writeln!(self.orders, "{order}").expect("the agent takes orders");
    }

    /// Waits for what came of the first order that was not answered yet.
    pub(crate) fn reply(&self) -> String {
        match self.replies.recv_timeout(self.pace.patience) {
            Ok(reply) => reply,
            Err(error) => panic!("no reply from the agent: {error}"),
        }
    }

    fn call(&mut self, order: impl Display) -> String {
        self.order(order);
        self.reply()
    }

    /// Acquires; the lock must be free for it.
    pub(crate) fn grant(&mut self, request: &AcquireRequest) -> Lease {
        let reply = self.call(asking("acquire", request));
        granted(request, &reply)
    }

    /// Acquires; the lock must be busy, and the request take a place in the line.
    pub(crate) fn queue(&mut self, request: &AcquireRequest) {
        assert_eq!(self.call(asking("acquire", request)), "queued");
    }

    /// Starts to wait for its turn.
    pub(crate) fn start_turn(&mut self, request: &AcquireRequest) {
        self.order(asking("turn", request));
    }

    /// Waits until its turn has come.
    pub(crate) fn end_turn(&self, request: &AcquireRequest) -> Lease {
        granted(request, &self.reply())
    }

    /// Starts to add one to a counter file so many times, under the lock.
    pub(crate) fn count(&mut self, request: &AcquireRequest, times: u32, counter: &Path) {
        self.order(format_args!(
            "{} {times} {}",
            asking("count", request),
            counter.display()
        ));
    }

    /// Starts to take and release the lock for ever; replies once, when it had the
    /// lock for the first time.
    pub(crate) fn churn(&mut self, request: &AcquireRequest) {
        self.order(asking("churn", request));
    }

    /// Extends by a TTL that outlasts the case: `extended` or `lost`.
    pub(crate) fn extend(&mut self, lease: &Lease) -> String {
        let ttl = self.pace.patience * 4;
        self.call(format_args!(
            "extend {} {} {}",
            lease.name,
            lease.nonce,
            ttl.as_millis()
        ))
    }

    /// Releases: `released` or `already lost`.
    pub(crate) fn release(&mut self, name: &LockName, nonce: Nonce) -> String {
        self.call(format_args!("release {name} {nonce}"))
    }

    /// Kills it with SIGKILL and waits until it is dead.
    pub(crate) fn kill(&mut self) {
        // Fails only if it is dead already.
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }

    /// Stops it with SIGSTOP and waits until it stands still.
    pub(crate) fn stop(&self) {
        kill_process(self.pid(), Signal::STOP).expect("a child can be stopped");
        let status = waitpid(Some(self.pid()), WaitOptions::UNTRACED)
            .expect("a child can be waited for")
            .expect("a wait without a bound ends with a status")
            .1;
        assert!(status.stopped(), "the agent ended instead of stopping");
    }

    /// Lets it go on after a [`stop`](Self::stop).
    pub(crate) fn go_on(&self) {
        kill_process(self.pid(), Signal::CONT).expect("a child can be continued");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An acquire request as an order. Names must be without spaces.
fn asking(verb: &str, request: &AcquireRequest) -> String {
    format!(
        "{verb} {} {} {} {} {} {}",
        request.name,
        request.nonce,
        request.ttl.get().as_millis(),
        request.grace.as_millis(),
        match request.lifetime {
            Lifetime::Process => "process",
            Lifetime::Detached => "detached",
        },
        request
            .queue
            .map_or_else(|| "-".to_owned(), |i| i.as_millis().to_string()),
    )
}

fn granted(request: &AcquireRequest, reply: &str) -> Lease {
    let token = reply.strip_prefix("granted ").and_then(|n| n.parse().ok());
    let token: Token = token.unwrap_or_else(|| panic!("no grant for the agent: {reply}"));
    Lease {
        name: request.name.clone(),
        nonce: request.nonce,
        token,
    }
}
