//! The servers that a measurement starts for itself.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a server may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A redis-server that keeps nothing on disk. Killed when dropped.
pub(crate) struct Server {
    home: TempDir,
    port: u16,
    process: Child,
}

impl Server {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let port = free_port()?;
        let log = File::create(home.path().join("log"))?;
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("redis-server cannot be started; it is in Debian's package redis-server")?;
        let mut server = Self {
            home,
            port,
            process,
        };
        server.wait_until_up()?;
        Ok(server)
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.process.try_wait()? {
                let said = std::fs::read_to_string(self.home.path().join("log"))?;
                bail!("redis-server ended with {status}: {said}");
            }
            if answers(self.port) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("redis-server does not answer within {PATIENCE:?}")
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// As a URL names it.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A plain connection.
    pub(crate) fn connect(&self) -> Result<redis::Connection> {
        let client = redis::Client::open(format!("redis://{}/", self.host()))?;
        Ok(client.get_connection()?)
    }

    /// A section of INFO.
    pub(crate) fn info(&self, section: &str) -> Result<String> {
        let mut connection = self.connect()?;
        Ok(redis::cmd("INFO").arg(section).query(&mut connection)?)
    }

    /// A number of INFO memory, stats and the like.
    pub(crate) fn figure(&self, section: &str, field: &str) -> Result<u64> {
        let info = self.info(section)?;
        let line = info.lines().find_map(|line| line.strip_prefix(field));
        let value = line.and_then(|rest| rest.strip_prefix(':'));
        let value = value.with_context(|| format!("INFO {section} has no {field}"))?;
        Ok(value.trim().parse()?)
    }

    /// Processor time it has used so far, in microseconds.
    pub(crate) fn cpu_micros(&self) -> Result<f64> {
        let info = self.info("cpu")?;
        let of = |field: &str| -> Result<f64> {
            let line = info.lines().find_map(|line| line.strip_prefix(field));
            let value = line.with_context(|| format!("INFO cpu has no {field}"))?;
            Ok(value.trim().parse::<f64>()? * 1e6)
        };
        Ok(of("used_cpu_user:")? + of("used_cpu_sys:")?)
    }

    /// How many keys it has.
    pub(crate) fn keys(&self) -> Result<u64> {
        Ok(redis::cmd("DBSIZE").query(&mut self.connect()?)?)
    }

    /// Stops it with SIGSTOP: its connections stay, and nothing answers.
    pub(crate) fn freeze(&self) -> Result<()> {
        Ok(kill_process(self.pid()?, Signal::STOP)?)
    }

    /// Lets it go on after a [`freeze`](Self::freeze).
    pub(crate) fn thaw(&self) -> Result<()> {
        Ok(kill_process(self.pid()?, Signal::CONT)?)
    }

    fn pid(&self) -> Result<Pid> {
        let pid = i32::try_from(self.process.id())?;
        Pid::from_raw(pid).context("a process has an id")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it is dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `n` servers.
pub(crate) fn start(n: usize) -> Result<Vec<Server>> {
    (0..n).map(|_| Server::start()).collect()
}

/// What Leasehold calls a new set of servers; `more` are further keys, as in
/// `&retention=2s`.
pub(crate) fn leasehold_url(hosts: &[String], more: &str) -> String {
    format!("redis://{}?fresh=yes{more}", hosts.join(","))
}

/// The servers as URLs name them.
pub(crate) fn hosts(servers: &[Server]) -> Vec<String> {
    servers.iter().map(Server::host).collect()
}

fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    ask().is_ok_and(|answer| &answer == b"+PONG")
}

/// A port that nobody listens on, below those given to outgoing connections: a
/// client that knocks at a closed port of that range may be connected to itself.
pub(crate) fn free_port() -> Result<u16> {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 22_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = std::process::id().wrapping_mul(7919) % u32::from(COUNT);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + u16::try_from((spread + step) % u32::from(COUNT))?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    ensure!(COUNT == 0, "no port from {FIRST} on is free");
    Ok(FIRST)
}
