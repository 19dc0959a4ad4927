//! Starting cargo and other programs.

use std::env;
use std::ffi::OsString;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// A `cargo` command that works on one workspace.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    set_up(Command::new(program()), workspace)
}

/// The same for tests, with no signal ignored: a shell starts background jobs, and some CI
/// systems every job, with SIGINT and others ignored, which programs under test would inherit.
pub(crate) fn cargo_for_tests(workspace: &Workspace) -> Command {
    if !cfg!(target_os = "linux") {
        return cargo(workspace);
    }
    let mut command = Command::new("env");
    command
        .arg(format!("--default-signal={SIGNALS}"))
        .arg(program());
    set_up(command, workspace)
}

/// Those that tests send.
const SIGNALS: &str = "HUP,INT,QUIT,TERM,USR1,USR2,PIPE,TSTP,TTIN,TTOU,CONT";

fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn set_up(mut command: Command, workspace: &Workspace) -> Command {
    command.current_dir(&workspace.dir);
    // `cargo run` describes xtask itself in these variables. Some build scripts watch them, and
    // would run again at every change between `cargo test` and `cargo xtask test`.
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command with our own output streams, and says what it runs.
///
/// # Errors
///
/// When it cannot be started or does not succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    println!("    $ {shown}");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs a command and returns what it wrote to standard output; its messages stay visible.
///
/// # Errors
///
/// When it cannot be started, does not succeed or does not write UTF-8.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` ended with {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` did not write UTF-8"))
}

/// The command as one would type it, without the path of the program.
fn show(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut shown = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    for arg in command.get_args() {
        shown.push(' ');
        shown.push_str(&arg.to_string_lossy());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_its_status() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c exit 3` ended with exit status: 3"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = read(&mut Command::new("/no/such/folder/program")).unwrap_err();
        assert_eq!(error.to_string(), "cannot start `program`");
    }

    #[test]
    fn standard_output_is_returned() {
        let output = read(Command::new("sh").args(["-c", "echo one; echo two >&2"])).unwrap();
        assert_eq!(output, "one\n");
    }
}
