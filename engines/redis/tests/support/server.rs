//! One redis-server, started and ended by the test.
//!
//! `LEASEHOLD_REDIS_SERVER` names another program to start: `valkey-server`, or one
//! of another version by its path.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use redis::{Connection, FromRedisValue};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;

use super::until;

/// A server on 127.0.0.1 with a folder of its own. Dropping it kills it.
///
/// Unless its configuration says otherwise it keeps nothing on disk.
pub struct Server {
    home: TempDir,
    port: u16,
    kind: Kind,
    process: Option<Child>,
}

/// What the program is started as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Store,
    Sentinel,
}

impl Server {
    /// Starts a server with these lines added to its configuration, and waits
    /// until it answers.
    pub fn start(lines: &[&str]) -> Self {
        Self::start_as(Kind::Store, lines)
    }

    /// Starts a sentinel with these lines added to its configuration, and waits
    /// until it answers.
    pub fn sentinel(lines: &[&str]) -> Self {
        Self::start_as(Kind::Sentinel, lines)
    }

    fn start_as(kind: Kind, lines: &[&str]) -> Self {
        let mut said = String::new();
        for _ in 0..5 {
            let mut server = Self {
                home: tempfile::tempdir().expect("a temporary folder can be made"),
                port: free_port(),
                kind,
                process: None,
            };
            server.configure(lines);
            // Another process may have taken the port in between.
            if server.try_start() {
                return server;
            }
            said = fs::read_to_string(server.file("log")).expect("a file can be read");
        }
        panic!("redis-server does not start: {said}")
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// As a URL names it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn configure(&self, lines: &[&str]) {
        let dir = self.home.path().display();
        let port = self.port;
        let mut text = format!("bind 127.0.0.1\nport {port}\ndir {dir}\n");
        if self.kind == Kind::Store {
            text += "save \"\"\nappendonly no\n";
        }
        for line in lines {
            text += line;
            text.push('\n');
        }
        fs::write(self.home.path().join("redis.conf"), text).expect("a file can be written");
    }

    /// Kills it with SIGKILL and waits until it is dead. It keeps its port and
    /// what it has on disk.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Fails only if it is dead already.
            let _ = process.kill();
            process.wait().expect("a child can be waited for");
        }
    }

    /// Starts it again after a [`kill`](Self::kill), with what it has on disk.
    pub fn start_again(&mut self) {
        assert!(self.try_start(), "redis-server does not start again");
    }

    /// Kills it and starts it again with what it has on disk.
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Kills it and starts it again with nothing.
    pub fn restart_empty(&mut self) {
        self.kill();
        for entry in fs::read_dir(self.home.path()).expect("its folder can be read") {
            let path = entry.expect("its folder can be read").path();
            if path.is_dir() {
                fs::remove_dir_all(path).expect("a folder can be removed");
            } else if path.extension().is_some_and(|kind| kind == "rdb") {
                fs::remove_file(path).expect("a file can be removed");
            }
        }
        self.start_again();
    }

    /// Stops it with SIGSTOP and waits until it stands still.
    pub fn freeze(&self) {
        kill_process(self.pid(), Signal::STOP).expect("a child can be stopped");
        let status = waitpid(Some(self.pid()), WaitOptions::UNTRACED)
            .expect("a child can be waited for")
            .expect("a wait without a bound ends with a status")
            .1;
        assert!(status.stopped(), "redis-server ended instead of stopping");
    }

    /// Lets it go on after a [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        kill_process(self.pid(), Signal::CONT).expect("a child can be continued");
    }

    /// A plain connection to database 0, as the default user.
    pub fn connect(&self) -> Connection {
        let client = redis::Client::open(format!("redis://{}/", self.host()))
            .expect("the URL of a server is one");
        // It hangs up on everybody when its role changes.
        let mut connected = None;
        until("the server takes connections", || {
            connected = client.get_connection().ok();
            connected.is_some()
        });
        let connection = connected.expect("it is there by now");
        connection
            .set_read_timeout(Some(super::LIMIT))
            .expect("a timeout can be set");
        connection
    }

    /// Sends one command on a connection of its own.
    #[track_caller]
    pub fn call<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        match command.query(&mut self.connect()) {
            Ok(answer) => answer,
            Err(error) => panic!("{words:?} on {}: {error}", self.host()),
        }
    }

    /// Whether it has this key.
    pub fn has(&self, key: &str) -> bool {
        self.call(&["EXISTS", key])
    }

    /// Every key it has.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.call(&["KEYS", "*"]);
        keys.sort();
        keys
    }

    /// Its port for TLS, if it has one.
    pub fn tls_port(&self) -> Option<String> {
        let lines = fs::read_to_string(self.file("redis.conf")).expect("a file can be read");
        let port = lines
            .lines()
            .find_map(|line| line.strip_prefix("tls-port "));
        port.map(str::to_owned)
    }

    /// Whether it was started and not killed.
    pub const fn is_up(&self) -> bool {
        self.process.is_some()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.process.as_ref().expect("the server is running"))
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::join(self.home.path(), name)
    }

    /// Whether it came up; it does not if its port is taken.
    fn try_start(&mut self) -> bool {
        let log = File::create(self.file("log")).expect("a file can be made");
        let sentinel = (self.kind == Kind::Sentinel).then_some("--sentinel");
        let process = Command::new(program())
            .arg(self.file("redis.conf"))
            .args(sentinel)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be opened twice"))
            .stderr(log)
            .spawn()
            .expect(
                "redis-server is on PATH (Debian package redis-server), or LEASEHOLD_REDIS_SERVER",
            );
        self.process = Some(process);
        let mut up = false;
        until("redis-server answers, or ends", || {
            let process = self.process.as_mut().expect("it was just started");
            let ended = process.try_wait().expect("a child can be asked").is_some();
            // Its port may be somebody else's if it ended.
            up = !ended && answers(self.port);
            up || ended
        });
        if !up {
            self.kill();
        }
        up
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The server to test with.
fn program() -> OsString {
    env::var_os("LEASEHOLD_REDIS_SERVER").unwrap_or_else(|| "redis-server".into())
}

/// Whether a server answers there and has loaded its data. That it wants a
/// password is an answer.
fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok::<_, std::io::Error>(line)
    };
    ask().is_ok_and(|line| line.starts_with("+PONG") || line.starts_with("-NO"))
}

/// A port that nobody listens on, below those that the system gives to outgoing
/// connections: a client that knocks again and again at a port of that range
/// while its server is away may be given the very port as its own, and be
/// connected to itself.
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const LAST: u16 = 32_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = std::process::id().wrapping_mul(7919) % u32::from(LAST - FIRST);
    let start = u16::try_from(spread).expect("less than 22,000");
    for _ in FIRST..LAST {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % (LAST - FIRST);
        let port = FIRST + (start + step) % (LAST - FIRST);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port between {FIRST} and {LAST} is free")
}
