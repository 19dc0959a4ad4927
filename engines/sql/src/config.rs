//! Where the server is, and the settings of the engine.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use leasehold_core::{EngineUrl, Error};
use percent_encoding::percent_decode_str;

use crate::fence::{Dialect, quoted};

/// The table of locks unless the URL says otherwise.
const TABLE: &str = "leasehold";
/// How long a request may take unless the URL says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often a waiter asks that is not woken, unless the URL says otherwise.
const POLL: Duration = Duration::from_millis(250);
/// How many connections carry requests unless the URL says otherwise.
const CONNECTIONS: usize = 4;

/// Settings of a [`SqlEngine`](crate::SqlEngine).
///
/// Clients that share locks must name the same database and table; their other
/// settings may differ.
#[derive(Clone)]
pub struct SqlOptions {
    pub(crate) dialect: Dialect,
    /// Tried in turn; more than one only where the first that takes writes is wanted.
    pub(crate) hosts: Vec<(Host, u16)>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: Option<String>,
    /// `None` for a connection in the clear.
    pub(crate) tls: Option<Tls>,
    /// In quotes, with its schema if it has one.
    pub(crate) table: String,
    pub(crate) timeout: Duration,
    pub(crate) poll: Duration,
    /// Whether to try for wake-ups.
    pub(crate) listen: bool,
    /// Whether a release may be answered before it is safe from a crash.
    pub(crate) lazy_release: bool,
    pub(crate) connections: usize,
}

/// Where one server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Tcp(String),
    /// A folder with the server's socket, or the socket itself.
    Unix(PathBuf),
}

/// How the server is told from impostors, and we from others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// Without the password.
impl fmt::Debug for SqlOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlOptions")
            .field("dialect", &self.dialect)
            .field("hosts", &self.hosts)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("tls", &self.tls)
            .field("table", &self.table)
            .field("timeout", &self.timeout)
            .field("poll", &self.poll)
            .field("listen", &self.listen)
            .field("lazy_release", &self.lazy_release)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

impl SqlOptions {
    /// The database that a URL names:
    ///
    /// * `postgres://[user[:password]@]host[:port][,host[:port]…][/database]`, also
    ///   `postgresql://`; with several hosts, the first that takes writes
    /// * `postgres:///database?host=/run/postgresql` for a Unix socket
    /// * `mysql://[user[:password]@]host[:port][,host[:port]…]/database`, also
    ///   `mariadb://`; `mysql:///database?socket=/run/mysqld/mysqld.sock`
    ///
    /// Keys: `table` (`leasehold`), `schema` (the session's), `timeout` (5s: how
    /// long a request may take), `wake=auto` or `wake=poll` (whether to try for
    /// wake-ups), `poll` (250ms: how often a waiter asks that is not woken),
    /// `connections` (4: how many carry requests at most; one more listens),
    /// `release=durable` or `release=lazy` (whether a release waits for the disk;
    /// a crash of the server may bring back a lazy one until its TTL is over),
    /// `sslmode=disable` or `sslmode=verify-full` (`require` is taken as the latter)
    /// with `ca`, `cert` and `key` for files in PEM format. Without a password in the
    /// URL, `PGPASSWORD` or `MYSQL_PWD` is used. `wake` and `release` are keys
    /// of PostgreSQL alone: MySQL has no wake-ups, and its releases are durable.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for another scheme, an unknown key or a bad value. No error
    /// shows a password.
    pub fn from_url(mut url: EngineUrl) -> Result<Self, Error> {
        let dialect = match url.scheme() {
            "postgres" | "postgresql" => Dialect::Postgres,
            "mysql" | "mariadb" => Dialect::Mysql,
            other => {
                return Err(Error::invalid(
                    "url",
                    format!("{other}:"),
                    "this is the SQL engine; begin with postgres:// or mysql://, as in postgres://db.example/app",
                ));
            }
        };
        let place = Place::parse(&mut url, dialect)?;
        let tls = take_tls(&mut url)?;
        let table = url.take("table").unwrap_or_else(|| TABLE.to_owned());
        let table = match url.take("schema") {
            Some(schema) => format!("{schema}.{table}"),
            None => table,
        };
        let (polls, lazy_release) = match dialect {
            Dialect::Postgres => (
                take_word(&mut url, "wake", ["auto", "poll"])?,
                take_word(&mut url, "release", ["durable", "lazy"])?,
            ),
            Dialect::Mysql => (true, false),
        };
        let options = Self {
            dialect,
            hosts: place.hosts,
            user: place.user,
            password: place.password.or_else(|| password_around(dialect)),
            database: place.database,
            tls,
            table: quoted(&table, dialect)?,
            timeout: take_length(&mut url, "timeout", TIMEOUT)?,
            poll: take_length(&mut url, "poll", POLL)?,
            listen: !polls,
            lazy_release,
            connections: take_connections(&mut url)?,
        };
        url.finish()?;
        Ok(options)
    }

