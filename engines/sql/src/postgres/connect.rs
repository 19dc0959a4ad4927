//! A connection.

use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, Connection, Socket};

use super::Postgres;
use super::fail;
use super::tls::Encrypted;
use crate::config::{Host, SqlOptions};
use crate::fail::{Kind, Trouble};

/// Connects to the first of the hosts that answers; of several, to the first that
/// takes writes.
pub(crate) async fn connect(
    postgres: &Postgres,
) -> Result<(Client, Connection<Socket, Encrypted<Socket>>), Trouble> {
    let options = &postgres.options;
    let config = config(options);
    let connecting = config.connect(postgres.tls.clone());
    match tokio::time::timeout(options.timeout, connecting).await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(error)) => Err(fail::of_connect(options, &error)),
        Err(_) => Err(Trouble::new(
            Kind::Refused,
            format!(
                "{} did not let us in within {:?}",
                options.place(),
                options.timeout
            ),
            "see that it is a PostgreSQL server, that it runs and that the network lets it be reached",
        )),
    }
}

fn config(options: &SqlOptions) -> Config {
    let mut config = Config::new();
    for (host, port) in &options.hosts {
        match host {
            Host::Tcp(host) => config.host(host),
            Host::Unix(path) => config.host_path(path),
        };
        config.port(*port);
    }
    if let Some(user) = &options.user {
        config.user(user);
    }
    if let Some(password) = &options.password {
        config.password(password);
    }
    if let Some(database) = &options.database {
        config.dbname(database);
    }
    if options.hosts.len() > 1 {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    config.ssl_mode(match options.tls {
        Some(_) => SslMode::Require,
        None => SslMode::Disable,
    });
    config
        .application_name("leasehold")
        .connect_timeout(options.timeout)
        .tcp_user_timeout(options.timeout)
        .keepalives_idle(options.timeout);
    config
}
