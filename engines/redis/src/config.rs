//! Where the servers are, and the settings of the quorum.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use leasehold_core::quorum::Quorum;
use leasehold_core::{EngineUrl, Error, Ttl};

use crate::address::{Address, Place};

/// The longest hold granted unless the URL says otherwise.
const MAX_TTL: Duration = Duration::from_secs(60);
/// How long a break by hand is remembered unless the URL says otherwise.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a node may take to answer unless the URL says otherwise.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The longest that a node may be given.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// Settings of a [`RedisEngine`](crate::RedisEngine).
///
/// Clients that share servers may have different settings, except for the list of
/// servers itself and `prefix`, which must be the same for all.
#[derive(Clone)]
pub struct RedisOptions {
    pub(crate) addresses: Vec<Address>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: i64,
    pub(crate) tls: Option<Tls>,
    pub(crate) max_ttl: Duration,
    pub(crate) fresh: bool,
    pub(crate) era: bool,
    pub(crate) durable: bool,
    pub(crate) timeout: Duration,
    pub(crate) retention: Duration,
    pub(crate) prefix: String,
}

/// How the servers are told from impostors, and we from others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// Without the password.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("addresses", &self.addresses)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("tls", &self.tls)
            .field("max_ttl", &self.max_ttl)
            .field("fresh", &self.fresh)
            .field("era", &self.era)
            .field("durable", &self.durable)
            .field("timeout", &self.timeout)
            .field("retention", &self.retention)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl RedisOptions {
    /// The servers that a URL names, one to nine of them:
    ///
    /// * `redis://[user:password@]host[:port][,host[:port]…][/db]`
    /// * `rediss://…`, the same over TLS, with the keys `ca`, `cert` and `key` for
    ///   files in PEM format
    /// * `redis+unix:/path/to.sock[,/path/to/other.sock]`, with the keys `user`,
    ///   `password` and `db`
    /// * `redis+sentinel://[user:password@]sentinel[:port][,…]/group[,group…][/db]`:
    ///   each group is one server, namely its master at the time as Sentinel tells;
    ///   with the keys `sentinel_user` and `sentinel_password` for the sentinels
    ///   themselves; `rediss+sentinel://…` is the same with TLS to sentinels and masters
    /// * `redis+cluster://[user:password@]host[:port][,host[:port]…]`: some members of
    ///   one Redis Cluster, of which each slot is a set of one server, its master;
    ///   `rediss+cluster://…` is the same over TLS
    ///
    /// Keys of them all: `max_ttl` (1m: the longest TTL plus grace), `timeout`
    /// (1s: how long a server may take to answer), `prefix` (none: put before the
    /// lock's name to make its key), `retention` (7d: how long a break by
    /// hand is remembered), `fresh=yes` (the servers are new and have granted
    /// nothing yet), `durable=yes` (each keeps all that it has answered:
    /// `appendfsync always`), `era=auto` or `era=manual` (whether a quorum that has
    /// lost its memory may start anew by itself).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for another scheme, an unknown key, a bad value, a server
    /// that is listed twice, or `durable=yes` with Sentinel or Cluster. No error shows
    /// a password.
    pub fn from_url(url: EngineUrl) -> Result<Self, Error> {
        Self::parse(url)?.check()
    }

    /// What a URL says, whether or not the whole of it will do.
    pub(crate) fn parse(mut url: EngineUrl) -> Result<Self, Error> {
        let scheme = url.scheme().to_owned();
        let place = match scheme.as_str() {
            "redis" | "rediss" => Place::parse(url.body())?,
            "redis+unix" => Place::sockets(&mut url)?,
            "redis+sentinel" | "rediss+sentinel" => Place::groups(&mut url)?,
            "redis+cluster" | "rediss+cluster" => Place::cluster(url.body())?,
            other => {
                return Err(Error::invalid(
                    "url",
                    format!("{other}:"),
                    "this is the Redis engine; begin with redis://, rediss://, redis+unix:, redis+sentinel:// or redis+cluster://, as in redis://r1,r2,r3",
                ));
            }
        };
        let tls = scheme
            .starts_with("rediss")
            .then(|| Tls::take(&mut url))
            .transpose()?;
        let options = Self {
            addresses: place.addresses,
            user: place.user,
            password: place.password,
            database: place.database,
            tls,
            max_ttl: take_length(&mut url, "max_ttl", MAX_TTL)?,
            fresh: take_word(&mut url, "fresh", ["no", "yes"])?,
            era: !take_word(&mut url, "era", ["auto", "manual"])?,
            durable: take_word(&mut url, "durable", ["no", "yes"])?,
            timeout: take_length(&mut url, "timeout", TIMEOUT)?,
            retention: take_length(&mut url, "retention", RETENTION)?,
            prefix: url.take("prefix").unwrap_or_default(),
        };
        url.finish()?;
        Ok(options)
    }

    /// Refuses settings and servers that do not go together.
    pub(crate) fn check(self) -> Result<Self, Error> {
        let nodes = self.addresses.len();
        Quorum::of(nodes)?;
        for (place, address) in self.addresses.iter().enumerate() {
            if self.addresses[..place].contains(address) {
                return Err(Error::invalid(
                    "url",
                    address.to_string(),
                    "list each server once; one that counts twice would make a quorum with itself",
                ));
            }
        }
        let fails_over = |address: &Address| !matches!(address, Address::Server(_));
        if self.durable && self.addresses.iter().any(fails_over) {
            return Err(Error::invalid(
                "durable",
                "yes",
                "leave it out with redis+sentinel:// and redis+cluster://; a replica may be promoted without the last grants, however often its master syncs",
            ));
        }
        if self.is_cluster() && !self.era {
            return Err(Error::invalid(
                "era",
                "manual",
                "leave it out with redis+cluster://; each slot begins an era of its own when it is first used",
            ));
        }
        if self.max_ttl < Ttl::MIN.get() || self.max_ttl > Ttl::MAX.get() * 2 {
            return Err(Error::invalid(
                "max_ttl",
                format!("{:?}", self.max_ttl),
                "choose from 20ms to 60d; a server that forgot stays away for so long",
            ));
        }
        if self.timeout > LONGEST_TIMEOUT {
            return Err(Error::invalid(
                "timeout",
                format!("{:?}", self.timeout),
                "give at most 1h; a server that does not answer for so long is as good as gone",
            ));
        }
        if self.prefix.chars().any(char::is_control) || self.prefix.len() > 256 {
            return Err(Error::invalid(
                "prefix",
                self.prefix.escape_debug().to_string(),
                "give at most 256 bytes without control characters",
            ));
        }
        if nodes.is_multiple_of(2) {
            tracing::warn!(
                nodes,
                "an even number of Redis servers survives no more failures than one less; use an odd number"
            );
        }
        Ok(self)
    }
}

