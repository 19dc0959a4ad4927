//! The real servers behind the liars.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// How many servers there are.
pub(crate) const SERVERS: usize = 3;
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Real servers, for everybody who lies. Dropping them kills them; so does the end of
/// the thread that started them.
pub(crate) struct Backends {
    servers: Vec<Server>,
}

struct Server {
    process: Child,
    port: u16,
    _home: TempDir,
}

impl Backends {
    pub(crate) fn start() -> Result<Self> {
        let servers = (0..SERVERS).map(|_| Server::start());
        Ok(Self {
            servers: servers.collect::<Result<_>>()?,
        })
    }

    pub(crate) fn address(&self, server: usize) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.servers[server].port).into()
    }

    /// Empties this database of every server.
    pub(crate) fn clear(&self, database: usize) -> Result<()> {
        for server in &self.servers {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            (&stream).write_all(format!("SELECT {database}\r\nFLUSHDB\r\n").as_bytes())?;
            let mut lines = BufReader::new(stream).lines();
            for _ in 0..2 {
                let line = lines.next().context("the server closed the connection")??;
                if line != "+OK" {
                    bail!("the server said {line}");
                }
            }
        }
        Ok(())
    }
}

impl Server {
    fn start() -> Result<Self> {
        let home = tempfile::tempdir().context("cannot make a temporary folder")?;
        // Another process may take the port in between; then the next one is tried.
        for _ in 0..5 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            let log = File::create(home.path().join("log"))?;
            let config = format!(
                "bind 127.0.0.1\nport {port}\ndir {}\nsave \"\"\n",
                home.path().display()
            );
            fs::write(home.path().join("redis.conf"), config)?;
            // setpriv: nothing is left behind if this process is killed.
            let mut process = Command::new("setpriv")
                .args(["--pdeathsig", "KILL", "redis-server"])
                .arg(home.path().join("redis.conf"))
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn()
                .context("cannot start redis-server with setpriv (Debian packages redis-server, util-linux)")?;
            if answers(&mut process, port)? {
                return Ok(Self {
                    process,
                    port,
                    _home: home,
                });
            }
            let _ = process.kill();
            process.wait()?;
        }
        let said = fs::read_to_string(home.path().join("log")).unwrap_or_default();
        bail!("redis-server does not start: {said}")
    }
}

/// Whether it came up.
fn answers(process: &mut Child, port: u16) -> Result<bool> {
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up && process.try_wait()?.is_none() {
        if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            stream.set_read_timeout(Some(PATIENCE))?;
            (&stream).write_all(b"PING\r\n")?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line)?;
            return Ok(line.starts_with("+PONG") && process.try_wait()?.is_none());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(false)
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it is dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
