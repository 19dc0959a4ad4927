//! The Python packages that tests run Leasehold against, in a virtual environment of their own
//! under `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process;
use crate::servers::{self, Need};
use crate::workspace;

/// Which packages, each with its version.
const REQUIREMENTS: &str = "engines/redis/tests/python/requirements.txt";

pub(crate) const REMEDY: &str = "install python3 with venv, and see that PyPI can be reached; \
     then target/venv/bin/pip install -r engines/redis/tests/python/requirements.txt";

/// Some systems, Debian among them, leave out of Python what makes such environments.
const VENV: &[Need] = &[servers::need("python3 (with venv)", "python3-venv")];

/// Makes `target/venv` with the packages in it, and says so; if it is there with the same packages
/// it is left alone.
///
/// # Errors
///
/// When there is no Python 3 with `venv` and it cannot be installed from here, or the packages
/// cannot be had.
pub(crate) fn ensure() -> Result<String> {
    let folder = folder();
    let requirements = workspace::root_dir().join(REQUIREMENTS);
    let wanted = fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let packages = wanted.split_whitespace().collect::<Vec<_>>().join(" ");
    if is_made(&folder, &wanted) {
        return Ok(format!("target/venv has {packages}"));
    }
    if !works(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        servers::install(&VENV.iter().collect::<Vec<_>>())?;
    }
    println!("    making a virtual environment of Python with {packages} in target/venv");
    let venv = ["-m", "venv", "--clear"];
    process::run(Command::new("python3").args(venv).arg(&folder))?;
    let install = [
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
    ];
    let mut pip = Command::new(interpreter(&folder));
    process::run(pip.args(install).arg("--requirement").arg(&requirements))?;
    fs::write(stamp(&folder), &wanted).context("cannot write to target/venv")?;
    Ok(format!("made target/venv with {packages}"))
}

/// Where tests look for it, whatever cargo's target directory is.
fn folder() -> PathBuf {
    workspace::root_dir().join("target/venv")
}

fn interpreter(folder: &Path) -> PathBuf {
    folder.join("bin/python")
}

/// Written when all packages are in place.
fn stamp(folder: &Path) -> PathBuf {
    folder.join("requirements.txt")
}

/// Whether it has these packages, and its interpreter was not removed since.
fn is_made(folder: &Path, wanted: &str) -> bool {
    let has = fs::read_to_string(stamp(folder));
    has.is_ok_and(|has| has == wanted) && works(Command::new(interpreter(folder)).arg("--version"))
}

fn works(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_counts_when_it_has_the_packages_and_runs() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_made(dir.path(), "a==1\n"), "nothing is there");
        fs::write(stamp(dir.path()), "a==1\n").unwrap();
        assert!(!is_made(dir.path(), "a==1\n"), "its interpreter is gone");
        fs::create_dir(dir.path().join("bin")).unwrap();
        std::os::unix::fs::symlink("/bin/true", interpreter(dir.path())).unwrap();
        assert!(is_made(dir.path(), "a==1\n"));
        assert!(!is_made(dir.path(), "a==2\n"), "another version is wanted");
    }

    #[test]
    fn every_package_has_its_version() {
        let wanted = fs::read_to_string(workspace::root_dir().join(REQUIREMENTS)).unwrap();
        assert!(wanted.lines().count() > 0);
        for line in wanted.lines() {
            assert!(line.contains("=="), "{line}");
        }
    }
}
