//! Which servers a URL names, and how to log in.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use leasehold_core::{EngineUrl, Error};
use percent_encoding::percent_decode_str;

/// The port of a Redis server unless the URL says otherwise.
const PORT: u16 = 6379;
/// The port of a sentinel unless the URL says otherwise.
const SENTINEL_PORT: u16 = 26379;

/// Where a node is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// Always there.
    Server(Endpoint),
    /// Wherever the master of this group is at the time.
    Sentinel {
        sentinels: Arc<Sentinels>,
        group: String,
    },
    /// On all masters of the Redis Cluster that these servers belong to.
    Cluster { seeds: Arc<[Endpoint]> },
}

/// Where one server is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Endpoint {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// Whom to ask for masters, and how to log in there.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Sentinels {
    pub(crate) hosts: Vec<Endpoint>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(endpoint) => endpoint.fmt(f),
            Self::Sentinel { group, .. } => write!(f, "the master of group {group}"),
            Self::Cluster { seeds } => {
                let seeds: Vec<_> = seeds.iter().map(Endpoint::to_string).collect();
                write!(f, "the Cluster of {}", seeds.join(", "))
            }
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Without the password.
impl fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sentinels")
            .field("hosts", &self.hosts)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// What the body of a URL says.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) addresses: Vec<Address>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: i64,
}

impl Place {
    /// `//[user:password@]host[:port][,…][/database]`
    pub(crate) fn parse(body: &str) -> Result<Self, Error> {
        let Some(rest) = body.strip_prefix("//") else {
            return Err(Error::invalid(
                "url",
                "redis:",
                "put // and the servers behind the colon, as in redis://r1,r2,r3",
            ));
        };
        let (mut place, rest) = Self::login(rest)?;
        let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
        place.database = database_number(database)?;
        for host in hosts.split(',') {
            let server = host_and_port(host, PORT)?;
            place.addresses.push(Address::Server(server));
        }
        Ok(place)
    }

    /// Takes the user and the password off the front.
    fn login(rest: &str) -> Result<(Self, &str), Error> {
        let mut place = Self::default();
        let Some((login, rest)) = rest.rsplit_once('@') else {
            return Ok((place, rest));
        };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        place.user = Some(decode("user", user)?).filter(|user| !user.is_empty());
        let password = decode("password", password)?;
        place.password = Some(password).filter(|password| !password.is_empty());
        Ok((place, rest))
    }

    /// `//[user:password@]sentinel[:port][,…]/group[,…][/database]`
    pub(crate) fn groups(url: &mut EngineUrl) -> Result<Self, Error> {
        let user = url.take("sentinel_user");
        let password = url.take("sentinel_password");
        let incomplete = || {
            Error::invalid(
                "url",
                "redis+sentinel:",
                "put //, the sentinels and the group behind the colon, as in redis+sentinel://s1,s2,s3/group",
            )
        };
        let rest = url.body().strip_prefix("//").ok_or_else(incomplete)?;
        let (mut place, rest) = Self::login(rest)?;
        let (hosts, rest) = rest.split_once('/').ok_or_else(incomplete)?;
        let (groups, database) = rest.split_once('/').unwrap_or((rest, ""));
        place.database = database_number(database)?;
        let hosts = hosts
            .split(',')
            .map(|host| host_and_port(host, SENTINEL_PORT));
        let sentinels = Arc::new(Sentinels {
            hosts: hosts.collect::<Result<_, _>>()?,
            user,
            password,
        });
        for group in groups.split(',') {
            let group = decode("group", group)?;
            if group.is_empty() {
                return Err(incomplete());
            }
            let sentinels = Arc::clone(&sentinels);
            place.addresses.push(Address::Sentinel { sentinels, group });
        }
        Ok(place)
    }

    /// `//[user:password@]host[:port][,…]`: members of one Cluster.
    pub(crate) fn cluster(body: &str) -> Result<Self, Error> {
        if !body.starts_with("//") {
            return Err(Error::invalid(
                "url",
                "redis+cluster:",
                "put // and some of the Cluster's hosts behind the colon, as in redis+cluster://c1,c2,c3",
            ));
        }
        let place = Self::parse(body)?;
        if place.database != 0 {
            return Err(Error::invalid(
                "database",
                place.database.to_string(),
                "leave it out with redis+cluster://; a Redis Cluster has database 0 only",
            ));
        }
        let seeds = place.addresses.into_iter().filter_map(|seed| match seed {
            Address::Server(endpoint) => Some(endpoint),
            _ => None,
        });
        let seeds = seeds.collect();
        Ok(Self {
            addresses: vec![Address::Cluster { seeds }],
            ..place
        })
    }

    /// `/path/to.sock[,…]`, with keys for the rest.
    pub(crate) fn sockets(url: &mut EngineUrl) -> Result<Self, Error> {
        let body = url.body().strip_prefix("//").unwrap_or(url.body());
        let mut addresses = Vec::new();
        for path in body.split(',') {
            if !path.starts_with('/') {
                return Err(Error::invalid(
                    "url",
                    format!("redis+unix:{body}"),
                    "give the absolute path of a socket, as in redis+unix:/run/redis/redis.sock",
                ));
            }
            let socket = Endpoint::Unix(decode("url", path)?.into());
            addresses.push(Address::Server(socket));
        }
        Ok(Self {
            addresses,
            user: url.take("user"),
            password: url.take("password"),
            database: database_number(&url.take("db").unwrap_or_default())?,
        })
    }
}

fn host_and_port(text: &str, usual: u16) -> Result<Endpoint, Error> {
    let refuse = |remedy: &str| Err(Error::invalid("server", text, remedy));
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or(rest)),
        None => text.split_once(':').unwrap_or((text, "")),
    };
    if host.is_empty() {
        return refuse("name a host between the commas, as in redis://r1,r2:6380,r3");
    }
    let port = match port {
        "" => usual,
        port => match port.parse() {
            Ok(port) if port > 0 => port,
            _ => return refuse("give a port from 1 to 65535 behind the host, as in r1:6380"),
        },
    };
    // Host names do not tell upper case from lower.
    let host = host.to_ascii_lowercase();
    Ok(Endpoint::Tcp { host, port })
}

fn database_number(text: &str) -> Result<i64, Error> {
    match text {
        "" => Ok(0),
        text => match text.parse() {
            Ok(number @ 0..) => Ok(number),
            _ => Err(Error::invalid(
                "database",
                text,
                "give its number, as in redis://r1,r2,r3/2",
            )),
        },
    }
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
