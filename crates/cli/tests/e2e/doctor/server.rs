//! A redis-server that a test starts and ends.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use crate::support::eventually;

/// A server on 127.0.0.1 with a folder of its own, which keeps nothing on disk
/// unless told to. Dropping it kills it.
pub(crate) struct Server {
    process: Child,
    port: u16,
    _home: TempDir,
}

impl Server {
    /// Starts a server with these words on its command line, as in
    /// `["--appendonly", "yes"]`, and waits until it answers.
    pub(crate) fn start(words: &[&str]) -> Server {
        for _ in 0..5 {
            // Another process may take the port first.
            if let Some(server) = Self::try_start(words) {
                return server;
            }
        }
        panic!("redis-server does not start with {words:?}")
    }

    fn try_start(words: &[&str]) -> Option<Server> {
        let home = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(home.path())
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is on PATH (Debian package redis-server)");
        let mut server = Server {
            process,
            port,
            _home: home,
        };
        let mut ended = false;
        eventually("redis-server answers, or ends", || {
            let status = server.process.try_wait().expect("a child can be asked");
            ended = status.is_some();
            ended || server.try_say("PING").is_some()
        });
        (!ended).then_some(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// As a URL names it.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Sends one command as the default user; the first line of the answer.
    #[track_caller]
    pub(crate) fn say(&self, command: &str) -> String {
        self.try_say(command).expect("the server answers")
    }

    fn try_say(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        (!line.is_empty()).then(|| line.trim_end().to_owned())
    }

    /// How many keys it has.
    pub(crate) fn keys(&self) -> String {
        self.say("DBSIZE")
    }

    /// Kills it and waits until it is dead.
    pub(crate) fn kill(&mut self) {
        // Fails only if it is dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens on, below those that the system gives to outgoing
/// connections, so that no client is ever connected to itself.
fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 22_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id().wrapping_mul(7_919) % u32::from(COUNT);
    let start = u16::try_from(start).expect("less than 22,000");
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + step) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free")
}
