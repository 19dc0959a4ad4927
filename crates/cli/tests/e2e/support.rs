//! Starting the command, and waiting for what it does.

use std::cell::OnceCell;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

/// How long an event may take before a test gives up. Far more than any takes.
pub(crate) const BOUND: Duration = Duration::from_secs(40);

/// Waits for a condition.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < BOUND, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The path of the command under test.
pub(crate) fn executable() -> &'static str {
    env!("CARGO_BIN_EXE_leasehold")
}

thread_local! {
    static HOME: OnceCell<TempDir> = const { OnceCell::new() };
}

/// The home directory of this test. Each test has a thread and so a home of its
/// own, which goes with it.
pub(crate) fn home() -> PathBuf {
    HOME.with(|home| {
        let home = home.get_or_init(|| tempfile::tempdir().expect("a temporary directory"));
        home.path().to_owned()
    })
}

/// The database that the command uses by default in this test.
pub(crate) fn database() -> PathBuf {
    home().join(".local/state/leasehold/locks.db")
}

/// Gives a command the environment of a user who has configured nothing.
pub(crate) fn fresh(command: &mut Command) -> &mut Command {
    for key in [
        "LEASEHOLD_URL",
        "LEASEHOLD_NAME",
        "LEASEHOLD_TOKEN",
        "LEASEHOLD_NONCE",
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
        "NO_COLOR",
        "CLICOLOR_FORCE",
    ] {
        command.env_remove(key);
    }
    command.env("HOME", home())
}

/// `leasehold ARGS`.
pub(crate) fn leasehold(args: &[&str]) -> Command {
    let mut command = Command::new(executable());
    fresh(&mut command).args(args).stdin(Stdio::null());
    command
}

/// `leasehold run x OPTIONS -- COMMAND`.
pub(crate) fn run(options: &[&str], command: &[&str]) -> Command {
    leasehold(&[&["run", "x"], options, &["--"], command].concat())
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Checks the exit code and returns what was printed.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Said {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Checks that standard error is one line of Leasehold's with all of these in
    /// it.
    #[track_caller]
    pub(crate) fn explains(self, parts: &[&str]) -> Said {
        assert!(self.err.starts_with("leasehold: "), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "no {part:?} in {self:?}");
        }
        self
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs a command to its end.
pub(crate) fn said(mut command: Command) -> Said {
    let output = command.output().expect("the command can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

/// Runs `leasehold ARGS` to its end.
pub(crate) fn say(args: &[&str]) -> Said {
    said(leasehold(args))
}

/// `leasehold status --json NAME`.
#[track_caller]
pub(crate) fn status(name: &str) -> serde_json::Value {
    say(&["status", "--json", name]).with_code(0).json()
}

/// A lease that nobody renews, taken as a script does.
pub(crate) struct Taken {
    pub(crate) name: String,
    pub(crate) token: u64,
    pub(crate) nonce: String,
}

/// `leasehold acquire ARGS`.
#[track_caller]
pub(crate) fn acquire(args: &[&str]) -> Taken {
    let json = say(&[&["acquire", "--json"], args].concat())
        .with_code(0)
        .json();
    let text = |key: &str| json[key].as_str().expect("a text").to_owned();
    Taken {
        name: text("name"),
        token: json["token"].as_u64().expect("a number"),
        nonce: text("nonce"),
    }
}

impl Taken {
    /// `leasehold release`.
    pub(crate) fn release(&self) -> Said {
        say(&["release", &self.name, "--nonce", &self.nonce])
    }
}

/// A directory for the files that a test makes things happen with.
pub(crate) struct Scene(TempDir);

impl Scene {
    pub(crate) fn new() -> Scene {
        Scene(tempfile::tempdir().expect("a temporary directory"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The path as text, for a command line.
    pub(crate) fn name(&self, name: &str) -> String {
        self.path(name).to_str().expect("a UTF-8 path").to_owned()
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).expect("a file can be written");
        self.name(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }
}

/// A process started by a test, killed if the test fails.
pub(crate) struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts the command with its stdout to be read by the test.
    pub(crate) fn start(mut command: Command) -> Running {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command can be started");
        let stdout = child.stdout.take().map(BufReader::new);
        Running { child, stdout }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().try_into().expect("a process id")
    }

    /// The next line of stdout; empty at its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        if let Some(stdout) = &mut self.stdout {
            stdout.read_line(&mut line).expect("stdout can be read");
        }
        line.trim_end().to_owned()
    }

    /// The next line of stdout, a process id.
    pub(crate) fn pid_line(&mut self) -> i32 {
        let line = self.line();
        line.parse()
            .unwrap_or_else(|_| panic!("not a process id: {line:?}"))
    }

    /// Takes stdout away, as lines.
    pub(crate) fn take_lines(&mut self) -> impl Iterator<Item = String> + Send + 'static {
        let stdout = self.stdout.take().expect("stdout is there");
        stdout.lines().map_while(Result::ok)
    }

    pub(crate) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        crate::process::send(self.pid(), signal);
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the command ends", || {
            status = self.child.try_wait().expect("it can be waited for");
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// What is on stderr, which the command must have been given as a pipe, once it
    /// has ended.
    pub(crate) fn stderr(&mut self) -> String {
        let pipe = self.child.stderr.take().expect("stderr is a pipe");
        std::io::read_to_string(pipe).expect("stderr can be read")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