    /// The kind of engine, as in the URL.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.dialect {
            Dialect::Postgres => "postgres",
            Dialect::Mysql => "mysql",
        }
    }

    /// The servers, for people.
    pub(crate) fn place(&self) -> String {
        let all = self.hosts.iter().map(|(host, port)| match host {
            Host::Tcp(host) if host.contains(':') => format!("[{host}]:{port}"),
            Host::Tcp(host) => format!("{host}:{port}"),
            Host::Unix(path) => path.display().to_string(),
        });
        all.collect::<Vec<_>>().join(",")
    }
}

/// What the body of a URL says.
struct Place {
    hosts: Vec<(Host, u16)>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
}

impl Place {
    fn parse(url: &mut EngineUrl, dialect: Dialect) -> Result<Self, Error> {
        let (scheme, key, usual) = match dialect {
            Dialect::Postgres => ("postgres", "host", 5432),
            Dialect::Mysql => ("mysql", "socket", 3306),
        };
        let socket = url.take(key);
        let Some(rest) = url.body().strip_prefix("//") else {
            return Err(Error::invalid(
                "url",
                format!("{scheme}:"),
                format!("put // and the server behind the colon, as in {scheme}://db.example/app"),
            ));
        };
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (login, rest),
            None => ("", rest),
        };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
        let full = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Self {
            hosts: parse_hosts(scheme, hosts, socket, usual)?,
            user: full(decode("user", user)?),
            password: full(decode("password", password)?),
            database: full(decode("database", database)?),
        })
    }
}

fn parse_hosts(
    scheme: &str,
    hosts: &str,
    socket: Option<String>,
    usual: u16,
) -> Result<Vec<(Host, u16)>, Error> {
    match socket {
        Some(socket) if !socket.starts_with('/') => Err(Error::invalid(
            "socket",
            socket,
            "give an absolute path, as in /run/postgresql or /run/mysqld/mysqld.sock; a name goes before the database",
        )),
        Some(socket) => {
            let port = match hosts.strip_prefix(':') {
                Some(port) => parse_port(port)?,
                None if hosts.is_empty() => usual,
                None => {
                    return Err(Error::invalid(
                        "url",
                        hosts,
                        "name a server or a socket, not both",
                    ));
                }
            };
            Ok(vec![(Host::Unix(socket.into()), port)])
        }
        None => hosts
            .split(',')
            .map(|host| parse_host(scheme, host, usual))
            .collect(),
    }
}

fn parse_host(scheme: &str, text: &str, usual: u16) -> Result<(Host, u16), Error> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err(Error::invalid(
            "server",
            text,
            format!("name a host, as in {scheme}://db.example:{usual}/app"),
        ));
    }
    let port = port.map_or(Ok(usual), parse_port)?;
    Ok((Host::Tcp(decode("server", host)?), port))
}

fn parse_port(text: &str) -> Result<u16, Error> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Error::invalid(
            "port",
            text,
            "give a port from 1 to 65535 behind the host, as in db.example:5433",
        )),
    }
}

fn take_tls(url: &mut EngineUrl) -> Result<Option<Tls>, Error> {
    let mode = url.take("sslmode");
    let mut path = |key| url.take(key).map(PathBuf::from);
    let tls = Tls {
        ca: path("ca"),
        cert: path("cert"),
        key: path("key"),
    };
    if tls.cert.is_some() != tls.key.is_some() {
        return Err(Error::invalid(
            "cert",
            "one of cert and key",
            "give both cert and key, the client's certificate and its private key, or neither",
        ));
    }
    let files = tls.ca.is_some() || tls.cert.is_some();
    match mode.as_deref() {
        Some("disable") if files => Err(Error::invalid(
            "sslmode",
            "disable",
            "leave out ca, cert and key, or write sslmode=verify-full",
        )),
        Some("require" | "verify-full") => Ok(Some(tls)),
        None if files => Ok(Some(tls)),
        None | Some("disable") => Ok(None),
        Some(other) => Err(Error::invalid(
            "sslmode",
            other,
            "write sslmode=disable, or sslmode=verify-full to have the server's certificate checked",
        )),
    }
}

