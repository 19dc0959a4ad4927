//! The Redis engine keeps the contract, on one, three and five servers, and on
//! three that keep their data over a restart.

#![allow(unused_crate_dependencies)]

mod support;

use std::env;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_conformance::{Extras, Fixture, Outcome, Store, Suite};
use leasehold_core::{Engine, Error};
use libtest_mimic::{Arguments, Completion, Trial};
use support::{Deployment, try_open};

/// How many cases run at once. Most of their time is spent waiting.
const THREADS: usize = 8;
/// What the suite tells its own processes by, which need no fixture in particular.
const AGENT: &str = "LEASEHOLD_CONFORMANCE_ADDRESS";

const FIXTURES: [(&str, Redis); 4] = [
    ("one", Redis::of(1)),
    ("three", Redis::of(3)),
    ("five", Redis::of(5)),
    (
        "three_durable",
        Redis {
            nodes: 3,
            durable: true,
        },
    ),
];

fn main() {
    if env::var_os(AGENT).is_some() {
        leasehold_conformance::main(Redis::of(1));
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
struct Redis {
    nodes: usize,
    durable: bool,
}

impl Redis {
    const fn of(nodes: usize) -> Self {
        Self {
            nodes,
            durable: false,
        }
    }
}

impl Fixture for Redis {
    fn store(&self) -> Result<Box<dyn Store>, Error> {
        let lines: &[&str] = match self.durable {
            true => &["appendonly yes", "appendfsync always"],
            false => &[],
        };
        let servers = Deployment::with(self.nodes, lines);
        // As long as the longest lease of the suite: two minutes and a grace.
        let url = match self.durable {
            true => servers.url("max_ttl=150s&fresh=yes&durable=yes"),
            false => servers.url("max_ttl=150s&fresh=yes"),
        };
        Ok(Box::new(Servers {
            servers: Mutex::new(servers),
            url,
            durable: self.durable,
        }))
    }

    fn open_address(&self, address: &str) -> Result<Arc<dyn Engine>, Error> {
        Ok(Arc::new(try_open(address)?))
    }
}

struct Servers {
    servers: Mutex<Deployment>,
    url: String,
    durable: bool,
}

impl Servers {
    fn servers(&self) -> MutexGuard<'_, Deployment> {
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
        for server in &mut self.servers().servers {
            server.restart();
        }
        Ok(())
    }

    fn collect_idle(&self) -> Result<(), Error> {
        // What the servers do by themselves when the retention is over.
        for server in &self.servers().servers {
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
