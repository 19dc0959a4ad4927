//! One PostgreSQL server, started and ended by the test.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::user::spawn;
use super::{Account, free_port, until};

/// A server on 127.0.0.1 with a folder of its own. Dropping it kills it.
///
/// It does not sync its disk, which no test takes away.
pub struct Server {
    home: TempDir,
    port: u16,
    account: Account,
    process: Option<Child>,
}

/// Whoever may do everything.
const ADMIN: &str = "admin";

impl Server {
    /// Starts a server with these lines added to its configuration.
    pub fn start(lines: &[&str]) -> Self {
        let server = Self::folder();
        let made = server
            .account
            .command(program("initdb"))
            .args(["--no-sync", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"])
            .args(["-U", ADMIN, "-D"])
            .arg(server.data())
            .output()
            .expect("initdb can be started (Debian package postgresql)");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        server.up(lines)
    }

    /// Starts a standby of the server that is reached there, which copies what that
    /// writes a little later.
    pub fn standby_through(host: &str, lines: &[&str]) -> Self {
        let (_, port) = host.split_once(':').expect("a host and a port");
        let server = Self::folder();
        let made = server
            .account
            .command(program("pg_basebackup"))
            .args(["--no-sync", "--checkpoint=fast", "-R", "-X", "stream", "-D"])
            .arg(server.data())
            .args(["-d", &format!("host=127.0.0.1 port={port} user={ADMIN}")])
            .output()
            .expect("pg_basebackup can be started (Debian package postgresql)");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        server.up(lines)
    }

    fn folder() -> Self {
        let account = Account::of("postgres");
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        account.give(home.path());
        Self {
            home,
            port: free_port(),
            account,
            process: None,
        }
    }

    fn up(mut self, lines: &[&str]) -> Self {
        let mut text = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\n\
             fsync = off\nshared_buffers = 16MB\nmax_connections = 200\nlogging_collector = off\n",
            self.port,
            self.home.path().display()
        );
        for line in lines {
            text += line;
            text.push('\n');
        }
        let file = self.data().join("test.conf");
        fs::write(&file, text).expect("a file can be written");
        self.account.give(&file);
        let main = self.data().join("postgresql.conf");
        let mut settings = fs::read_to_string(&main).expect("initdb has made it");
        if !settings.contains("test.conf") {
            settings += "\ninclude 'test.conf'\n";
            fs::write(&main, settings).expect("a file can be written");
        }
        self.start_again();
        self
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// As a URL names it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of the administrator's database, with these keys.
    pub fn url(&self, keys: &str) -> String {
        url_of(&self.host(), keys)
    }

    /// The folder with the Unix socket.
    pub fn socket(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file of the server's folder anew.
    pub fn write_data(&self, name: &str, text: &str) {
        let file = self.data().join(name);
        fs::write(&file, text).expect("a file can be written");
        self.account.give(&file);
    }

    /// The same, for the server's eyes only.
    pub fn write_secret(&self, name: &str, text: &str) {
        self.write_data(name, text);
        let only = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.data().join(name), only).expect("its rights can be set");
    }

    /// Adds lines to its configuration, for its next start.
    pub fn append_settings(&self, lines: &str) {
        let file = self.data().join("test.conf");
        let text = fs::read_to_string(&file).expect("it was written before");
        self.write_data("test.conf", &(text + lines));
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Starts it again after a [`kill`](Self::kill), with what it has on disk.
    pub fn start_again(&mut self) {
        // Children of the one that was killed may take a moment to notice.
        let mut said = String::new();
        for _ in 0..100 {
            let log = self.home.path().join("log");
            let file = File::create(&log).expect("a file can be made");
            let mut command = self.account.command(program("postgres"));
            command
                .arg("-D")
                .arg(self.data())
                .stdout(file.try_clone().expect("a file can be opened twice"))
                .stderr(file);
            let process =
                spawn(command).expect("postgres can be started (Debian package postgresql)");
            self.process = Some(process);
            let mut up = false;
            until("postgres answers, or ends", || {
                let process = self.process.as_mut().expect("it was just started");
                let ended = process.try_wait().expect("a child can be asked").is_some();
                up = !ended && self.try_sql("SELECT 1").is_ok();
                up || ended
            });
            if up {
                return;
            }
            said = fs::read_to_string(&log).expect("a file can be read");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("postgres does not start: {said}")
    }

    /// Kills it and all its children with SIGKILL. It keeps its port and what it has
    /// on disk.
    pub fn kill(&mut self) {
        let children = self.processes();
        if let Some(mut process) = self.process.take() {
            // Fails only if it is dead already.
            let _ = process.kill();
            process.wait().expect("a child can be waited for");
        }
        signal(&children, Signal::KILL);
    }

    /// Kills it and starts it again.
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Stops it and all its children.
    pub fn freeze(&self) {
        signal(&self.processes(), Signal::STOP);
    }

    /// Lets it go on after a [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        signal(&self.processes(), Signal::CONT);
    }

    /// The server's processes.
    fn processes(&self) -> Vec<Pid> {
        let Some(process) = &self.process else {
            return Vec::new();
        };
        let mut found = vec![Pid::from_child(process)];
        let parent = format!("{}", process.id());
        for entry in fs::read_dir("/proc")
            .expect("the processes can be listed")
            .flatten()
        {
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            // "pid (name) state parent …"; a name may have anything in it.
            let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            if fields.split_whitespace().nth(1) == Some(&parent)
                && let Some(pid) = stat.split_whitespace().next()
                && let Some(pid) = pid.parse().ok().and_then(Pid::from_raw)
            {
                found.push(pid);
            }
        }
        found
    }

    /// Runs statements as the administrator; the rows of all of them, as text.
    #[track_caller]
    pub fn sql(&self, statements: &str) -> Vec<Vec<String>> {
        match self.try_sql(statements) {
            Ok(rows) => rows,
            Err(error) => panic!("{statements:?}: {error:?}"),
        }
    }

    pub fn try_sql(&self, statements: &str) -> Result<Vec<Vec<String>>, tokio_postgres::Error> {
        block_on(async {
            let client = self.client().await?;
            let messages = client.simple_query(statements).await?;
            let rows = messages.into_iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    let fields = (0..row.len()).map(|at| row.get(at).unwrap_or("").to_owned());
                    Some(fields.collect())
                }
                _ => None,
            });
            Ok(rows.collect())
        })
    }

    /// A connection of the administrator's, on the runtime that is entered.
    pub async fn client(&self) -> Result<Client, tokio_postgres::Error> {
        let settings = format!(
            "host=127.0.0.1 port={} user={ADMIN} dbname=postgres",
            self.port
        );
        let (client, connection) = tokio_postgres::connect(&settings, NoTls).await?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The URL of the administrator's database on this host, with these keys.
pub fn url_of(host: &str, keys: &str) -> String {
    let mark = if keys.is_empty() { "" } else { "?" };
    format!("postgres://{ADMIN}@{host}/postgres{mark}{keys}")
}

/// Runs a future on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime can be made").block_on(future)
}

fn signal(processes: &[Pid], signal: Signal) {
    for process in processes {
        // Fails only if it has ended.
        let _ = kill_process(*process, signal);
    }
}

/// A program of the server, the newest version of those installed.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> = versions
        .flatten()
        .map(|version| version.path().join("bin").join(name))
        .filter(|program| program.is_file())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| name.into())
}

/// Whether there is something to start.
pub fn version() -> String {
    let said = Command::new(program("postgres")).arg("--version").output();
    said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned())
        .unwrap_or_default()
}
