//! Whom a server runs as: database servers refuse to run as root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

/// Who runs a server.
#[derive(Clone, Debug)]
pub struct Account {
    name: String,
    /// `None` for whoever runs the test.
    ids: Option<(u32, u32)>,
}

impl Account {
    /// Whoever runs the test, unless that is root: then the account that the
    /// server's package made.
    pub fn of(name: &str) -> Self {
        let ids = rustix::process::geteuid().is_root().then(|| {
            let accounts = fs::read_to_string("/etc/passwd").expect("the accounts can be read");
            let line = accounts
                .lines()
                .find(|line| line.starts_with(&format!("{name}:")))
                .unwrap_or_else(|| panic!("there is an account {name}, of the server's package"));
            let mut fields = line.split(':').skip(2);
            let mut number = || {
                let field = fields.next().expect("an account has two numbers");
                field.parse().expect("they are numbers")
            };
            (number(), number())
        });
        Self {
            name: name.to_owned(),
            ids,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives a file or folder to it.
    pub fn give(&self, path: &Path) {
        if let Some((user, group)) = self.ids {
            chown(path, Some(user), Some(group)).expect("root can give files away");
        }
    }

    /// A program to run as it, which dies with the test.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        if let Some((user, group)) = self.ids {
            command.args([
                format!("--reuid={user}"),
                format!("--regid={group}"),
                "--clear-groups".to_owned(),
            ]);
        }
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }
}

/// Starts a program that lives until it is killed or this process ends.
///
/// Whoever wants to die with its parent dies with the thread that started it, so
/// that is one which never ends.
pub fn spawn(command: Command) -> std::io::Result<Child> {
    type Order = (Command, Sender<std::io::Result<Child>>);
    static STARTER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, ordered) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, done) in ordered {
                // Whoever ordered it waits for it.
                let _ = done.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (done, started) = channel();
    let starter = starter.lock().unwrap_or_else(PoisonError::into_inner);
    starter
        .send((command, done))
        .expect("the thread never ends");
    drop(starter);
    started.recv().expect("the thread never ends")
}
