//! Programs that tests and benchmarks start, and how to get them.
//!
//! On Debian and its derivatives what is missing is installed; elsewhere its names are given.

use std::env;
use std::io::{IsTerminal, stdin};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;

/// A program, and the Debian package that brings it.
pub(crate) struct Need {
    program: &'static str,
    package: &'static str,
    /// What the package starts by itself, and nobody asked for.
    service: Option<&'static str>,
}

pub(crate) const fn need(program: &'static str, package: &'static str) -> Need {
    Need {
        program,
        package,
        service: None,
    }
}

const fn server(program: &'static str, package: &'static str, service: &'static str) -> Need {
    Need {
        program,
        package,
        service: Some(service),
    }
}

/// What `cargo xtask test` needs. A new server is one line.
pub(crate) const FOR_TESTS: &[Need] = &[
    server("redis-server", "redis-server", "redis-server"),
    server("postgres", "postgresql", "postgresql"),
    server("mariadbd", "mariadb-server", "mariadb"),
    server("pgbouncer", "pgbouncer", "pgbouncer"),
    need("setpriv", "util-linux"),
];

/// What `cargo xtask bench` needs: the peers that are programs.
pub(crate) const FOR_BENCHES: &[Need] = &[
    need("flock", "util-linux"),
    server("redis-server", "redis-server", "redis-server"),
    need("redis-benchmark", "redis-tools"),
    need("python3", "python3-venv"),
];

/// What `cargo xtask faults` needs. What sets clocks is a library, found by its package.
pub(crate) const FOR_FAULTS: &[Need] = &[
    server("redis-server", "redis-server", "redis-server"),
    need("setpriv", "util-linux"),
    need("faketime", "faketime"),
];

/// What `cargo xtask peers` needs besides.
pub(crate) const FOR_PEERS: &[Need] = &[
    server("redis-server", "redis-server", "redis-server"),
    need("node", "nodejs"),
    need("npm", "npm"),
];

pub(crate) const REMEDY: &str = "install the programs by hand; the table is xtask/src/servers.rs";

/// Installs what is missing of `needs`, and says so; with nothing missing it touches nothing.
/// Tests start servers of their own, so a service that came along is stopped and stays off;
/// one that was there before is left alone.
///
/// # Errors
///
/// When something is missing and cannot be installed from here.
pub(crate) fn ensure(needs: &[Need]) -> Result<String> {
    let missing = missing(needs, |need| {
        on_path(need.program) || installed(need.package)
    });
    if missing.is_empty() {
        return Ok(format!("{} needed, none missing", needs.len()));
    }
    install(&missing)
}

/// Installs these, and says so.
///
/// # Errors
///
/// When they cannot be installed from here.
pub(crate) fn install(missing: &[&Need]) -> Result<String> {
    if !Path::new("/etc/debian_version").exists() || !on_path("apt-get") {
        bail!("{}", advice(missing));
    }
    let packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    let prefix = privilege(is_root()?, on_path("sudo"), stdin().is_terminal())
        .with_context(|| advice(missing))?;
    println!(
        "    installing Debian packages that are missing: {}",
        packages.join(" ")
    );
    for line in install_lines(prefix, &packages) {
        process::run(Command::new(line[0]).args(&line[1..]))?;
    }
    let systemd = Path::new("/run/systemd/system").exists();
    for service in missing.iter().filter_map(|need| need.service) {
        let line = stop_line(prefix, service, systemd);
        process::run(Command::new(line[0]).args(&line[1..]))?;
    }
    Ok(format!("installed {}", packages.join(" ")))
}

fn missing(needs: &[Need], present: impl Fn(&Need) -> bool) -> Vec<&Need> {
    needs.iter().filter(|need| !present(need)).collect()
}

fn advice(missing: &[&Need]) -> String {
    let programs: Vec<_> = missing.iter().map(|need| need.program).collect();
    let packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    format!(
        "these programs are needed and not on PATH: {}; install them (Debian packages: {})",
        programs.join(", "),
        packages.join(" ")
    )
}

/// The words that go before a command only root may run.
fn privilege(root: bool, sudo: bool, terminal: bool) -> Result<&'static [&'static str]> {
    match (root, sudo, terminal) {
        (true, _, _) => Ok(&[]),
        (false, true, true) => Ok(&["sudo"]),
        // Nobody is there to type a password: fail rather than wait for one.
        (false, true, false) => Ok(&["sudo", "-n"]),
        (false, false, _) => bail!("installing packages takes root, and there is no sudo"),
    }
}

/// The commands to run, one after the other.
fn install_lines<'a>(prefix: &[&'a str], packages: &[&'a str]) -> [Vec<&'a str>; 2] {
    // Set with `env`, because sudo does not pass the environment on.
    let apt = [
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "--quiet",
    ];
    let install = ["install", "--yes", "--no-install-recommends"];
    [
        [prefix, &apt, &["update"]].concat(),
        [prefix, &apt, &install, packages].concat(),
    ]
}

/// The command that stops a service, for good where there is somebody to tell.
fn stop_line<'a>(prefix: &[&'a str], service: &'a str, systemd: bool) -> Vec<&'a str> {
    match systemd {
        true => [prefix, &["systemctl", "disable", "--now", service]].concat(),
        // A container, where the package may not have started anything.
        false => [prefix, &["service", service, "stop"]].concat(),
    }
}

/// Whether a program is on PATH, or where Debian puts servers, which users' PATHs leave out.
pub(crate) fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(program).is_file())
}

/// Whether dpkg has the package: some servers (PostgreSQL) live in a folder of their own.
fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout == b"install ok installed")
}

fn is_root() -> Result<bool> {
    Ok(process::read(Command::new("id").arg("-u"))?.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: &[Need] = &[
        need("redis-server", "redis-server"),
        need("mysqld", "mariadb"),
    ];

    #[test]
    fn only_what_is_absent_is_missing() {
        let missing = missing(NEEDS, |need| need.program == "redis-server");
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0].package, "mariadb");
        assert!(advice(&missing).contains("mysqld; install them (Debian packages: mariadb)"));
    }

    #[test]
    fn root_needs_no_sudo_and_nobody_waits_for_a_password() {
        assert!(privilege(true, false, false).unwrap().is_empty());
        assert_eq!(privilege(false, true, true).unwrap(), ["sudo"]);
        assert_eq!(privilege(false, true, false).unwrap(), ["sudo", "-n"]);
        assert!(privilege(false, false, true).is_err());
    }

    #[test]
    fn packages_are_installed_after_an_update() {
        let [update, install] = install_lines(&["sudo"], &["a", "b"]);
        assert_eq!(update[0], "sudo");
        assert_eq!(update.last(), Some(&"update"));
        assert_eq!(install[install.len() - 2..], ["a", "b"]);
        assert!(install.contains(&"--yes"));
    }

    #[test]
    fn a_service_that_came_along_is_stopped() {
        assert_eq!(
            stop_line(&["sudo"], "redis-server", true),
            ["sudo", "systemctl", "disable", "--now", "redis-server"]
        );
        assert_eq!(
            stop_line(&[], "redis-server", false),
            ["service", "redis-server", "stop"]
        );
    }

    #[test]
    fn programs_are_looked_up_on_the_path() {
        assert!(on_path("sh"));
        assert!(!on_path("no-such-program-anywhere"));
        assert!(!installed("no-such-package-anywhere"));
    }

    #[test]
    fn nothing_needed_is_nothing_done() {
        assert_eq!(ensure(&[]).unwrap(), "0 needed, none missing");
    }
}
