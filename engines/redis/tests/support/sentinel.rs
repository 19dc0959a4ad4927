//! Masters with replicas, and the sentinels that watch them.

use std::collections::HashMap;

use super::{Server, free_port, tls, until};

/// How many sentinels watch; two of them agree on a failover.
const SENTINELS: usize = 3;

/// One master, and a replica if it has one.
pub struct Group {
    pub name: String,
    pub master: Server,
    pub replica: Option<Server>,
    /// Where the sentinels find the master.
    port: u16,
}

/// Groups and their sentinels. Dropping them kills them.
pub struct Watched {
    pub groups: Vec<Group>,
    pub sentinels: Vec<Server>,
    /// The sentinels' ports for TLS, if they speak it.
    secure: Vec<u16>,
}

impl Watched {
    /// One group for each entry: whether it has a replica.
    pub fn start(replicas: &[bool]) -> Self {
        Self::with(replicas, &[])
    }

    /// The same, with these lines added to the sentinels' configuration.
    pub fn with(replicas: &[bool], lines: &[&str]) -> Self {
        let groups = replicas.iter().enumerate().map(Group::start).collect();
        Self::watch(groups, lines)
    }

    /// One group with a replica, where all servers and sentinels speak TLS to each
    /// other and to clients, with certificates on both sides.
    pub fn with_tls() -> Self {
        let groups = vec![Group::with_tls()];
        let secure: Vec<u16> = (0..SENTINELS).map(|_| free_port()).collect();
        let watch: Vec<_> = groups.iter().flat_map(Group::watch).collect();
        let start = |port: &u16| {
            let mut lines = mutual(*port);
            // They find each other at the ports that speak TLS.
            lines.push(format!("sentinel announce-port {port}"));
            lines.extend(watch.clone());
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            Server::sentinel(&lines)
        };
        Self {
            sentinels: secure.iter().map(start).collect(),
            groups,
            secure,
        }
    }

    fn watch(groups: Vec<Group>, lines: &[&str]) -> Self {
        let watch: Vec<_> = groups.iter().flat_map(Group::watch).collect();
        let lines: Vec<_> = watch
            .iter()
            .map(String::as_str)
            .chain(lines.iter().copied())
            .collect();
        let sentinels: Vec<_> = (0..SENTINELS).map(|_| Server::sentinel(&lines)).collect();
        Self {
            groups,
            sentinels,
            secure: Vec::new(),
        }
    }

    /// Has the sentinels look at the servers twice a second instead of every ten
    /// seconds.
    fn hurry(&self) {
        for sentinel in &self.sentinels {
            let periods = ["INFO-PERIOD", "500", "PUBLISH-PERIOD", "500"];
            sentinel.call::<()>(&[&["SENTINEL", "DEBUG"], &periods[..]].concat());
        }
    }

    /// Waits until the sentinels know of each other and of the replicas, so that
    /// they can fail over.
    pub fn await_readiness(&self) {
        self.hurry();
        for (sentinel, group) in self.watching() {
            until("a sentinel knows the others and the replica", || {
                let seen = look(sentinel, &group.name);
                let replicas = usize::from(group.replica.is_some());
                seen["num-other-sentinels"] == (SENTINELS - 1).to_string()
                    && seen["num-slaves"] == replicas.to_string()
                    && sentinel_calls_replica_usable(sentinel, group)
            });
        }
    }

    /// Waits until every sentinel names this server as the group's master, and it
    /// is one.
    pub fn await_master(&self, group: usize, master: &Server) {
        let name = &self.groups[group].name;
        for sentinel in &self.sentinels {
            until("a sentinel names the new master", || {
                let port = look(sentinel, name)["port"].clone();
                port == master.port().to_string() || Some(port) == master.tls_port()
            });
        }
        until("the new master is one", || role(master) == "master");
    }

