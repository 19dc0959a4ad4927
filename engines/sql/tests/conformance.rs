//! The engine keeps the contract: on PostgreSQL woken by the server, polling, and
//! through a pooler in transaction mode; on MariaDB; and over restarts of both.

#![allow(unused_crate_dependencies)]

mod support;

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use leasehold_conformance::{Extras, Fixture, Outcome, Store, Suite};
use leasehold_core::{Engine, Error};
use libtest_mimic::{Arguments, Completion, Trial};
use support::{Mariadb, Pooler, Server, try_open};

/// How many cases run at once. Most of their time is spent waiting.
const THREADS: usize = 6;
/// What the suite tells its own processes by, which need no fixture in particular.
const AGENT: &str = "LEASEHOLD_CONFORMANCE_ADDRESS";

const FIXTURES: [(&str, Sql); 6] = [
    ("mysql", Sql::Mysql),
    ("mysql_restart", Sql::MysqlRestart),
    ("postgres", Sql::Postgres),
    ("postgres_poll", Sql::PostgresPoll),
    ("postgres_pooler", Sql::PostgresPooler),
    ("postgres_restart", Sql::PostgresRestart),
];

fn main() {
    if env::var_os(AGENT).is_some() {
        leasehold_conformance::main(Sql::Postgres);
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let trials = FIXTURES
        .into_iter()
        .flat_map(|(name, fixture)| trials(name, fixture))
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Statics are not dropped; their servers die with this process.
    conclusion.exit()
}

/// The cases of one fixture, named after it.
fn trials(fixture: &str, sql: Sql) -> Vec<Trial> {
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
    let suite = Suite::new(sql);
    suite
        .cases()
        .filter(|case| !sql.restarts() || case.name().contains("reopening"))
        .map(trial)
        .collect()
}

/// Each store is a table of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sql {
    Mysql,
    MysqlRestart,
    Postgres,
    PostgresPoll,
    PostgresPooler,
    /// With a server of its own, for the few cases that restart it.
    PostgresRestart,
}

impl Sql {
    fn restarts(self) -> bool {
        matches!(self, Self::PostgresRestart | Self::MysqlRestart)
    }
}

impl Fixture for Sql {
    fn store(&self) -> Result<Box<dyn Store>, Error> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let table = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let keys = format!("table={table}&connections=2&timeout=20s");
        let (url, own) = match self {
            Self::Mysql => (mariadb().url(&format!("{keys}&poll=20ms")), None),
            Self::MysqlRestart => {
                let own = Mariadb::start(&[]);
                let url = own.url(&format!("{keys}&poll=20ms"));
                (url, Some(Own::Mysql(own)))
            }
            Self::Postgres => (server().url(&keys), None),
            Self::PostgresPoll => (server().url(&format!("{keys}&wake=poll&poll=20ms")), None),
            Self::PostgresPooler => (pooler().url(&format!("{keys}&poll=20ms")), None),
            Self::PostgresRestart => {
                let own = Server::start(&[]);
                (own.url(&keys), Some(Own::Postgres(own)))
            }
        };
        let own = own.map(Mutex::new);
        Ok(Box::new(Table { url, table, own }))
    }

    fn open_address(&self, address: &str) -> Result<Arc<dyn Engine>, Error> {
        Ok(Arc::new(try_open(address)?))
    }
}

/// The server of most stores.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&["max_connections = 900"]))
}

fn mariadb() -> &'static Mariadb {
    static SERVER: OnceLock<Mariadb> = OnceLock::new();
    SERVER.get_or_init(|| Mariadb::start(&["--max-connections=900"]))
}

fn pooler() -> &'static Pooler {
    static POOLER: OnceLock<Pooler> = OnceLock::new();
    POOLER.get_or_init(|| Pooler::before(server(), 12))
}

struct Table {
    url: String,
    table: String,
    own: Option<Mutex<Own>>,
}

/// A server that no other store is on.
enum Own {
    Postgres(Server),
    Mysql(Mariadb),
}

impl Table {
    fn own(&self) -> Option<MutexGuard<'_, Own>> {
        let own = self.own.as_ref()?;
        Some(own.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn sql(&self, statement: &str) {
        match self.own().as_deref() {
            Some(Own::Postgres(own)) => drop(own.sql(statement)),
            Some(Own::Mysql(own)) => drop(own.sql(statement)),
            None if self.url.starts_with("mysql") => drop(mariadb().sql(statement)),
            None => drop(server().sql(statement)),
        }
    }
}

impl Store for Table {
    fn client(&self) -> Result<Arc<dyn Engine>, Error> {
        Ok(Arc::new(try_open(&self.url)?))
    }

    fn extras(&self) -> Extras {
        Extras {
            reopen: self.own.is_some(),
            collect_idle: true,
        }
    }

    fn reopen(&self) -> Result<(), Error> {
        match self.own().as_deref_mut() {
            Some(Own::Postgres(own)) => own.restart(),
            Some(Own::Mysql(own)) => own.restart(),
            None => {}
        }
        Ok(())
    }

    fn collect_idle(&self) -> Result<(), Error> {
        // As docs/engines/postgres.md lets operators do it.
        self.sql(&format!(
            "DELETE FROM {} WHERE held_until IS NULL",
            self.table
        ));
        Ok(())
    }

    fn address(&self) -> Option<String> {
        Some(self.url.clone())
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if self.own.is_none() {
            // No reason to fail twice.
            let drop = format!("DROP TABLE IF EXISTS {}", self.table);
            if self.url.starts_with("mysql") {
                let _ = mariadb().try_sql(&drop);
            } else {
                let _ = server().try_sql(&drop);
            }
        }
    }
}
