//! Why a command could not be started.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::JobSpec;

/// The command was not started; nothing of it runs.
#[derive(Debug)]
pub(crate) enum SpawnError {
    /// A signal arrived before. See [`super::signal_exit`].
    Interrupted(i32),
    /// There is no such command, or something it needs is missing.
    NotFound {
        /// The program as it was given.
        program: OsString,
        /// What is missing.
        why: Missing,
    },
    /// It is there, but could not be executed.
    NotExecutable {
        /// The program as it was given.
        program: OsString,
        /// What the system says.
        source: io::Error,
    },
}

/// What is missing when the system says "no such file".
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// No file of that path.
    File,
    /// No file of that name in any directory of `PATH`.
    InPath,
    /// The path is relative to a working directory that was removed.
    WorkingDirectory,
    /// The interpreter of a script.
    Interpreter {
        /// The script's file.
        file: PathBuf,
        /// What its first line names.
        interpreter: PathBuf,
    },
    /// The file is there: its dynamic loader is not.
    Loader {
        /// The program's file.
        file: PathBuf,
    },
}

impl SpawnError {
    pub(super) fn new(spec: &JobSpec, source: io::Error) -> SpawnError {
        let program = spec.program.clone();
        if source.kind() == io::ErrorKind::NotFound {
            let path = spec.env.iter().rev().find(|(key, _)| key == "PATH");
            let path = path.map(|(_, value)| value.clone());
            let path = path.or_else(|| std::env::var_os("PATH"));
            let why = Missing::find(&program, path.as_deref());
            SpawnError::NotFound { program, why }
        } else {
            SpawnError::NotExecutable { program, source }
        }
    }

    /// The exit code as a shell's: 127 not found, 126 not executable, 128 + n.
    pub(crate) fn code(&self) -> u8 {
        match self {
            SpawnError::Interrupted(signal) => super::JobEnd::Signaled(*signal).code(),
            SpawnError::NotFound { .. } => 127,
            SpawnError::NotExecutable { .. } => 126,
        }
    }
}

impl Missing {
    /// Finds out what was missing; `path` is the value of `PATH`.
    fn find(program: &OsStr, path: Option<&OsStr>) -> Missing {
        let direct = program.as_bytes().contains(&b'/');
        let file = if direct {
            Some(PathBuf::from(program)).filter(|file| file.exists())
        } else {
            std::env::split_paths(path.unwrap_or_default())
                .map(|directory| directory.join(program))
                .find(|file| file.is_file())
        };
        match file {
            Some(file) => match interpreter(&file) {
                Some(interpreter) => Missing::Interpreter { file, interpreter },
                None => Missing::Loader { file },
            },
            None if !direct => Missing::InPath,
            None if Path::new(program).is_relative() && std::env::current_dir().is_err() => {
                Missing::WorkingDirectory
            }
            None => Missing::File,
        }
    }
}

/// The interpreter that a script's first line names.
fn interpreter(file: &Path) -> Option<PathBuf> {
    // The kernel looks at no more of the line than this.
    let mut start = BufReader::new(File::open(file).ok()?.take(256));
    let mut line = Vec::new();
    start.read_until(b'\n', &mut line).ok()?;
    let word = line.strip_prefix(b"#!")?.trim_ascii();
    let word = word.split(|byte| matches!(byte, b' ' | b'\t')).next()?;
    (!word.is_empty()).then(|| PathBuf::from(OsString::from_vec(word.to_vec())))
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnError::Interrupted(signal) => {
                write!(f, "signal {signal} arrived before the command was started")
            }
            SpawnError::NotFound { program, why } => {
                write!(f, "cannot run \"{}\": {why}", program.display())
            }
            SpawnError::NotExecutable { program, source } => {
                write!(f, "cannot run \"{}\": {source}", program.display())?;
                if source.kind() == io::ErrorKind::PermissionDenied {
                    write!(f, "; is it an executable file (chmod +x)?")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::File => write!(f, "there is no such file; check the path"),
            Missing::InPath => write!(
                f,
                "command not found in PATH; check the name, or give a path such as ./NAME"
            ),
            Missing::WorkingDirectory => write!(
                f,
                "the working directory has been removed; change to another, or give a full path"
            ),
            Missing::Interpreter { file, interpreter } => write!(
                f,
                "\"{}\" names the interpreter \"{}\", which does not exist; check its first line",
                file.display(),
                interpreter.display()
            ),
            Missing::Loader { file } => write!(
                f,
                "\"{}\" exists, but its dynamic loader does not; is it built for this system?",
                file.display()
            ),
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SpawnError::NotExecutable { source, .. } => Some(source),
            _ => None,
        }
    }
}
