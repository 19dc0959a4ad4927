//! The server, whichever it is.

use leasehold_core::{Error, LockName};

use crate::config::SqlOptions;
use crate::fail::Trouble;
use crate::fence::Dialect;
use crate::row::{Seen, Write, Wrote};
use std::sync::Arc;

#[cfg(feature = "mysql")]
use crate::mysql::Mysql;
#[cfg(feature = "postgres")]
use crate::postgres::Postgres;

/// The server and the connections to it.
pub(crate) enum Backend {
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
    #[cfg(feature = "mysql")]
    Mysql(Mysql),
}

impl Backend {
    /// Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for certificates that cannot be used.
    pub(crate) fn new(options: &Arc<SqlOptions>) -> Result<Self, Error> {
        match options.dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => Ok(Self::Postgres(Postgres::new(options)?)),
            #[cfg(feature = "mysql")]
            Dialect::Mysql => Ok(Self::Mysql(Mysql::new(options))),
            #[cfg(not(all(feature = "postgres", feature = "mysql")))]
            _ => Err(Error::invalid(
                "url",
                options.kind(),
                "build leasehold with the feature of this name",
            )),
        }
    }

    /// Connects, and sees to it that there is a table.
    pub(crate) async fn open(&self) -> Result<Seen, Trouble> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.open().await,
            #[cfg(feature = "mysql")]
            Self::Mysql(mysql) => mysql.open().await,
        }
    }

    /// The row of a name.
    pub(crate) async fn look(&self, name: &LockName) -> Result<Seen, Trouble> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.look(name).await,
            #[cfg(feature = "mysql")]
            Self::Mysql(mysql) => mysql.look(name).await,
        }
    }

    /// Writes a row, if the one there is the expected one.
    pub(crate) async fn write(&self, write: &Write<'_>) -> Result<Wrote, Trouble> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.write(write).await,
            #[cfg(feature = "mysql")]
            Self::Mysql(mysql) => mysql.write(write).await,
        }
    }

    /// The rows in use whose names start with a prefix, by name.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<(String, Seen)>, Trouble> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.list(prefix).await,
            #[cfg(feature = "mysql")]
            Self::Mysql(mysql) => mysql.list(prefix).await,
        }
    }
}