impl RedisOptions {
    /// User and password.
    pub(crate) fn login(&self) -> (Option<&str>, Option<&str>) {
        (self.user.as_deref(), self.password.as_deref())
    }

    /// Whether the servers are one Redis Cluster.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.addresses[..], [Address::Cluster { .. }])
    }
}

impl Tls {
    fn take(url: &mut EngineUrl) -> Result<Self, Error> {
        let mut path = |key| url.take(key).map(PathBuf::from);
        let tls = Self {
            ca: path("ca"),
            cert: path("cert"),
            key: path("key"),
        };
        if tls.cert.is_some() != tls.key.is_some() {
            return Err(Error::invalid(
                "url",
                "rediss:",
                "give both cert and key, the client's certificate and its private key, or neither",
            ));
        }
        Ok(tls)
    }
}

fn take_length(url: &mut EngineUrl, key: &'static str, usual: Duration) -> Result<Duration, Error> {
    let length = url.take_duration(key)?.unwrap_or(usual);
    if length.is_zero() {
        return Err(Error::invalid(key, "0", "give a length of time above zero"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Endpoint;

    fn from(url: &str) -> Result<RedisOptions, Error> {
        RedisOptions::from_url(EngineUrl::parse(url).unwrap())
    }

    fn refusal(url: &str) -> String {
        from(url).unwrap_err().to_string()
    }

    #[test]
    fn a_url_names_servers_and_settings() {
        let options = from(
            "redis://al%40ice:p%3aw@R1,r2:6380,[::1]:7000/3?max_ttl=1m&fresh=yes&era=manual&timeout=200ms&prefix=lock%3a",
        )
        .unwrap();
        let shown: Vec<_> = options.addresses.iter().map(Address::to_string).collect();
        assert_eq!(shown, ["r1:6379", "r2:6380", "[::1]:7000"]);
        assert_eq!(options.user.as_deref(), Some("al@ice"));
        assert_eq!(options.password.as_deref(), Some("p:w"));
        assert_eq!((options.database, options.prefix.as_str()), (3, "lock:"));
        assert!(options.fresh && !options.era && !options.durable);
        assert!(!format!("{options:?}").contains("p:w"));
        assert_eq!(options.max_ttl, Duration::from_secs(60));
        assert_eq!(from("redis://r1").unwrap().max_ttl, MAX_TTL);
    }

    #[test]
    fn sockets_and_certificates() {
        let options = from("redis+unix:/run/a.sock,/run/b.sock?db=2").unwrap();
        assert_eq!(options.addresses.len(), 2);
        assert_eq!(options.database, 2);
        let options = from("rediss://r1?ca=/etc/ca.pem").unwrap();
        assert!(options.tls.is_some_and(|tls| tls.ca.is_some()));
        assert!(refusal("rediss://r1?cert=/a").contains("both"));
        assert!(refusal("redis://r1?ca=/etc/ca.pem").contains("ca"));
        for url in ["rediss+sentinel://s1/a", "rediss+cluster://c1"] {
            let options = from(&format!("{url}?ca=/etc/ca.pem")).unwrap();
            assert!(options.tls.is_some_and(|tls| tls.ca.is_some()), "{url}");
        }
    }

    #[test]
    fn members_of_a_cluster_are_one_node() {
        let options = from("redis+cluster://al:pw@C1,c2:7001/?max_ttl=5s").unwrap();
        assert!(options.is_cluster());
        let [address] = &options.addresses[..] else {
            panic!("one node: {options:?}");
        };
        assert_eq!(address.to_string(), "the Cluster of c1:6379, c2:7001");
        assert_eq!(options.login(), (Some("al"), Some("pw")));
        assert!(!from("redis://c1").unwrap().is_cluster());
    }

    #[test]
    fn groups_that_sentinels_watch() {
        let options = from(
            "redis+sentinel://al:pw@S1,s2:5000/eu,us,asia/2?sentinel_user=ob&sentinel_password=server&fresh=yes",
        )
        .unwrap();
        let [Address::Sentinel { sentinels, group }, _, _] = &options.addresses[..] else {
            panic!("three groups: {options:?}");
        };
        let hosts: Vec<_> = sentinels.hosts.iter().map(Endpoint::to_string).collect();
        assert_eq!(hosts, ["s1:26379", "s2:5000"]);
        assert_eq!(group, "eu");
        assert_eq!(sentinels.user.as_deref(), Some("ob"));
        assert_eq!(sentinels.password.as_deref(), Some("server"));
        assert_eq!(options.password.as_deref(), Some("pw"));
        assert_eq!(options.database, 2);
        let shown = format!("{options:?}");
        assert!(
            !shown.contains("pw") && !shown.contains("server"),
            "{shown}"
        );
    }

    #[test]
    fn what_will_not_do_is_named_with_what_would() {
        for (url, said) in [
            ("redis:r1", "//"),
            ("redis://", "name a host"),
            ("redis://r1,,r2", "name a host"),
            ("redis://r1:x", "port"),
            ("redis://r1/x", "number"),
            ("redis://r1,R1:6379", "once"),
            ("redis://r1?fresh=maybe", "fresh=yes"),
            ("redis://r1?era=2", "era=manual"),
            ("redis://r1?max_ttl=30", "30s"),
            ("redis://r1?max_tll=30s", "max_ttl"),
            ("redis://r1?timeout=4000000000000000000s", "at most 1h"),
            ("redis://a,b,c,d,e,f,g,h,i,j", "1 to 9"),
            ("local:x", "redis://"),
            ("redis+sentinel://s1", "redis+sentinel://s1,s2,s3/group"),
            ("redis+sentinel://s1/", "redis+sentinel://s1,s2,s3/group"),
            ("redis+sentinel:s1/a", "redis+sentinel://s1,s2,s3/group"),
            ("redis+sentinel://s1/a,a", "once"),
            ("redis+sentinel://s1/a/b", "number"),
            ("redis+sentinel://s1:x/a", "port"),
            ("redis+sentinel://s1/a?durable=yes", "replica"),
            ("redis://r1?sentinel_password=x", "sentinel_password"),
            ("redis+cluster:c1", "redis+cluster://c1,c2,c3"),
            ("redis+cluster://c1/2", "database 0"),
            ("redis+cluster://c1?durable=yes", "replica"),
            ("redis+cluster://c1:x", "port"),
            ("redis+cluster://c1?era=manual", "each slot"),
            ("redis+cluster://c1?ca=/etc/ca.pem", "ca"),
        ] {
            let error = refusal(url);
            assert!(error.contains(said), "{url}: {error}");
        }
        let error = refusal("redis://user:secret@r1:x");
        assert!(!error.contains("secret"), "{error}");
    }
}
