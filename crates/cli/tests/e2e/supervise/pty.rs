//! A terminal, and a session that has it as its controlling terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::support::{eventually, executable, fresh};

pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_D: &str = "\x04";
pub(crate) const CTRL_Z: &str = "\x1a";

const SIZE: Winsize = Winsize {
    ws_row: 24,
    ws_col: 80,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

/// A session on a terminal of its own, and the keyboard and screen of it.
pub(crate) struct Session {
    leader: Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
    /// How much of the screen the test has looked at.
    seen: usize,
}

impl Session {
    /// Starts a program as the leader of a session. It finds the command
    /// under test as `$LEASEHOLD`.
    pub(crate) fn start(program: &[&str]) -> Session {
        let pty = openpty(Some(&SIZE), None).expect("a pseudo terminal");
        let end = || Stdio::from(pty.slave.try_clone().expect("a file"));
        let mut setsid = Command::new("setsid");
        let leader = fresh(&mut setsid)
            .arg("--ctty")
            .args(program)
            .env("LEASEHOLD", executable())
            .env("PS1", "prompt> ")
            .env("TERM", "dumb")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("setsid can be started");
        let keyboard = File::from(pty.master);
        let mut output = keyboard.try_clone().expect("a file");
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&screen);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Linux answers EIO once nobody has the terminal open any more.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                shown.lock().expect("no panic").push_str(&text);
            }
        });
        Session {
            leader,
            keyboard,
            screen,
            seen: 0,
        }
    }

    /// An interactive shell with job control, at its first prompt.
    pub(crate) fn shell() -> Session {
        let mut session = Session::start(&["bash", "--norc", "--noprofile", "-i"]);
        session.expect("prompt> ");
        session
    }

    pub(crate) fn leader(&self) -> i32 {
        self.leader.id().try_into().expect("a process id")
    }

    /// Types on the keyboard.
    pub(crate) fn type_in(&mut self, keys: &str) {
        self.keyboard
            .write_all(keys.as_bytes())
            .expect("the terminal takes keys");
    }

    /// Waits until a text is on the screen, below the last one waited for.
    pub(crate) fn expect(&mut self, text: &str) {
        let (screen, seen) = (Arc::clone(&self.screen), self.seen);
        let mut end = None;
        let shows = || {
            let screen = screen.lock().expect("no panic");
            end = screen[seen..].find(text).map(|at| seen + at + text.len());
            end.is_some()
        };
        eventually(&format!("{text:?} on the screen"), shows);
        self.seen = end.unwrap_or(seen);
    }

    /// Waits until all of the text was shown, and returns what follows it, a
    /// number.
    pub(crate) fn expect_number(&mut self, text: &str) -> i32 {
        self.expect(text);
        let start = self.seen;
        self.expect("\n");
        let number = self.text()[start..self.seen].trim().to_owned();
        number
            .parse()
            .unwrap_or_else(|_| panic!("not a number: {number:?}"))
    }

    /// Checks that the shell on the terminal is there and reads.
    pub(crate) fn answers(&mut self) {
        self.type_in("echo ans''wer=$((6 * 7))\n");
        assert_eq!(self.expect_number("answer="), 42);
    }

    /// Waits until the shell says this of a background job, which it does before a
    /// prompt. Only then does it know, and can `fg` and `bg` do what they should.
    pub(crate) fn expect_notice(&mut self, text: &str) {
        let before = self.seen;
        eventually(&format!("the shell says {text:?}"), || {
            self.answers();
            self.text()[before..].contains(text)
        });
        self.seen = before;
        self.expect(text);
    }

    /// How often a text was shown so far.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.text().matches(text).count()
    }

    /// All that was shown so far.
    fn text(&self) -> String {
        self.screen.lock().expect("no panic").clone()
    }

    /// Whether the terminal shows what is typed.
    pub(crate) fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.keyboard).expect("a terminal has modes");
        modes.local_flags.contains(LocalFlags::ECHO)
    }

    /// Waits for the leader to end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the session ends", || {
            status = self.leader.try_wait().expect("it can be waited for");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the screen: {self:?}");
        }
        let _ = self.leader.kill();
        let _ = self.leader.wait();
    }
}
