//! A Redlock client as the Redis documentation describes it: no tokens, no joins.

use std::thread;
use std::time::{Duration, Instant};

use redis::{Connection, Script};

use super::Server;

const DELETE_IF_OURS: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// A plain Redlock client, with a connection to each server.
pub struct PlainRedlock {
    nodes: Vec<Connection>,
    name: String,
    taken: u64,
}

impl PlainRedlock {
    /// A client of these servers; values that it writes begin with `name`.
    pub fn new(servers: &[Server], name: &str) -> Self {
        Self {
            nodes: servers.iter().map(Server::connect).collect(),
            name: name.to_owned(),
            taken: 0,
        }
    }

    /// One attempt; the value of the lease if a quorum was had in time.
    pub fn try_lock(&mut self, lock: &str, ttl: Duration) -> Option<String> {
        self.taken += 1;
        let value = format!("{}-{}", self.name, self.taken);
        let sent = Instant::now();
        let quorum = self.nodes.len() / 2 + 1;
        let set = |node: &mut Connection| {
            let mut command = redis::cmd("SET");
            command.arg(lock).arg(&value).arg("NX").arg("PX");
            command.arg(u64::try_from(ttl.as_millis()).expect("a short TTL"));
            let answer: Option<String> = command.query(node).expect("a node that is up");
            answer.is_some()
        };
        let granted = self.nodes.iter_mut().map(set).filter(|set| *set).count();
        // A hundredth and two milliseconds for the drift of clocks.
        let drift = ttl / 100 + Duration::from_millis(2);
        if granted >= quorum && sent.elapsed() + drift < ttl {
            return Some(value);
        }
        self.unlock(lock, &value);
        None
    }

    /// Tries until it has the lock, with pauses of uneven length.
    pub fn lock(&mut self, lock: &str, ttl: Duration) -> String {
        let give_up = Instant::now() + super::LIMIT;
        while Instant::now() < give_up {
            if let Some(value) = self.try_lock(lock, ttl) {
                return value;
            }
            thread::sleep(Duration::from_micros(500 + (self.taken * 7919) % 5000));
        }
        panic!(
            "{}: {lock:?} was not free within {:?}",
            self.name,
            super::LIMIT
        )
    }

    /// Deletes the key wherever it is ours; whether it was on a quorum.
    pub fn unlock(&mut self, lock: &str, value: &str) -> bool {
        let script = Script::new(DELETE_IF_OURS);
        let quorum = self.nodes.len() / 2 + 1;
        let delete = |node: &mut Connection| {
            let deleted: u64 = script
                .key(lock)
                .arg(value)
                .invoke(node)
                .expect("a node that is up");
            deleted == 1
        };
        self.nodes.iter_mut().map(delete).filter(|was| *was).count() >= quorum
    }
}
