//! Asking one server. Its connections are plain ones of their own, so that a
//! server is looked at even where the engine would refuse to work with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, FromRedisValue,
    IntoConnectionInfo, RedisConnectionInfo, RedisError, TlsCertificates, Value, cmd,
};
use tokio_rustls::TlsConnector;

use super::facts::{Clock, Facts, Info, Keeping, NodeFacts, Record};
use super::rights;
use crate::RedisOptions;
use crate::address::{Address, Endpoint};
use crate::config::Tls;
use crate::fail::{Kind, Trouble};
use crate::scripts::info::decode_info;
use crate::sentinel;

/// How often the clock is read: once for each round trip that is measured.
const SAMPLES: usize = 5;
/// Servers before this one count every `CONFIG` alike, and the join takes it for
/// one that wiped the statistics.
const COUNTS_CONFIG_GET: (u32, u32) = (7, 0);

/// What is looked at.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) address: &'a Address,
    pub(super) keys: &'a Keys,
}

/// Keys that may be touched there.
pub(super) struct Keys {
    /// What makes keys ours alone.
    pub(super) tag: String,
    /// The node's own record.
    pub(super) record: String,
}

/// Looks at one server. Takes a few of the node's timeouts at most, and leaves
/// nothing behind.
pub(super) async fn probe(options: &RedisOptions, place: Place<'_>) -> NodeFacts {
    NodeFacts {
        name: place.address.to_string(),
        found: look(options, place).await,
    }
}

/// A connection to one server.
pub(super) async fn link(
    options: &RedisOptions,
    endpoint: Endpoint,
) -> Result<MultiplexedConnection, Trouble> {
    connect(&client(options, endpoint)?, options.timeout).await
}

async fn look(options: &RedisOptions, place: Place<'_>) -> Result<Facts, Trouble> {
    let Place { address, keys } = place;
    let timeout = options.timeout;
    let tls = connector(options)?;
    let endpoint = sentinel::locate(options, tls.as_ref(), address).await?;
    let client = client(options, endpoint)?;
    let link = &mut connect(&client, timeout).await?;
    let first = read_clock(link, timeout).await?;
    let mut samples = vec![first];
    while samples.len() < SAMPLES {
        samples.push(read_clock(link, timeout).await?);
    }
    let info = read_info(link, timeout).await?;
    let keeping = read_keeping(link, info.as_ref(), timeout).await?;
    let record = read_record(link, &keys.record, timeout).await?;
    let rights = rights::attempts(link, &client, &options.prefix, keys, timeout).await?;
    let last = read_clock(link, timeout).await?;
    samples.sort_by_key(Sample::round_trip);
    Ok(Facts {
        round_trip: samples[SAMPLES / 2].round_trip(),
        clock: samples[0].clock(&first, &last),
        info,
        keeping,
        record,
        rights,
    })
}

/// How to talk TLS, if the servers do.
pub(super) fn connector(options: &RedisOptions) -> Result<Option<TlsConnector>, Trouble> {
    let connector = options.tls.as_ref().map(crate::tls::connector).transpose();
    connector.map_err(|error| {
        Trouble::new(
            Kind::Other,
            error.to_string(),
            "name readable files in PEM format with ca=, cert= and key=",
        )
    })
}

fn client(options: &RedisOptions, endpoint: Endpoint) -> Result<Client, Trouble> {
    let refuse = |error: RedisError| Trouble::of(&error);
    let target = match (endpoint, &options.tls) {
        (Endpoint::Unix(path), _) => ConnectionAddr::Unix(path),
        (Endpoint::Tcp { host, port }, None) => ConnectionAddr::Tcp(host, port),
        (Endpoint::Tcp { host, port }, Some(_)) => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        },
    };
    let mut login = RedisConnectionInfo::default()
        .set_db(options.database)
        .set_lib_name("leasehold", env!("CARGO_PKG_VERSION"));
    if let Some(user) = &options.user {
        login = login.set_username(user);
    }
    if let Some(password) = &options.password {
        login = login.set_password(password);
    }
    let target = target.into_connection_info().map_err(refuse)?;
    let target = target.set_redis_settings(login);
    match &options.tls {
        None => Client::open(target),
        Some(tls) => Client::build_with_tls(target, certificates(tls)?),
    }
    .map_err(refuse)
}

fn certificates(tls: &Tls) -> Result<TlsCertificates, Trouble> {
    // Whichever provider the program has chosen stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = |path: &Path| {
        fs::read(path).map_err(|error| {
            Trouble::new(
                Kind::Other,
                format!("{} cannot be read: {error}", path.display()),
                "name a readable file in PEM format with ca=, cert= and key=",
            )
        })
    };
    let client_tls = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig {
            client_cert: file(cert)?,
            client_key: file(key)?,
        }),
        _ => None,
    };
    Ok(TlsCertificates {
        client_tls,
        root_cert: tls.ca.as_deref().map(file).transpose()?,
    })
}

