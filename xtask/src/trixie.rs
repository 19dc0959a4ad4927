//! Servers newer than the system's own, to run the tests against: those of Debian 13 (trixie).
//!
//! Their packages are fetched with apt, which checks their signatures, and unpacked under
//! `target/servers/`; nothing is installed. They come with the C library they were built for, and
//! are started by its own loader.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::servers;
use crate::workspace;

/// A server of trixie.
#[derive(Debug)]
pub(crate) struct Server {
    /// As `--servers` names it.
    pub(crate) name: &'static str,
    program: &'static str,
    packages: &'static [&'static str],
}

/// Every server there is.
const SERVERS: &[Server] = &[
    Server {
        name: "redis8",
        program: "redis-server",
        packages: &["redis-server", "redis-tools"],
    },
    Server {
        name: "valkey8",
        program: "valkey-server",
        packages: &["valkey-server", "valkey-tools"],
    },
];

/// What they are linked with, down to the C library.
const LIBRARIES: &[&str] = &[
    "libatomic1",
    "libc6",
    "libcap2",
    "libgcc-s1",
    "libjemalloc2",
    "liblzf1",
    "libssl3t64",
    "libstdc++6",
    "libsystemd0",
    "libzstd1",
    "zlib1g",
];

/// Debian's keys, in the package debian-archive-keyring.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

impl Server {
    /// The server of that name.
    ///
    /// # Errors
    ///
    /// Lists the names there are.
    pub(crate) fn named(name: &str) -> Result<&'static Self> {
        let names: Vec<_> = SERVERS.iter().map(|server| server.name).collect();
        let found = SERVERS.iter().find(|server| server.name == name);
        found.with_context(|| {
            format!(
                "no server is called `{name}`; there are {}",
                names.join(", ")
            )
        })
    }

    /// Fetches it unless it is there, and tells where its program is.
    ///
    /// # Errors
    ///
    /// When this is no Debian with the keys of trixie, or the packages cannot be had.
    pub(crate) fn ensure(&self) -> Result<PathBuf> {
        let home = workspace::root_dir().join("target/servers").join(self.name);
        let start = home.join(self.program);
        if version(&start).is_err() {
            self.fetch(&home)?;
            version(&start)?;
        }
        Ok(start)
    }

    fn fetch(&self, home: &Path) -> Result<()> {
        if !servers::on_path("apt-get") || !servers::on_path("dpkg") || !Path::new(KEYS).exists() {
            bail!(
                "fetching {} takes apt-get, dpkg and {KEYS} of Debian 12 or later",
                self.name
            );
        }
        println!(
            "    fetching {} of Debian trixie into {}",
            self.name,
            home.display()
        );
        // What an earlier attempt left behind may be half of it.
        if home.exists() {
            fs::remove_dir_all(home)?;
        }
        let (debs, root) = (home.join("debs"), home.join("root"));
        for folder in [
            "apt/lists/partial",
            "apt/cache/archives/partial",
            "debs",
            "root",
        ] {
            fs::create_dir_all(home.join(folder))?;
        }
        fs::write(home.join("apt/sources.list"), sources())?;
        let apt = |verb: &[&str]| {
            let mut apt = Command::new("apt-get");
            apt.current_dir(&debs).args(apt_options(home)).args(verb);
            apt
        };
        process::run(apt(&["update"]).arg("--quiet=2"))?;
        let download = [&["--quiet=2", "download"], LIBRARIES, self.packages].concat();
        process::run(&mut apt(&download))?;
        for entry in fs::read_dir(&debs)? {
            process::read(Command::new("dpkg").arg("-x").arg(entry?.path()).arg(&root))?;
        }
        let script = script(&root, self.program)?;
        let start = home.join(self.program);
        fs::write(&start, script)?;
        fs::set_permissions(&start, Permissions::from_mode(0o755))?;
        fs::remove_dir_all(debs)?;
        Ok(fs::remove_dir_all(home.join("apt"))?)
    }
}

/// The version that a server's program tells.
pub(crate) fn version(program: &Path) -> Result<String> {
    let said = process::read(Command::new(program).arg("--version"))?;
    Ok(said.trim().to_owned())
}

fn sources() -> String {
    let main = format!("deb [signed-by={KEYS}] http://deb.debian.org");
    format!("{main}/debian trixie main\n{main}/debian-security trixie-security main\n")
}

/// Keeps apt away from the system's own lists, packages and sources.
fn apt_options(home: &Path) -> Vec<String> {
    let apt = home.join("apt");
    let apt = apt.display();
    [
        format!("Dir::Etc::sourcelist={apt}/sources.list"),
        "Dir::Etc::sourceparts=-".to_owned(),
        format!("Dir::State::Lists={apt}/lists"),
        format!("Dir::Cache={apt}/cache"),
        "Dir::State::status=/dev/null".to_owned(),
        // Its own user could not write here.
        "APT::Sandbox::User=root".to_owned(),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect()
}

/// Starts the program with the loader and the libraries that came with it. The program looks at
/// the name it is called by, so its link is named, not what the link points to.
fn script(root: &Path, program: &str) -> Result<String> {
    let loader = find(root, "ld-linux-")?;
    let libraries = find(root, "libc.so.6")?;
    let libraries = libraries.parent().unwrap_or(root);
    Ok(format!(
        "#!/bin/sh\nexec '{}' --inhibit-cache --library-path '{}' '{}' \"$@\"\n",
        loader.display(),
        libraries.display(),
        root.join("usr/bin").join(program).display()
    ))
}

/// The file whose name begins so, in a folder of libraries: `usr/lib/ARCHITECTURE`.
fn find(root: &Path, name: &str) -> Result<PathBuf> {
    for folder in fs::read_dir(root.join("usr/lib"))? {
        let Ok(files) = fs::read_dir(folder?.path()) else {
            continue;
        };
        for file in files {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with(name) {
                return Ok(file.path());
            }
        }
    }
    bail!("no {name} came with the packages; add its package to xtask/src/trixie.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_known_by_name() {
        assert_eq!(Server::named("valkey8").unwrap().program, "valkey-server");
        let error = Server::named("redis3").unwrap_err().to_string();
        assert!(error.contains("redis8, valkey8"), "{error}");
    }

    #[test]
    fn the_systems_own_lists_are_left_alone() {
        let options = apt_options(Path::new("/h")).join(" ");
        for option in [
            "Dir::State::Lists=/h/apt/lists",
            "sourceparts=-",
            "Dir::Cache=/h/",
        ] {
            assert!(options.contains(option), "{options}");
        }
    }

    #[test]
    fn a_program_is_started_with_what_came_with_it() {
        let root = tempfile::tempdir().unwrap();
        assert!(script(root.path(), "server").is_err());
        let libraries = root.path().join("usr/lib/some-linux-gnu");
        fs::create_dir_all(&libraries).unwrap();
        let missing = script(root.path(), "server").unwrap_err().to_string();
        assert!(missing.contains("ld-linux-"), "{missing}");
        fs::write(libraries.join("ld-linux-some.so.2"), "").unwrap();
        fs::write(libraries.join("libc.so.6"), "").unwrap();
        let script = script(root.path(), "server").unwrap();
        let libraries = libraries.display();
        assert!(script.contains(&format!(
            "exec '{libraries}/ld-linux-some.so.2' --inhibit-cache --library-path '{libraries}' "
        )));
        assert!(script.ends_with("usr/bin/server' \"$@\"\n"), "{script}");
    }
}
