//! A Redis Cluster of real servers.

use std::process::{Command, Stdio};

use super::{Server, free_port, tls, until};

/// How many masters a Cluster has.
pub const MASTERS: usize = 3;
/// How many slots a Cluster has.
const SLOTS: usize = 16_384;

/// Three masters, each with a replica if that is wanted. Dropping it kills them.
pub struct Cluster {
    /// The masters first, in the order of their slots; then their replicas.
    pub servers: Vec<Server>,
    /// Ports for TLS, if they speak it.
    tls: Vec<u16>,
}

impl Cluster {
    /// Three masters without replicas.
    pub fn start() -> Self {
        Self::build(0, &[], false)
    }

    /// Three masters and three replicas.
    pub fn with_replicas() -> Self {
        Self::build(1, &[], false)
    }

    /// The same without replicas, with these lines added to the configuration; over TLS
    /// with certificates on both sides if so wanted.
    pub fn with(lines: &[&str], secure: bool) -> Self {
        Self::build(0, lines, secure)
    }

    fn build(replicas: usize, lines: &[&str], secure: bool) -> Self {
        let count = MASTERS * (1 + replicas);
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let start = |secure_port: &u16| {
            let bus = free_port();
            let mut all = vec![
                "cluster-enabled yes".to_owned(),
                "cluster-node-timeout 1000".to_owned(),
                "cluster-replica-validity-factor 0".to_owned(),
                "repl-diskless-sync-delay 0".to_owned(),
                format!("cluster-port {bus}"),
            ];
            if secure {
                all.extend(tls::lines(*secure_port, "yes"));
                // To each other they are clients. Before Redis 7.2 the ports for TLS
                // are told only if the servers speak it among themselves.
                all.push("tls-cluster yes".to_owned());
                all.push(format!("tls-client-cert-file {}", tls::file("client.pem")));
                all.push(format!("tls-client-key-file {}", tls::file("client.key")));
            }
            all.extend(lines.iter().map(|line| (*line).to_owned()));
            let all: Vec<_> = all.iter().map(String::as_str).collect();
            (Server::start(&all), bus)
        };
        let started: Vec<_> = ports.iter().map(start).collect();
        let cluster = Self {
            tls: if secure { ports } else { Vec::new() },
            servers: Vec::new(),
        };
        cluster.join(started)
    }

    /// Makes one Cluster of them: what `redis-cli --cluster create` does, without its
    /// pauses.
    fn join(mut self, started: Vec<(Server, u16)>) -> Self {
        for (place, (server, _)) in started.iter().enumerate() {
            let epoch = (place + 1).to_string();
            server.call::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
            if place < MASTERS {
                let (first, last) = slots_of(place);
                server.call::<()>(&[
                    "CLUSTER",
                    "ADDSLOTSRANGE",
                    &first.to_string(),
                    &last.to_string(),
                ]);
            }
        }
        for (server, _) in &started {
            // With all others, so that nobody has to hear of somebody by gossip.
            for (place, (other, bus)) in started.iter().enumerate() {
                if other.port() != server.port() {
                    let port = self.tls.get(place).copied().unwrap_or(other.port());
                    let (port, bus) = (port.to_string(), bus.to_string());
                    server.call::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
                }
            }
        }
        self.servers = started.into_iter().map(|(server, _)| server).collect();
        let count = self.servers.len();
        for server in &self.servers {
            until("the servers know each other", || {
                let nodes: String = server.call(&["CLUSTER", "NODES"]);
                nodes.lines().count() == count && !nodes.contains("handshake")
            });
        }
        for place in MASTERS..count {
            let master = id(&self.servers[place % MASTERS]);
            self.servers[place].call::<()>(&["CLUSTER", "REPLICATE", &master]);
        }
        self.await_health();
        self
    }

