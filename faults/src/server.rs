//! One redis-server, started, broken and ended here.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a server may take to start or to end.
const LIMIT: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);

/// Ignores the signal for files that grew too large, so that the write fails instead,
/// as on a full disk; then becomes the program that is named after it.
const SHELL: &str = "trap '' XFSZ; exec \"$@\"";

/// A server on 127.0.0.1 with a folder of its own. Dropping it kills it; it dies with
/// the thread that started it, too.
#[derive(Debug)]
pub struct Server {
    home: TempDir,
    port: u16,
    durable: bool,
    /// The libraries to load before its own that show it another time than there is.
    faketime: Option<String>,
    process: Option<Child>,
    started: Instant,
    /// Seconds off the true time, and rate.
    clock: (f64, f64),
}

impl Server {
    /// Starts a server that keeps nothing on disk, or everything (`appendfsync
    /// always`), and waits until it answers. With `faketime` its clock can be set.
    ///
    /// # Errors
    ///
    /// If it cannot be started, with what it said.
    pub fn start(durable: bool, faketime: Option<String>) -> Result<Self> {
        let mut said = String::new();
        for _ in 0..5 {
            let mut server = Self {
                home: tempfile::tempdir()?,
                port: free_port()?,
                durable,
                faketime: faketime.clone(),
                process: None,
                started: Instant::now(),
                clock: (0.0, 1.0),
            };
            server.configure()?;
            match server.start_again() {
                Ok(()) => return Ok(server),
                Err(error) if server.is_running() => return Err(error),
                // Another process may have taken the port in between.
                Err(error) => said = format!("{error:#}"),
            }
        }
        bail!("redis-server does not start: {said}")
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    fn configure(&self) -> Result<()> {
        let dir = self.home.path().display();
        let port = self.port;
        let mut text = format!("bind 127.0.0.1\nport {port}\ndir {dir}\nsave \"\"\n");
        text += match self.durable {
            true => "appendonly yes\nappendfsync always\n",
            false => "appendonly no\n",
        };
        fs::write(self.path("redis.conf"), text)?;
        Ok(())
    }

    /// Kills it with SIGKILL and waits until it is dead. It keeps its port and what
    /// it has on disk.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Both fail only if it is dead already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again with what it has on disk, unless it runs.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub fn start_again(&mut self) -> Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "sh", "-c", SHELL, "sh"]);
        if let Some(libraries) = &self.faketime {
            let clock = self.path("clock");
            command
                .arg("env")
                .arg(format!("LD_PRELOAD={libraries}"))
                .arg(format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()))
                .args(["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"]);
        }
        command
            .arg("redis-server")
            .arg(self.path("redis.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.started = Instant::now();
        self.write_clock()?;
        let process = command
            .spawn()
            .context("cannot start setpriv, which starts redis-server (Debian: util-linux)")?;
        self.process = Some(process);
        let started = Instant::now();
        while started.elapsed() < LIMIT {
            if !self.is_running() {
                let log = fs::read_to_string(self.path("log")).unwrap_or_default();
                let last: Vec<_> = log.lines().rev().take(5).collect();
                bail!("it ended: {}", last.join(" / "));
            }
            if self
                .call("PING")
                .is_ok_and(|answer| answer.starts_with("+PONG"))
            {
                return Ok(());
            }
            thread::sleep(STEP);
        }
        bail!("it does not answer within {LIMIT:?}")
    }

    /// Whether its process is there, stopped or not.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// Stops it with SIGSTOP.
    ///
    /// # Errors
    ///
    /// If it is not running.
    pub fn freeze(&self) -> Result<()> {
        Ok(kill_process(self.pid()?, Signal::STOP)?)
    }

    /// Lets it go on after a [`freeze`](Self::freeze).
    ///
    /// # Errors
    ///
    /// If it is not running.
    pub fn thaw(&self) -> Result<()> {
        Ok(kill_process(self.pid()?, Signal::CONT)?)
    }

    /// Forgets everything it has.
    ///
    /// # Errors
    ///
    /// If it does not do so.
    pub fn flush(&self) -> Result<()> {
        let answer = self.call("FLUSHALL")?;
        if !answer.starts_with("+OK") {
            bail!("FLUSHALL was answered with {answer}");
        }
        Ok(())
    }

    /// Sets its clock to so many seconds off the true time, and lets it go on from
    /// there at this rate. No effect on a server that was started without libfaketime.
    ///
    /// # Errors
    ///
    /// If the file that it reads cannot be written.
    pub fn set_clock(&mut self, step: f64, rate: f64) -> Result<()> {
        self.clock = (step, rate);
        self.write_clock()
    }

    fn write_clock(&self) -> Result<()> {
        let (step, rate) = self.clock;
        // It applies a rate to all the time since the process started, which would be
        // a step; and it keeps an earlier rate if none is named.
        let run = self.started.elapsed().as_secs_f64();
        let offset = step - run * (rate - 1.0);
        // In one step, so that it never reads half of it.
        fs::write(self.path("clock.new"), format!("{offset:+.3} x{rate}\n"))?;
        fs::rename(self.path("clock.new"), self.path("clock"))?;
        Ok(())
    }

    /// Lets none of its files grow any more, as a full disk would, until it is started
    /// again.
    ///
    /// # Errors
    ///
    /// If it is not running, or the system refuses.
    pub fn fill_disk(&self) -> Result<()> {
        let largest = largest_file(self.home.path())?;
        limit_files(self.pid()?, largest.max(1))
    }

    fn pid(&self) -> Result<Pid> {
        let process = self.process.as_ref().context("the server is not running")?;
        Ok(Pid::from_child(process))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The first line of the answer to a command without arguments.
    fn call(&self, command: &str) -> Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How large the files of a process may grow, in bytes.
#[cfg(target_os = "linux")]
fn limit_files(of: Pid, bytes: u64) -> Result<()> {
    use rustix::process::{Resource, Rlimit, prlimit};
    let limit = Rlimit {
        current: Some(bytes),
        maximum: None,
    };
    prlimit(Some(of), Resource::Fsize, limit)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn limit_files(_: Pid, _: u64) -> Result<()> {
    bail!("the limits of another process can be set on Linux only")
}

fn largest_file(dir: &Path) -> Result<u64> {
    let mut largest = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let data = entry.metadata()?;
        let size = if data.is_dir() {
            largest_file(&entry.path())?
        } else {
            data.len()
        };
        // Its log is not what fills up.
        if entry.file_name() != "log" {
            largest = largest.max(size);
        }
    }
    Ok(largest)
}

/// A port that nobody listens on, below those that the system gives to outgoing
/// connections, so that no client that knocks there is connected to itself.
pub(crate) fn free_port() -> Result<u16> {
    const FIRST: u16 = 10_000;
    const LAST: u16 = 32_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = std::process::id().wrapping_mul(6_367) % u32::from(LAST - FIRST);
    let start = u16::try_from(spread)?;
    for _ in FIRST..LAST {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % (LAST - FIRST);
        let port = FIRST + (start + step) % (LAST - FIRST);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port between {FIRST} and {LAST} is free")
}
