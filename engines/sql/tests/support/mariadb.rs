//! One MariaDB server, started and ended by the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Child;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::postgres::block_on;
use super::user::spawn;
use super::{Account, free_port, until};

/// A server on 127.0.0.1 with a folder of its own. Dropping it kills it.
pub struct Mariadb {
    home: TempDir,
    port: u16,
    account: Account,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Mariadb {
    /// Starts a server with these arguments besides.
    pub fn start(arguments: &[&str]) -> Self {
        let account = Account::of("mysql");
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        account.give(home.path());
        let made = account
            .command("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", "--innodb-log-file-size=8M"])
            .arg(format!("--datadir={}", home.path().join("data").display()))
            .output()
            .expect("mariadb-install-db can be started (Debian package mariadb-server)");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut server = Self {
            home,
            port: free_port(),
            account,
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            process: None,
        };
        server.start_again();
        server.sql("CREATE DATABASE locks");
        server
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// As a URL names it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of a database, with these keys.
    pub fn url(&self, keys: &str) -> String {
        Self::url_of(&self.host(), keys)
    }

    pub fn url_of(host: &str, keys: &str) -> String {
        let mark = if keys.is_empty() { "" } else { "?" };
        format!("mysql://root@{host}/locks{mark}{keys}")
    }

    /// The folder with the Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.home.path().join("socket")
    }

    /// Starts it again after a [`kill`](Self::kill), with what it has on disk.
    pub fn start_again(&mut self) {
        let log = self.home.path().join("log");
        let mut said = String::new();
        for _ in 0..20 {
            let file = File::create(&log).expect("a file can be made");
            let mut command = self.account.command(program());
            command
                .args(["--no-defaults", "--bind-address=127.0.0.1"])
                .args(["--skip-name-resolve=0", "--performance-schema=OFF"])
                .args(["--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M"])
                .arg(format!("--port={}", self.port))
                .arg(format!("--socket={}", self.socket().display()))
                .arg(format!(
                    "--datadir={}",
                    self.home.path().join("data").display()
                ))
                .args(&self.arguments)
                .stdout(file.try_clone().expect("a file can be opened twice"))
                .stderr(file);
            let process =
                spawn(command).expect("mariadbd can be started (Debian package mariadb-server)");
            self.process = Some(process);
            let mut up = false;
            until("mariadbd answers, or ends", || {
                let process = self.process.as_mut().expect("it was just started");
                let ended = process.try_wait().expect("a child can be asked").is_some();
                up = !ended && self.try_sql("SELECT 1").is_ok();
                up || ended
            });
            if up {
                return;
            }
            said = fs::read_to_string(&log).expect("a file can be read");
        }
        panic!("mariadbd does not start: {said}")
    }

    /// Kills it with SIGKILL. It keeps its port and what it has on disk.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Fails only if it is dead already.
            let _ = process.kill();
            process.wait().expect("a child can be waited for");
        }
    }

    /// Kills it and starts it again.
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Stops it.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after a [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("the server is running");
        kill_process(Pid::from_child(process), signal).expect("a child can be told");
    }

    /// Runs one statement as the administrator; its rows, as text.
    #[track_caller]
    pub fn sql(&self, statement: &str) -> Vec<Vec<String>> {
        match self.try_sql(statement) {
            Ok(rows) => rows,
            Err(error) => panic!("{statement:?}: {error}"),
        }
    }

    pub fn try_sql(&self, statement: &str) -> Result<Vec<Vec<String>>, mysql_async::Error> {
        block_on(async {
            let mut conn = self.client().await?;
            let rows: Vec<Row> = conn.query(statement).await?;
            conn.disconnect().await?;
            let text = |row: Row| {
                let values = row.unwrap().into_iter();
                values
                    .map(|value| {
                        mysql_async::from_value::<Option<String>>(value).unwrap_or_default()
                    })
                    .collect()
            };
            Ok(rows.into_iter().map(text).collect())
        })
    }

    /// A connection of the administrator's.
    pub async fn client(&self) -> Result<Conn, mysql_async::Error> {
        let locks = Path::new(&self.home.path().join("data/locks")).is_dir();
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .prefer_socket(false)
            .user(Some("root"))
            .db_name(locks.then_some("locks"));
        Conn::new(options).await
    }
}

impl Drop for Mariadb {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program() -> &'static str {
    ["/usr/sbin/mariadbd", "/usr/sbin/mysqld"]
        .into_iter()
        .find(|program| Path::new(program).is_file())
        .unwrap_or("mariadbd")
}
