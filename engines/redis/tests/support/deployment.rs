//! Several servers that make one store.

use std::time::Duration;

use super::{Client, Server, until};

/// N independent servers. Dropping it kills them.
pub struct Deployment {
    pub servers: Vec<Server>,
}

impl Deployment {
    /// So many servers that keep nothing on disk.
    pub fn of(nodes: usize) -> Self {
        Self::with(nodes, &[])
    }

    /// So many servers with these lines added to their configuration.
    pub fn with(nodes: usize, lines: &[&str]) -> Self {
        Self {
            servers: (0..nodes).map(|_| Server::start(lines)).collect(),
        }
    }

    /// The URL with these keys, such as `max_ttl=1s&fresh=yes`.
    pub fn url(&self, keys: &str) -> String {
        let hosts: Vec<_> = self.servers.iter().map(Server::host).collect();
        url(&hosts, keys)
    }

    /// Waits until these servers have the keys of locks that `client` takes.
    pub fn await_votes(&self, client: &Client, of: &[usize]) {
        let mut waiting = of.to_vec();
        let mut round = 0;
        // Under many names, since a lease need not ask every node for each.
        until("the nodes vote again", || {
            let name = format!("probe-{round}");
            round += 1;
            if let Ok(Some(lease)) = client.try_take(&name, Duration::from_millis(900)) {
                waiting.retain(|&node| !self.servers[node].has(&name));
                // A lease that is lost was not held by the node asked about.
                let _ = client.give_back(&lease);
            }
            waiting.is_empty()
        });
    }

    /// Takes and releases a lock once with `fresh=yes`, until every node votes, as
    /// an operator does at the first installation.
    pub fn first_use(&self, keys: &str) {
        let client = Client::open(&self.url(&format!("{keys}&fresh=yes")));
        let all: Vec<_> = (0..self.servers.len()).collect();
        self.await_votes(&client, &all);
    }
}

/// A URL of these hosts with these keys.
pub fn url(hosts: &[impl AsRef<str>], keys: &str) -> String {
    let hosts: Vec<_> = hosts.iter().map(AsRef::as_ref).collect();
    match keys {
        "" => format!("redis://{}", hosts.join(",")),
        keys => format!("redis://{}?{keys}", hosts.join(",")),
    }
}