fn take_length(url: &mut EngineUrl, key: &'static str, usual: Duration) -> Result<Duration, Error> {
    let length = url.take_duration(key)?.unwrap_or(usual);
    if length < Duration::from_millis(1) || length > Duration::from_secs(3600) {
        return Err(Error::invalid(
            key,
            format!("{length:?}"),
            "give a length of time from 1ms to 1h",
        ));
    }
    Ok(length)
}

/// Whether a key has the second of two values; the first is the usual one.
fn take_word(url: &mut EngineUrl, key: &'static str, words: [&str; 2]) -> Result<bool, Error> {
    match url.take(key) {
        None => Ok(false),
        Some(word) if word == words[0] => Ok(false),
        Some(word) if word == words[1] => Ok(true),
        Some(word) => Err(Error::invalid(
            key,
            word,
            format!("write {key}={} or {key}={}", words[0], words[1]),
        )),
    }
}

fn take_connections(url: &mut EngineUrl) -> Result<usize, Error> {
    match url.take("connections") {
        None => Ok(CONNECTIONS),
        Some(text) => match text.parse() {
            Ok(number @ 1..=64) => Ok(number),
            _ => Err(Error::invalid(
                "connections",
                text,
                "give a whole number from 1 to 64",
            )),
        },
    }
}

/// The password that the database's own programs would use.
fn password_around(dialect: Dialect) -> Option<String> {
    let variable = match dialect {
        Dialect::Postgres => "PGPASSWORD",
        Dialect::Mysql => "MYSQL_PWD",
    };
    std::env::var(variable)
        .ok()
        .filter(|found| !found.is_empty())
}

fn decode(setting: &str, text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| {
        Error::invalid(
            setting,
            "(not shown)",
            "write it as UTF-8, with other bytes than letters and digits as %XX",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(url: &str) -> Result<SqlOptions, Error> {
        SqlOptions::from_url(EngineUrl::parse(url).unwrap())
    }

    #[test]
    fn a_url_names_a_database_and_settings() {
        let options = from(
            "postgresql://al%40ice:p%3aw@db,[::1]:6000/a%20b?schema=app&table=locks&timeout=2s&wake=poll&connections=2",
        )
        .unwrap();
        assert_eq!(options.place(), "db:5432,[::1]:6000");
        assert_eq!(options.user.as_deref(), Some("al@ice"));
        assert_eq!(options.password.as_deref(), Some("p:w"));
        assert_eq!(options.database.as_deref(), Some("a b"));
        assert_eq!(options.table, "\"app\".\"locks\"");
        assert!(!options.listen && options.tls.is_none());
        assert!(!format!("{options:?}").contains("p:w"));
        let options = from("postgres://u@:5433/app?host=/run/postgresql").unwrap();
        assert_eq!(
            options.hosts,
            [(Host::Unix("/run/postgresql".into()), 5433)]
        );
        assert!(
            from("postgres://db/app?ca=/etc/ca.pem")
                .unwrap()
                .tls
                .is_some()
        );
    }

    #[test]
    fn what_will_not_do_is_named_with_what_would() {
        for (url, said) in [
            ("postgres:db", "//"),
            ("postgres://", "name a host"),
            ("postgres://db,,c", "name a host"),
            ("postgres://db:x/app", "port"),
            ("postgres://db/app?table=a;b", "letters"),
            ("postgres://db/app?sslmode=prefer", "verify-full"),
            ("postgres://db/app?sslmode=disable&ca=/a", "verify-full"),
            ("postgres://db/app?cert=/a", "both"),
            ("postgres://db/app?wake=maybe", "wake=poll"),
            ("postgres://db/app?poll=10", "10s"),
            ("postgres://db/app?timeout=0s", "1ms"),
            ("postgres://db/app?connections=0", "64"),
            ("postgres://db/app?tabel=a", "table"),
            ("postgres://db/app?host=db", "absolute"),
            ("postgres://db/app?host=/run", "not both"),
            ("mysql://db/app?wake=poll", "mysql: URLs know"),
            ("mysql://db,[::1]:x/app", "port"),
            ("local:x", "postgres://"),
        ] {
            let error = from(url).unwrap_err().to_string();
            assert!(error.contains(said), "{url}: {error}");
        }
        let error = from("postgres://user:secret@db:x").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