    /// The URL of these groups with these keys.
    pub fn url(&self, keys: &str) -> String {
        let mut sentinels: Vec<_> = self.sentinels.iter().map(Server::host).collect();
        let scheme = match self.secure.is_empty() {
            true => "redis+sentinel",
            false => "rediss+sentinel",
        };
        if !self.secure.is_empty() {
            let hosts = self.secure.iter().map(|port| format!("127.0.0.1:{port}"));
            sentinels = hosts.collect();
        }
        let groups: Vec<_> = self
            .groups
            .iter()
            .map(|group| group.name.as_str())
            .collect();
        let (sentinels, groups) = (sentinels.join(","), groups.join(","));
        format!("{scheme}://{sentinels}/{groups}?{keys}")
    }

    fn watching(&self) -> impl Iterator<Item = (&Server, &Group)> {
        let groups = |sentinel| self.groups.iter().map(move |group| (sentinel, group));
        self.sentinels.iter().flat_map(groups)
    }
}

impl Group {
    fn start((number, replica): (usize, &bool)) -> Self {
        // Replicas are served at once, not after a delay that gathers several.
        let master = Server::start(&["repl-diskless-sync-delay 0"]);
        let follow = format!("replicaof 127.0.0.1 {}", master.port());
        Self {
            name: format!("group{number}"),
            replica: replica.then(|| Server::start(&[&follow])),
            port: master.port(),
            master,
        }
    }

    fn with_tls() -> Self {
        let (port, other) = (free_port(), free_port());
        let start = |port: u16, more: &[String]| {
            let mut lines = mutual(port);
            lines.push("repl-diskless-sync-delay 0".to_owned());
            // What a replica tells its master of, and that the sentinels.
            lines.push(format!("replica-announce-port {port}"));
            lines.extend(more.iter().cloned());
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            Server::start(&lines)
        };
        Self {
            name: "group0".to_owned(),
            master: start(port, &[]),
            replica: Some(start(other, &[format!("replicaof 127.0.0.1 {port}")])),
            port,
        }
    }

    fn watch(&self) -> [String; 3] {
        let (name, port) = (&self.name, self.port);
        [
            format!("sentinel monitor {name} 127.0.0.1 {port} 2"),
            format!("sentinel down-after-milliseconds {name} 1000"),
            format!("sentinel failover-timeout {name} 4000"),
        ]
    }

    /// The replica, of a group that has one.
    pub fn replica(&self) -> &Server {
        self.replica.as_ref().expect("this group has a replica")
    }
}

/// Servers that speak TLS to whomever they talk to.
fn mutual(port: u16) -> Vec<String> {
    let mut lines = tls::lines(port, "yes").to_vec();
    lines.push("tls-replication yes".to_owned());
    lines.push(format!("tls-client-cert-file {}", tls::file("client.pem")));
    lines.push(format!("tls-client-key-file {}", tls::file("client.key")));
    lines
}

/// What the server says that it is: master or slave. Nothing while it hangs up, as it
/// does on all its clients when a sentinel changes its role.
pub fn role(server: &Server) -> String {
    let client = redis::Client::open(format!("redis://{}/", server.host()));
    let asked = client.and_then(|client| {
        let mut connection = client.get_connection()?;
        let mut info = redis::cmd("INFO");
        info.arg("replication").query::<String>(&mut connection)
    });
    let info = asked.unwrap_or_default();
    let role = info.lines().find_map(|line| line.strip_prefix("role:"));
    role.unwrap_or_default().trim().to_owned()
}

fn look(sentinel: &Server, group: &str) -> HashMap<String, String> {
    sentinel.call(&["SENTINEL", "MASTER", group])
}

/// Whether the sentinel would promote the replica: it is in sync.
fn sentinel_calls_replica_usable(sentinel: &Server, group: &Group) -> bool {
    let replicas: Vec<HashMap<String, String>> =
        sentinel.call(&["SENTINEL", "REPLICAS", &group.name]);
    replicas
        .iter()
        .all(|replica| replica["master-link-status"] == "ok" && replica["flags"] == "slave")
}
