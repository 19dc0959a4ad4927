//! Making a connection: its settings, and who answers there.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use leasehold_core::quorum::RunId;
use redis::{ErrorKind, RedisError, Value};
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::RedisOptions;
use crate::address::Endpoint;
use crate::fail::{Kind, Trouble};
use crate::link::{Carrier, Incoming, Wired, cut_off, malformed, trouble};
use crate::scripts::{Packed, run_id};

/// Connects, and asks who answers: the run id is read before anything else is
/// asked, so that the connection is bound to one server process.
pub(crate) async fn connect(
    options: &RedisOptions,
    tls: Option<&TlsConnector>,
    endpoint: &Endpoint,
) -> Result<(Wired, RunId), Trouble> {
    let connecting = async {
        let mut wired = wire(endpoint, tls, options.timeout).await?;
        let run_id = greet(&mut wired, options).await?;
        Ok((wired, run_id))
    };
    tokio::time::timeout(options.timeout, connecting)
        .await
        .unwrap_or_else(|_| Err(Trouble::timeout()))
}

/// Connects to ask one thing, whoever answers. The caller bounds the time.
pub(crate) async fn visit(
    endpoint: &Endpoint,
    tls: Option<&TlsConnector>,
    login: (Option<&str>, Option<&str>),
    timeout: Duration,
    question: &[&str],
) -> Result<Value, Trouble> {
    let mut wired = wire(endpoint, tls, timeout).await?;
    let mut commands = hello(login);
    commands.words(question);
    send(&mut wired, &commands).await?;
    accept_hello(answer(&mut wired).await?)?;
    let said = answer(&mut wired).await?;
    said.extract_error().map_err(|error| Trouble::of(&error))
}

async fn wire(
    endpoint: &Endpoint,
    tls: Option<&TlsConnector>,
    timeout: Duration,
) -> Result<Wired, Trouble> {
    Ok(Wired {
        carrier: dial(endpoint, tls, timeout).await.map_err(trouble)?,
        incoming: Incoming::new(),
    })
}

async fn send(wired: &mut Wired, commands: &Packed) -> Result<(), Trouble> {
    let sent = wired.carrier.write_all(commands.bytes()).await;
    sent.map_err(trouble)?;
    wired.carrier.flush().await.map_err(trouble)
}

/// The first words on a connection, with the login if there is one.
fn hello((user, password): (Option<&str>, Option<&str>)) -> Packed {
    let mut hello = vec!["HELLO", "3"];
    if user.is_some() || password.is_some() {
        hello.extend(["AUTH", user.unwrap_or("default"), password.unwrap_or("")]);
    }
    Packed::of(&hello)
}

async fn dial(
    endpoint: &Endpoint,
    tls: Option<&TlsConnector>,
    timeout: Duration,
) -> io::Result<Box<dyn Carrier>> {
    match endpoint {
        Endpoint::Unix(path) => unix(path).await,
        Endpoint::Tcp { host, port } => tcp(host, *port, tls, timeout).await,
    }
}

async fn unix(path: &Path) -> io::Result<Box<dyn Carrier>> {
    Ok(Box::new(UnixStream::connect(path).await?))
}

async fn tcp(
    host: &str,
    port: u16,
    tls: Option<&TlsConnector>,
    timeout: Duration,
) -> io::Result<Box<dyn Carrier>> {
    let stream = race(lookup_host((host, port)).await?).await?;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5));
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(timeout.max(Duration::from_secs(1)) * 5))?;
    let Some(tls) = tls else {
        return Ok(Box::new(stream));
    };
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok(Box::new(tls.connect(name, stream).await?))
}

/// Connects to whichever of a host's addresses answers first.
async fn race(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    for address in addresses {
        attempts.spawn_local(TcpStream::connect(address));
    }
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(error) => failed = error.into(),
        }
    }
    Err(failed)
}

