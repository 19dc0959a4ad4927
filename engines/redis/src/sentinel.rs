//! Asking Sentinel where a group's master is, each time a node connects.
//!
//! The sentinels are asked in turn, and what one says is believed when the server
//! it names says itself that it is a master: a sentinel that was cut off may still
//! name the one before. A frozen sentinel costs its share of the node's timeout.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, cmd,
};

use crate::RedisOptions;
use crate::address::{Address, Endpoint, Sentinels};
use crate::fail::{Kind, Trouble};

/// Where the node is now: that of a group is asked for anew.
///
/// Takes the node's timeout at the longest. May be dropped at any await.
pub(crate) async fn locate(options: &RedisOptions, address: &Address) -> Result<Endpoint, Trouble> {
    match address {
        Address::Server(endpoint) => Ok(endpoint.clone()),
        Address::Sentinel { sentinels, group } => resolve(options, sentinels, group).await,
    }
}

async fn resolve(
    options: &RedisOptions,
    sentinels: &Sentinels,
    group: &str,
) -> Result<Endpoint, Trouble> {
    let count = u32::try_from(sentinels.hosts.len()).unwrap_or(u32::MAX);
    let share = options.timeout / count.max(1);
    let mut troubles = Vec::new();
    for host in &sentinels.hosts {
        let ask = async {
            let master = ask(sentinels, host, group).await?;
            verify(options, &master).await?;
            Ok(master)
        };
        match within(share, ask).await {
            Ok(master) => return Ok(master),
            Err(trouble) => troubles.push((host, trouble)),
        }
    }
    Err(summary(troubles))
}

/// What this sentinel says.
async fn ask(sentinels: &Sentinels, host: &Endpoint, group: &str) -> Result<Endpoint, Trouble> {
    let login = login(sentinels.user.as_deref(), sentinels.password.as_deref());
    let mut connection = connect(host, login)
        .await
        .map_err(|error| refused(&error))?;
    let mut command = cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(group);
    let answer = command.query_async::<Option<(String, u16)>>(&mut connection);
    match answer.await.map_err(|error| refused(&error))? {
        Some((host, port)) => Ok(Endpoint::Tcp { host, port }),
        None => Err(Trouble::new(
            Kind::Other,
            format!("it watches no master named {group}"),
            "name a group that SENTINEL MASTERS lists, as in redis+sentinel://s1,s2,s3/GROUP",
        )),
    }
}

/// Whether the server is a master, as it says itself.
async fn verify(options: &RedisOptions, master: &Endpoint) -> Result<(), Trouble> {
    let of = |error: RedisError| {
        let mut trouble = Trouble::of(&error);
        trouble.detail = format!("of the master {master} that it names: {}", trouble.detail);
        trouble
    };
    let login = login(options.user.as_deref(), options.password.as_deref());
    let mut connection = connect(master, login).await.map_err(of)?;
    let mut info = cmd("INFO");
    let said: String = info
        .arg("replication")
        .query_async(&mut connection)
        .await
        .map_err(of)?;
    match said.lines().any(|line| line.trim_end() == "role:master") {
        true => Ok(()),
        false => Err(Trouble::new(
            Kind::Other,
            format!("it names {master}, which is no master"),
            "wait until the failover is over; see what SENTINEL MASTERS says on each sentinel",
        )),
    }
}

fn login(user: Option<&str>, password: Option<&str>) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default();
    if let Some(user) = user {
        login = login.set_username(user);
    }
    if let Some(password) = password {
        login = login.set_password(password);
    }
    login
}

async fn connect(
    at: &Endpoint,
    login: RedisConnectionInfo,
) -> Result<MultiplexedConnection, RedisError> {
    let address = match at.clone() {
        Endpoint::Tcp { host, port } => ConnectionAddr::Tcp(host, port),
        Endpoint::Unix(path) => ConnectionAddr::Unix(path),
    };
    let info = address.into_connection_info()?.set_redis_settings(login);
    // The caller's own timeout is over all of it.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    Client::open(info)?
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

/// What a sentinel's refusal means: its users are not those of the servers.
fn refused(error: &RedisError) -> Trouble {
    let mut trouble = Trouble::of(error);
    let login = matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
    if login || error.kind() == redis::ErrorKind::AuthenticationFailed {
        trouble.remedy = "give the sentinels' own sentinel_user= and sentinel_password= in the URL, \
             of a user that may run SENTINEL GET-MASTER-ADDR-BY-NAME";
    }
    trouble
}

async fn within<T>(
    bound: Duration,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    let done = tokio::time::timeout(bound, work).await;
    done.unwrap_or_else(|_| Err(Trouble::timeout()))
}

/// What all of them said. The remedy is that of one who said something, if one did.
fn summary(troubles: Vec<(&Endpoint, Trouble)>) -> Trouble {
    let spoke = |trouble: &&(&Endpoint, Trouble)| trouble.1.kind != Kind::Silent;
    let Some((_, first)) = troubles.iter().find(spoke).or(troubles.first()) else {
        return Trouble::nonsense("no sentinel is named");
    };
    let (kind, remedy) = (first.kind, first.remedy);
    let said = troubles
        .iter()
        .map(|(host, trouble)| format!("sentinel {host}: {}", trouble.detail));
    let detail = said.collect::<Vec<_>>().join("; ");
    Trouble::new(kind, detail, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Endpoint {
        Endpoint::Tcp {
            host: name.to_owned(),
            port: 26379,
        }
    }

    #[test]
    fn every_sentinel_is_quoted_and_one_that_spoke_has_the_remedy() {
        let (a, b) = (host("a"), host("b"));
        let spoken = Trouble::new(Kind::Other, "it watches no master named x", "name a group");
        let all = summary(vec![(&a, Trouble::timeout()), (&b, spoken)]);
        assert_eq!(all.remedy, "name a group");
        assert_eq!(all.kind, Kind::Other);
        assert!(all.detail.contains("a:26379: no answer"), "{}", all.detail);
        assert!(all.detail.contains("b:26379: it watches"), "{}", all.detail);
        let silent = summary(vec![(&a, Trouble::timeout())]);
        assert_eq!(silent.kind, Kind::Silent);
    }
}
