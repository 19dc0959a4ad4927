//! A connection.

use mysql_async::prelude::Queryable;
use mysql_async::{ClientIdentity, Conn, Opts, OptsBuilder, SslOpts};

use super::fail;
use crate::config::{Host, SqlOptions, Tls};
use crate::fail::{Kind, Trouble};

/// Connects to the first of the hosts that takes writes.
pub(super) async fn connect(options: &SqlOptions) -> Result<Conn, Trouble> {
    let mut why = None;
    for (host, port) in &options.hosts {
        match tokio::time::timeout(options.timeout, connect_to(options, host, *port)).await {
            Ok(Ok(conn)) => return Ok(conn),
            Ok(Err(trouble)) => why = Some(trouble),
            Err(_) => {
                why = Some(Trouble::new(
                    Kind::Refused,
                    format!(
                        "{} did not let us in within {:?}",
                        options.place(),
                        options.timeout
                    ),
                    "see that it is a MySQL or MariaDB server, that it runs and that the network lets it be reached",
                ));
            }
        }
    }
    Err(why.unwrap_or_else(|| Trouble::new(Kind::Refused, "there is no host", "name one")))
}

async fn connect_to(options: &SqlOptions, host: &Host, port: u16) -> Result<Conn, Trouble> {
    let conn = Conn::new(settings(options, host, port)).await;
    let mut conn = conn.map_err(|error| fail::of_connect(options, &error))?;
    let read_only = conn
        .query_first::<i64, _>("SELECT @@global.read_only")
        .await;
    match read_only.map_err(|error| fail::of_connect(options, &error))? {
        Some(0) => Ok(conn),
        _ => Err(Trouble::new(
            Kind::Refused,
            format!("{} is read-only, as a replica is", options.place()),
            "name the primary, or all hosts with commas between, of which the first that takes writes is used",
        )),
    }
}

fn settings(options: &SqlOptions, host: &Host, port: u16) -> Opts {
    let builder = OptsBuilder::default()
        .tcp_port(port)
        .tcp_nodelay(true)
        .prefer_socket(false)
        .user(options.user.clone())
        .pass(options.password.clone())
        .db_name(options.database.clone())
        .stmt_cache_size(0)
        .init(vec!["SET autocommit = 1"]);
    let builder = match host {
        Host::Tcp(host) => builder.ip_or_hostname(host.clone()),
        Host::Unix(path) => builder.socket(Some(path.display().to_string())),
    };
    builder.ssl_opts(options.tls.as_ref().map(ssl)).into()
}

fn ssl(tls: &Tls) -> SslOpts {
    let mut ssl = SslOpts::default();
    if let Some(ca) = &tls.ca {
        ssl = ssl
            .with_root_certs(vec![ca.clone().into()])
            .with_disable_built_in_roots(true);
    }
    if let (Some(cert), Some(key)) = (&tls.cert, &tls.key) {
        let identity = ClientIdentity::new(cert.clone().into(), key.clone().into());
        ssl = ssl.with_client_identity(Some(identity));
    }
    ssl
}
