//! Making a connection: its settings, and who answers there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use leasehold_core::Error;
use leasehold_core::quorum::RunId;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo,
    ProtocolVersion, PushInfo, RedisConnectionInfo, TlsCertificates, cmd,
};

use crate::RedisOptions;
use crate::config::{Address, Tls};
use crate::fail::{Kind, Trouble};

/// How many commands may wait to be written.
const QUEUE: usize = 4096;

/// How each server is reached. Nothing is sent yet.
pub(crate) fn clients(options: &RedisOptions) -> Result<Vec<Client>, Error> {
    let certificates = options.tls.as_ref().map(read).transpose()?;
    let client = |address: &Address| {
        let shown = address.to_string();
        let refuse = |error: redis::RedisError| {
            Error::invalid(
                "server",
                &shown,
                format!("mend its address or certificates ({error})"),
            )
        };
        let address = match address.clone() {
            Address::Unix(path) => ConnectionAddr::Unix(path),
            Address::Tcp { host, port } if certificates.is_none() => {
                ConnectionAddr::Tcp(host, port)
            }
            Address::Tcp { host, port } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            },
        };
        let info = address.into_connection_info().map_err(refuse)?;
        let info = info
            .set_redis_settings(login(options))
            .set_tcp_settings(tcp(options.timeout));
        match &certificates {
            None => Client::open(info),
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
        }
        .map_err(refuse)
    };
    options.addresses.iter().map(client).collect()
}

fn login(options: &RedisOptions) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_db(options.database)
        .set_lib_name("leasehold", env!("CARGO_PKG_VERSION"));
    if let Some(user) = &options.user {
        login = login.set_username(user);
    }
    if let Some(password) = &options.password {
        login = login.set_password(password);
    }
    login
}

fn tcp(timeout: Duration) -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5));
    let settings = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(timeout.max(Duration::from_secs(1)) * 5);
    settings
}

fn read(tls: &Tls) -> Result<TlsCertificates, Error> {
    // Whichever provider the program has chosen stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = |key: &'static str, path: &Path| {
        fs::read(path).map_err(|error| {
            Error::invalid(
                key,
                path.display().to_string(),
                format!("name a readable file in PEM format ({error})"),
            )
        })
    };
    let client_tls = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig {
            client_cert: file("cert", cert)?,
            client_key: file("key", key)?,
        }),
        _ => None,
    };
    let root_cert = tls.ca.as_deref().map(|ca| file("ca", ca)).transpose()?;
    Ok(TlsCertificates {
        client_tls,
        root_cert,
    })
}

/// Connects, and asks who answers: the run id is read before anything else is
/// asked, so that the connection is bound to one server process.
pub(crate) async fn connect(
    client: &Client,
    timeout: Duration,
    pushed: impl Fn(PushInfo) + Send + Sync + 'static,
) -> Result<(MultiplexedConnection, RunId), Trouble> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE)
        .set_push_sender(move |info| {
            pushed(info);
            Ok::<_, ()>(())
        });
    let connecting = async {
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connection.await.map_err(|error| Trouble::of(&error))?;
        let info = cmd("INFO").query_async::<String>(&mut connection).await;
        let info = info.map_err(|error| Trouble::of(&error))?;
        Ok((connection, who(&info)?))
    };
    tokio::time::timeout(timeout, connecting)
        .await
        .unwrap_or_else(|_| Err(Trouble::timeout()))
}

/// The run id of a server that can be a node.
fn who(info: &str) -> Result<RunId, Trouble> {
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
    if field("cluster_enabled") == Some("1") {
        return refuse(
            "it is a node of a Redis Cluster, which is not supported",
            "name independent servers",
        );
    }
    let run_id = field("run_id").and_then(|id| id.parse().ok());
    run_id.ok_or_else(|| Trouble::nonsense("it tells no run id in its INFO"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_must_be_a_master_that_tells_its_run_id() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let info = format!("# Server\r\nrun_id:{id}\r\nrole:master\r\ncluster_enabled:0\r\n");
        assert_eq!(who(&info).unwrap().to_string(), id);
        let said = |change: (&str, &str)| who(&info.replace(change.0, change.1)).unwrap_err();
        assert!(said(("master", "slave")).detail.contains("replica"));
        assert!(said(("enabled:0", "enabled:1")).detail.contains("Cluster"));
        assert!(said(("run_id", "walk_id")).detail.contains("run id"));
    }
}
