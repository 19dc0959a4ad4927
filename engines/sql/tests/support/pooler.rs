//! PgBouncer, which lends a server's session for one transaction at a time.

use std::fs;
use std::process::{Child, Stdio};

use tempfile::TempDir;

use super::user::spawn;
use super::{Account, Server, free_port, until};

/// A pooler before a server. Dropping it kills it.
pub struct Pooler {
    _home: TempDir,
    port: u16,
    process: Child,
}

impl Pooler {
    /// One with so many sessions at the server, which it lends by the transaction.
    pub fn before(server: &Server, sessions: usize) -> Self {
        let account = Account::of("postgres");
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        account.give(home.path());
        let port = free_port();
        let file = home.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             default_pool_size = {sessions}\nmax_client_conn = 500\n",
            server.port()
        );
        // With this kind of login the user of the server is named here.
        let text = text.replace("port=", "user=admin port=");
        fs::write(&file, text).expect("a file can be written");
        account.give(&file);
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"]
            .into_iter()
            .find(|program| std::path::Path::new(program).is_file())
            .unwrap_or("pgbouncer");
        let mut command = account.command(program);
        command
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = spawn(command).expect("pgbouncer can be started (Debian package pgbouncer)");
        until("pgbouncer listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self {
            _home: home,
            port,
            process,
        }
    }

    /// A URL through it, with these keys.
    pub fn url(&self, keys: &str) -> String {
        super::postgres::url_of(&format!("127.0.0.1:{}", self.port), keys)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // Fails only if it is dead already.
        let _ = self.process.kill();
        self.process.wait().expect("a child can be waited for");
    }
}