/// Logs in and reads who it is, in one round trip.
async fn greet(wired: &mut Wired, options: &RedisOptions) -> Result<RunId, Trouble> {
    let database = options.database.to_string();
    let mut commands = hello(options.login());
    // For people who list the clients of a server that knows of it.
    commands.words(&["CLIENT", "SETINFO", "LIB-NAME", "leasehold"]);
    commands.words(&["CLIENT", "SETINFO", "LIB-VER", env!("CARGO_PKG_VERSION")]);
    if options.database != 0 {
        commands.words(&["SELECT", &database]);
    }
    commands.words(&["INFO"]);
    let count = commands.commands();
    send(wired, &commands).await?;

    accept_hello(answer(wired).await?)?;
    let mut last = Value::Nil;
    for place in 1..count {
        let said = answer(wired).await?;
        // Not every server knows of the library's name.
        if place > 2 {
            last = said.extract_error().map_err(|error| Trouble::of(&error))?;
        }
    }
    match redis::from_redis_value::<String>(last) {
        Ok(info) => who(&info, options.is_cluster()),
        Err(_) => Err(Trouble::nonsense("its INFO makes no sense")),
    }
}

fn accept_hello(said: Value) -> Result<(), Trouble> {
    match said.extract_error() {
        Ok(Value::Map(_)) => Ok(()),
        Ok(_) => Err(Trouble::nonsense("its answer to HELLO makes no sense")),
        Err(error) if matches!(error.code(), Some("ERR" | "NOPROTO")) => {
            let why = error.detail().unwrap_or_default().to_owned();
            let what = "it does not speak RESP3";
            let error = RedisError::from((ErrorKind::RESP3NotSupported, what, why));
            Err(Trouble::of(&error))
        }
        Err(error) => Err(Trouble::of(&error)),
    }
}

async fn answer(wired: &mut Wired) -> Result<Value, Trouble> {
    loop {
        if let Some(value) = wired.incoming.next().map_err(malformed)? {
            return Ok(value);
        }
        let Wired { carrier, incoming } = wired;
        let more = poll_fn(|cx| incoming.poll_fill(Pin::new(&mut *carrier), cx));
        if !more.await.map_err(trouble)? {
            return Err(cut_off());
        }
    }
}

/// What is wrong with a server that is named as one of a Cluster.
pub(crate) const NO_CLUSTER: &str = "it is no member of a Redis Cluster";
/// What to do about it.
pub(crate) const NO_CLUSTER_REMEDY: &str = "write redis:// or rediss:// for independent servers; or name hosts that run with cluster-enabled yes";

/// The run id of a server that can be a node; or a master of a Cluster, if that is
/// what is looked for.
fn who(info: &str, of_cluster: bool) -> Result<RunId, Trouble> {
    let field = |key: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
            .map(str::trim)
    };
    let refuse = |detail: &str, remedy| Err(Trouble::new(Kind::Other, detail, remedy));
    if field("loading") == Some("1") {
        return refuse(
            "it is still loading its data",
            "wait until its data is loaded",
        );
    }
    if matches!(field("role"), Some("slave" | "replica")) {
        return refuse(
            "it is a replica, which can take no lock",
            "name the master; each node must be an independent server of its own",
        );
    }
    let is_member = field("cluster_enabled") == Some("1");
    if is_member && !of_cluster {
        return refuse(
            "it is a member of a Redis Cluster",
            "write redis+cluster:// (over TLS rediss+cluster://) and any of the Cluster's hosts; or name independent servers",
        );
    }
    if of_cluster && !is_member {
        return refuse(NO_CLUSTER, NO_CLUSTER_REMEDY);
    }
    run_id(info).ok_or_else(|| Trouble::nonsense("it tells no run id in its INFO"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_must_be_a_master_that_tells_its_run_id() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let info = format!("# Server\r\nrun_id:{id}\r\nrole:master\r\ncluster_enabled:0\r\n");
        assert_eq!(who(&info, false).unwrap().to_string(), id);
        let said =
            |change: (&str, &str)| who(&info.replace(change.0, change.1), false).unwrap_err();
        assert!(said(("master", "slave")).detail.contains("replica"));
        let member = said(("enabled:0", "enabled:1"));
        assert!(member.remedy.contains("redis+cluster://"));
        let member = info.replace("enabled:0", "enabled:1");
        assert_eq!(who(&member, true).unwrap().to_string(), id);
        assert_eq!(who(&info, true).unwrap_err().detail, NO_CLUSTER);
        assert!(said(("run_id", "walk_id")).detail.contains("run id"));
    }
}
