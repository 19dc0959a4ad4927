//! Asking Sentinel where a group's master is, each time a node connects.
//!
//! The sentinels are asked in turn, and what one says is believed when the server
//! it names says itself that it is a master: a sentinel that was cut off may still
//! name the one before. A frozen sentinel costs its share of the node's timeout.

use std::time::Duration;

use redis::Value;
use tokio_rustls::TlsConnector;

use crate::RedisOptions;
use crate::address::{Address, Endpoint, Sentinels};
use crate::connect::visit;
use crate::fail::{Kind, Trouble};

/// Where the node is now: that of a group is asked for anew.
///
/// Takes the node's timeout at the longest. May be dropped at any await.
pub(crate) async fn locate(
    options: &RedisOptions,
    tls: Option<&TlsConnector>,
    address: &Address,
) -> Result<Endpoint, Trouble> {
    match address {
        Address::Server(endpoint) => Ok(endpoint.clone()),
        Address::Sentinel { sentinels, group } => {
            let asker = Asker {
                options,
                tls,
                sentinels,
            };
            asker.resolve(group).await
        }
        Address::Cluster { .. } => Err(Trouble::nonsense("a Cluster is no single server")),
    }
}

/// Who asks which sentinels. They speak TLS if the servers do.
struct Asker<'a> {
    options: &'a RedisOptions,
    tls: Option<&'a TlsConnector>,
    sentinels: &'a Sentinels,
}

impl Asker<'_> {
    async fn resolve(&self, group: &str) -> Result<Endpoint, Trouble> {
        let hosts = &self.sentinels.hosts;
        let count = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
        let share = self.options.timeout / count.max(1);
        let mut troubles = Vec::new();
        for host in hosts {
            let ask = async {
                let master = self.ask(host, group).await?;
                self.verify(&master).await?;
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
    async fn ask(&self, host: &Endpoint, group: &str) -> Result<Endpoint, Trouble> {
        let sentinels = self.sentinels;
        let login = (sentinels.user.as_deref(), sentinels.password.as_deref());
        let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", group];
        let said = visit(host, self.tls, login, self.options.timeout, &question).await;
        match redis::from_redis_value::<Option<(String, u16)>>(said.map_err(of_sentinel)?) {
            Ok(Some((host, port))) => Ok(Endpoint::Tcp { host, port }),
            Ok(None) => Err(Trouble::new(
                Kind::Other,
                format!("it watches no master named {group}"),
                "name a group that SENTINEL MASTERS lists, as in redis+sentinel://s1,s2,s3/GROUP",
            )),
            Err(_) => Err(Trouble::nonsense("it names no master that makes sense")),
        }
    }

    /// Whether the server is a master, as it says itself.
    async fn verify(&self, master: &Endpoint) -> Result<(), Trouble> {
        let (login, timeout) = (self.options.login(), self.options.timeout);
        let said = visit(master, self.tls, login, timeout, &["INFO", "replication"]).await;
        let said = said.map_err(|mut trouble| {
            trouble.detail = format!("of the master {master} that it names: {}", trouble.detail);
            trouble
        })?;
        match is_master(said) {
            true => Ok(()),
            false => Err(Trouble::new(
                Kind::Other,
                format!("it names {master}, which is no master"),
                "wait until the failover is over; see what SENTINEL MASTERS says on each sentinel",
            )),
        }
    }
}

fn is_master(info: Value) -> bool {
    let info = redis::from_redis_value::<String>(info).unwrap_or_default();
    info.lines().any(|line| line.trim_end() == "role:master")
}

/// What a sentinel's refusal means: its users are not those of the servers.
fn of_sentinel(mut trouble: Trouble) -> Trouble {
    if trouble.kind == Kind::Denied {
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