    /// Waits until all servers agree that all slots are served, and every replica
    /// follows.
    pub fn await_health(&self) {
        for server in &self.servers {
            until("the Cluster is well", || {
                let info: String = server.call(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok")
                    && info.contains(&format!("cluster_slots_ok:{SLOTS}"))
            });
        }
        let replicas = self.servers.len() - MASTERS;
        for server in &self.servers {
            until("all know who follows whom", || {
                let nodes: String = server.call(&["CLUSTER", "NODES"]);
                nodes.matches("slave").count() == replicas
            });
        }
        for replica in &self.servers[MASTERS..] {
            until("a replica follows", || {
                let info: String = replica.call(&["INFO", "replication"]);
                info.contains("master_link_status:up")
            });
        }
    }

    /// The master that serves this key at the start.
    pub fn master_of(&self, key: &str) -> usize {
        let slot = self.slot_of(key);
        (0..MASTERS)
            .find(|&place| slot <= slots_of(place).1)
            .expect("every slot has a master")
    }

    pub fn slot_of(&self, key: &str) -> usize {
        self.servers[0].call(&["CLUSTER", "KEYSLOT", key])
    }

    /// The replica of a master at the start.
    pub fn replica_of(&self, master: usize) -> &Server {
        &self.servers[MASTERS + master]
    }

    /// The URL with these keys.
    pub fn url(&self, keys: &str) -> String {
        let hosts: Vec<_> = self.servers.iter().map(Server::host).collect();
        format!("redis+cluster://{}?{keys}", hosts.join(","))
    }

    /// The hosts and ports for TLS.
    pub fn tls_hosts(&self) -> String {
        let hosts: Vec<_> = self
            .tls
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        hosts.join(",")
    }

    /// A key of a slot that this master serves at the start, beginning with this.
    pub fn name_on(&self, master: usize, begins: &str) -> String {
        let names = (0..).map(|number| format!("{begins}{number}"));
        let mut names = names.filter(|name| self.master_of(name) == master);
        names.next().expect("names do not run out")
    }

    /// Moves a slot with all its keys as `redis-cli --cluster reshard` does it.
    pub fn move_slot(&self, slot: usize, from: &Server, to: &Server) {
        self.begin_move(slot, from, to);
        self.end_move(slot, from, to);
    }

    /// Begins to move a slot: from now on new keys belong on the other side.
    pub fn begin_move(&self, slot: usize, from: &Server, to: &Server) {
        let (slot, source, target) = (slot.to_string(), id(from), id(to));
        to.call::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
        from.call::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
    }

    /// Moves the keys, and ends it.
    pub fn end_move(&self, slot: usize, from: &Server, to: &Server) {
        let (slot, target, port) = (slot.to_string(), id(to), to.port().to_string());
        loop {
            let keys: Vec<String> = from.call(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            if keys.is_empty() {
                break;
            }
            for key in keys {
                // Some may have run out meanwhile.
                from.call::<String>(&["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"]);
            }
        }
        to.call::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        from.call::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        for master in self.servers.iter().take(MASTERS) {
            if master.is_up() {
                master.call::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
            }
        }
    }

    /// Lets a replica fall behind: it stands still, and nothing more is sent to it.
    pub fn hold_back_the_replica(&self, master: usize, mark: &str) {
        self.replica_of(master).freeze();
        let master = &self.servers[master];
        // What was sent before waits in the replica's socket; what comes now is lost.
        master.call::<u64>(&["CLIENT", "KILL", "TYPE", "replica"]);
        master.call::<()>(&["SET", mark, "yes"]);
    }

    /// What `redis-cli --cluster check` finds: whether all is well.
    pub fn check(&self) -> bool {
        let done = Command::new("redis-cli")
            .args(["--cluster", "check", &self.servers[0].host()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        done.expect("redis-cli is on PATH (Debian package redis-tools)")
            .success()
    }
}

/// The slots that a master serves at the start, both included.
fn slots_of(master: usize) -> (usize, usize) {
    let first = master * SLOTS / MASTERS;
    (first, (master + 1) * SLOTS / MASTERS - 1)
}

fn id(server: &Server) -> String {
    server.call(&["CLUSTER", "MYID"])
}