async fn connect(client: &Client, timeout: Duration) -> Result<MultiplexedConnection, Trouble> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    match tokio::time::timeout(timeout, connecting).await {
        Ok(connected) => connected.map_err(|error| Trouble::of(&error)),
        Err(_) => Err(Trouble::timeout()),
    }
}

/// One command. A refusal by the server is an answer; the outer error is that of a
/// connection that is lost or silent.
pub(super) async fn ask<T: FromRedisValue>(
    link: &mut MultiplexedConnection,
    command: &Cmd,
    timeout: Duration,
) -> Result<Result<T, RedisError>, Trouble> {
    match tokio::time::timeout(timeout, command.query_async(link)).await {
        Ok(Err(error)) if error.is_io_error() => Err(Trouble::of(&error)),
        Ok(answer) => Ok(answer),
        Err(_) => Err(Trouble::timeout()),
    }
}

/// The server's clock, and ours around it.
#[derive(Clone, Copy)]
struct Sample {
    sent: Instant,
    received: Instant,
    ours_micros: i64,
    theirs_micros: i64,
}

impl Sample {
    fn round_trip(&self) -> Duration {
        self.received - self.sent
    }

    fn clock(&self, first: &Self, last: &Self) -> Clock {
        let half = micros(self.round_trip() / 2);
        Clock {
            unix_micros: self.theirs_micros,
            ahead_micros: self.theirs_micros - self.ours_micros - half,
            unsure_micros: half,
            step_micros: last.theirs_micros
                - first.theirs_micros
                - micros(last.received - first.received),
        }
    }
}

async fn read_clock(
    link: &mut MultiplexedConnection,
    timeout: Duration,
) -> Result<Sample, Trouble> {
    let ours_micros = micros(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    );
    let sent = Instant::now();
    let answer = ask::<(i64, i64)>(link, &cmd("TIME"), timeout).await?;
    let (seconds, within) = answer.map_err(|error| Trouble::of(&error))?;
    Ok(Sample {
        sent,
        received: Instant::now(),
        ours_micros,
        theirs_micros: seconds.saturating_mul(1_000_000).saturating_add(within),
    })
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

async fn read_info(
    link: &mut MultiplexedConnection,
    timeout: Duration,
) -> Result<Option<Info>, Trouble> {
    let answer = ask::<Value>(link, cmd("INFO").arg("all"), timeout).await?;
    let Ok(value) = answer else {
        return Ok(None);
    };
    let server = decode_info(&value).ok();
    let text = String::from_redis_value(value).unwrap_or_default();
    Ok(Some(Info::read(&text, server)))
}

async fn read_keeping(
    link: &mut MultiplexedConnection,
    info: Option<&Info>,
    timeout: Duration,
) -> Result<Keeping, Trouble> {
    let mut keeping = Keeping::default();
    let is_new = |info: &Info| info.version().is_some_and(|v| v >= COUNTS_CONFIG_GET);
    if info.is_some_and(is_new) {
        for (key, place) in [
            ("appendfsync", &mut keeping.fsync),
            ("save", &mut keeping.save),
        ] {
            let get = cmd("CONFIG").arg("GET").arg(key).clone();
            let told = ask::<(String, String)>(link, &get, timeout).await?;
            *place = told.ok().map(|(_, value)| value);
        }
    }
    keeping.log = info
        .and_then(|info| info.number("aof_enabled"))
        .map(|on| on == 1);
    Ok(keeping)
}

/// All of it, or what a user with few rights may see.
async fn read_record(
    link: &mut MultiplexedConnection,
    key: &str,
    timeout: Duration,
) -> Result<Result<Record, Trouble>, Trouble> {
    type Fields = BTreeMap<String, String>;
    let all = ask::<Fields>(link, cmd("HGETALL").arg(key), timeout).await?;
    let fields = match all {
        Ok(fields) => Ok(fields),
        Err(_) => {
            const KNOWN: [&str; 7] = [
                "joined",
                "high",
                "floor",
                "max_ttl",
                "since",
                "noticed_run",
                "noticed_at",
            ];
            let some = cmd("HMGET").arg(key).arg(&KNOWN).clone();
            let some = ask::<Vec<Option<String>>>(link, &some, timeout).await?;
            some.map(|values| {
                let keys = KNOWN.iter().map(|key| (*key).to_owned());
                let pairs = keys.zip(values);
                pairs
                    .filter_map(|(key, value)| Some((key, value?)))
                    .collect()
            })
        }
    };
    Ok(match fields {
        Ok(fields) => Ok(Record::read(&fields)),
        Err(error) => Err(Trouble::of(&error)),
    })
}
