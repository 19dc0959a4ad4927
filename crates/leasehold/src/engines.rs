//! Which engines there are, and the URL that chooses among them.

use std::sync::Arc;

use leasehold_core::{Capabilities, Engine, EngineUrl, Error, Wakeup};

/// A kind of engine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineInfo {
    /// The kind, as in the URL.
    pub kind: &'static str,
    /// What its URLs look like.
    pub url: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Whether this build has it.
    pub compiled_in: bool,
    /// What it can do.
    pub capabilities: Capabilities,
}

static ENGINES: [EngineInfo; 5] = [
    EngineInfo {
        kind: "local",
        url: "local: or local:/path/to/locks.db",
        about: "a file, for any number of processes of one machine",
        compiled_in: cfg!(feature = "local"),
        capabilities: Capabilities::all(),
    },
    EngineInfo {
        kind: "memory",
        url: "memory: or memory:NAME",
        about: "the memory of one process, for tests",
        compiled_in: cfg!(feature = "memory"),
        capabilities: Capabilities::all(),
    },
    EngineInfo {
        kind: "redis",
        url: "redis[s]://r1,r2,r3 or redis+unix: or redis[s]+sentinel://, …+cluster://",
        about: "one to nine independent Redis servers: Redlock with fencing tokens",
        compiled_in: cfg!(feature = "redis"),
        capabilities: OF_REDIS,
    },
    EngineInfo {
        kind: "mysql",
        url: "mysql://user@host/database or mariadb://",
        about: "a table of a MySQL or MariaDB database; the token can be checked in your own transactions",
        compiled_in: cfg!(feature = "mysql"),
        capabilities: OF_MYSQL,
    },
    EngineInfo {
        kind: "postgres",
        url: "postgres://user@host/database",
        about: "a table of a PostgreSQL database; the token can be checked in your own transactions",
        compiled_in: cfg!(feature = "postgres"),
        capabilities: OF_POSTGRES,
    },
];

/// What the Redis engine says of itself, known to builds without it as well.
const OF_REDIS: Capabilities = {
    let mut can = Capabilities::all();
    can.detects_death = false;
    can
};

/// What the MySQL engine says of itself.
const OF_MYSQL: Capabilities = {
    let mut can = Capabilities::all();
    can.wakeup = Wakeup::Polled;
    can.detects_death = false;
    can
};

/// What the PostgreSQL engine says of itself where wake-ups come through.
const OF_POSTGRES: Capabilities = {
    let mut can = Capabilities::all();
    can.detects_death = false;
    can
};

/// Schemes of stores that Leasehold has no engine for yet.
const PLANNED: [&str; 6] = ["etcd", "zookeeper", "consul", "s3", "gs", "az"];

/// The engines there are, whether or not this build has them.
#[must_use]
pub fn engines() -> &'static [EngineInfo] {
    &ENGINES
}

/// Opens the engine of a URL.
pub(crate) async fn open(url: &str) -> Result<Arc<dyn Engine>, Error> {
    let url = EngineUrl::parse(url)?;
    match url.scheme() {
        #[cfg(feature = "local")]
        "local" => {
            let options = leasehold_local::LocalOptions::from_url(url)?;
            Ok(Arc::new(leasehold_local::LocalEngine::open(options)?))
        }
        #[cfg(feature = "memory")]
        "memory" => Ok(Arc::new(leasehold_memory::MemoryEngine::from_url(url)?)),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+unix" | "redis+sentinel" | "rediss+sentinel"
        | "redis+cluster" | "rediss+cluster" => {
            let options = leasehold_redis::RedisOptions::from_url(url)?;
            Ok(Arc::new(
                leasehold_redis::RedisEngine::connect(options).await?,
            ))
        }
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => {
            let options = leasehold_sql::SqlOptions::from_url(url)?;
            Ok(Arc::new(leasehold_sql::SqlEngine::connect(options).await?))
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            let options = leasehold_sql::SqlOptions::from_url(url)?;
            Ok(Arc::new(leasehold_sql::SqlEngine::connect(options).await?))
        }
        other => Err(refusal(other)),
    }
}

/// Shows the scheme only: the rest of a URL may hold a password.
pub(crate) fn refusal(scheme: &str) -> Error {
    let all = ENGINES.iter().map(|engine| engine.kind);
    let has = ENGINES.iter().filter(|engine| engine.compiled_in);
    let has: Vec<_> = has.map(|engine| format!("{}:", engine.kind)).collect();
    let has = if has.is_empty() {
        "none".to_owned()
    } else {
        has.join(", ")
    };
    let kind = match scheme {
        "rediss" | "redis+unix" | "redis+sentinel" | "rediss+sentinel" | "redis+cluster"
        | "rediss+cluster" => "redis",
        "postgresql" => "postgres",
        "mariadb" => "mysql",
        other => other,
    };
    let remedy = if all.clone().any(|known| known == kind) {
        format!("build leasehold with its feature {kind:?}; this build has {has}")
    } else if PLANNED.contains(&scheme) {
        format!("leasehold has no engine for it yet; this build has {has}")
    } else {
        format!("no engine has this name; this build has {has}")
    };
    Error::invalid("url scheme", scheme, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_opened_is_told_with_what_can() {
        for (url, said) in [
            ("dove://user:secret@db", "no engine has this name"),
            ("carrier-pigeon:", "no engine has this name"),
        ] {
            let error = pollster::block_on(open(url)).err().unwrap().to_string();
            assert!(error.contains(said), "{error}");
            assert!(!error.contains("secret"), "{error}");
            #[cfg(feature = "memory")]
            assert!(error.contains("memory:"), "{error}");
        }
    }

    #[cfg(feature = "redis")]
    #[test]
    fn what_is_said_of_redis_is_what_it_says() {
        assert_eq!(OF_REDIS, leasehold_redis::capabilities());
    }

    #[cfg(feature = "mysql")]
    #[test]
    fn what_is_said_of_mysql_is_what_it_says() {
        assert_eq!(OF_MYSQL, leasehold_sql::capabilities(Wakeup::Polled));
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn what_is_said_of_postgres_is_what_it_says() {
        assert_eq!(OF_POSTGRES, leasehold_sql::capabilities(Wakeup::Pushed));
    }

    #[cfg(not(feature = "redis"))]
    #[test]
    fn a_build_without_redis_says_so() {
        for url in ["redis://user:secret@r1", "rediss://user:secret@r1"] {
            let error = pollster::block_on(open(url)).err().unwrap().to_string();
            assert!(error.contains("feature \"redis\""), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[cfg(feature = "memory")]
    #[test]
    fn what_is_said_of_an_engine_is_what_it_says() {
        let engine = pollster::block_on(open("memory:")).unwrap();
        let info = engines()
            .iter()
            .find(|info| info.kind == engine.kind())
            .unwrap();
        assert_eq!(info.capabilities, engine.capabilities());
    }
}
