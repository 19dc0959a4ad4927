//! The Redis engine keeps the contract: on one, three and five servers, on three
//! that keep their data over a restart, over TLS as a user with no more rights than
//! the documentation asks for, on a master that Sentinel names, and
//! on a Redis Cluster.

#![allow(unused_crate_dependencies)]

mod support;

use std::env;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_conformance::{Extras, Fixture, Outcome, Store, Suite};
use leasehold_core::{Engine, Error};
use libtest_mimic::{Arguments, Completion, Trial};
use support::{Cluster, Deployment, Server, Watched, documented_user, tls, try_open};

/// How many cases run at once. Most of their time is spent waiting.
const THREADS: usize = 8;
/// What the suite tells its own processes by, which need no fixture in particular.
const AGENT: &str = "LEASEHOLD_CONFORMANCE_ADDRESS";

/// As long as the longest lease of the suite: two minutes and a grace.
const KEYS: &str = "max_ttl=150s&fresh=yes";

const FIXTURES: [(&str, Redis); 7] = [
    ("one", Redis::Plain(1)),
    ("three", Redis::Plain(3)),
    ("five", Redis::Plain(5)),
    ("three_durable", Redis::Durable(3)),
    ("tls_acl", Redis::TlsAcl),
    ("sentinel", Redis::Sentinel),
    ("cluster", Redis::Cluster),
];

fn main() {
    if env::var_os(AGENT).is_some() {
        leasehold_conformance::main(Redis::Plain(1));
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let trials = FIXTURES
        .into_iter()
        .flat_map(|(name, fixture)| trials(name, fixture))
        .collect();
    libtest_mimic::run(&arguments, trials).exit()
}

/// The cases of one fixture, named after it.
fn trials(fixture: &str, redis: Redis) -> Vec<Trial> {
    let trial = |case: leasehold_conformance::Case| {
        let name = format!("{fixture}::{}", case.name());
        let promise = case.promise();
        let run = move || match case.run() {
            Outcome::Kept => Ok(Completion::Completed),
            Outcome::NotApplicable(needs) => {
                Ok(Completion::ignored_with(format!("it needs {needs}")))
            }
            Outcome::Broken(how) => Err(how.into()),
        };
        Trial::ignorable_test(name, run).with_kind(promise)
    };
    Suite::new(redis).cases().map(trial).collect()
}

/// Each store is a set of servers of its own: one starts within 10 ms.
#[derive(Clone, Copy)]
enum Redis {
    /// So many servers that keep nothing on disk.
    Plain(usize),
    /// So many that keep whatever they have answered.
    Durable(usize),
    /// One, over TLS with certificates on both sides, as a user of few rights.
    TlsAcl,
    /// The one that three sentinels name.
    Sentinel,
    /// Three masters of a Redis Cluster.
    Cluster,
}

impl Fixture for Redis {
    fn store(&self) -> Result<Box<dyn Store>, Error> {
        let store = match self {
            Self::Plain(nodes) => Servers::of(Deployment::of(*nodes), KEYS),
            Self::Durable(nodes) => {
                let lines = ["appendonly yes", "appendfsync always"];
                let keys = format!("{KEYS}&durable=yes");
                let servers = Servers::of(Deployment::with(*nodes, &lines), &keys);
                Servers {
                    durable: true,
                    ..servers
                }
            }
            Self::TlsAcl => tls_acl(),
            Self::Sentinel => sentinel(),
            Self::Cluster => cluster(),
        };
        Ok(Box::new(store))
    }

    fn open_address(&self, address: &str) -> Result<Arc<dyn Engine>, Error> {
        Ok(Arc::new(try_open(address)?))
    }
}

fn tls_acl() -> Servers {
    let user = documented_user("");
    let (server, host) = tls::server("yes", &[&user]);
    let ca = tls::file("ca.pem");
    let (cert, key) = (tls::file("client.pem"), tls::file("client.key"));
    Servers {
        servers: Mutex::new(vec![server]),
        sentinels: Vec::new(),
        url: format!(
            "rediss://locks:password@{host}?{KEYS}&prefix=app:&ca={ca}&cert={cert}&key={key}"
        ),
        durable: false,
    }
}

fn cluster() -> Servers {
    let cluster = Cluster::start();
    Servers {
        url: cluster.url(KEYS),
        servers: Mutex::new(cluster.servers),
        sentinels: Vec::new(),
        durable: false,
    }
}

fn sentinel() -> Servers {
    let watched = Watched::start(&[false]);
    Servers {
        url: watched.url(KEYS),
        servers: Mutex::new(
            watched
                .groups
                .into_iter()
                .map(|group| group.master)
                .collect(),
        ),
        sentinels: watched.sentinels,
        durable: false,
    }
}

struct Servers {
    servers: Mutex<Vec<Server>>,
    /// Kept for as long as the servers.
    #[expect(dead_code, reason = "they run until this is dropped")]
    sentinels: Vec<Server>,
    url: String,
    durable: bool,
}

impl Servers {
    fn of(deployment: Deployment, keys: &str) -> Self {
        Self {
            url: deployment.url(keys),
            servers: Mutex::new(deployment.servers),
            sentinels: Vec::new(),
            durable: false,
        }
    }

    fn servers(&self) -> MutexGuard<'_, Vec<Server>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Servers {
    fn client(&self) -> Result<Arc<dyn Engine>, Error> {
        Ok(Arc::new(try_open(&self.url)?))
    }

    fn extras(&self) -> Extras {
        Extras {
            reopen: self.durable,
            collect_idle: true,
        }
    }

    fn reopen(&self) -> Result<(), Error> {
        for server in self.servers().iter_mut() {
            server.restart();
        }
        Ok(())
    }

    fn collect_idle(&self) -> Result<(), Error> {
        // What the servers do by themselves when the retention is over.
        for server in self.servers().iter() {
            for key in server.keys() {
                if key.starts_with("leasehold:") && key.contains("fence") {
                    server.call::<u64>(&["DEL", &key]);
                }
            }
        }
        Ok(())
    }

    fn address(&self) -> Option<String> {
        Some(self.url.clone())
    }
}
