//! Real servers for a check.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many independent Redis servers, which keep nothing on disk. Dropping it kills them; so does
/// the end of this process.
pub(super) struct Deployment {
    servers: Vec<Server>,
    folder: PathBuf,
}

struct Server {
    process: Child,
    port: u16,
}

impl Deployment {
    pub(super) fn start(count: usize) -> Result<Self> {
        let folder = env::temp_dir().join(format!("leasehold-peers-{}", std::process::id()));
        fs::create_dir_all(&folder).context("cannot make a temporary folder")?;
        let mut deployment = Self {
            servers: Vec::new(),
            folder,
        };
        for _ in 0..count {
            let server = Server::start(&deployment.folder)?;
            deployment.servers.push(server);
        }
        Ok(deployment)
    }

    pub(super) fn url(&self) -> String {
        let hosts: Vec<_> = self
            .servers
            .iter()
            .map(|server| format!("127.0.0.1:{}", server.port))
            .collect();
        format!("redis://{}", hosts.join(","))
    }

    /// Whether no server has a key.
    pub(super) fn is_empty(&self) -> Result<bool> {
        for server in &self.servers {
            if server.say("DBSIZE")? != ":0" {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        self.servers.clear();
        // What is left of it is in the system's folder for such things.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Server {
    fn start(folder: &PathBuf) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        // setpriv: nothing is left behind if this process is killed.
        let process = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "redis-server",
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .args(["--port", &port.to_string(), "--dir"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start redis-server with setpriv (util-linux)")?;
        let mut server = Self { process, port };
        let give_up = Instant::now() + PATIENCE;
        while !server.say("PING").is_ok_and(|said| said == "+PONG") {
            if Instant::now() >= give_up || server.process.try_wait()?.is_some() {
                bail!("redis-server does not start on port {port}");
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    fn say(&self, command: &str) -> Result<String> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        (&stream).write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it is dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
