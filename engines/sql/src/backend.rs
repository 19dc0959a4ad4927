//! The server, whichever it is.

use leasehold_core::{Error, LockName};

use crate::config::SqlOptions;
use crate::fail::Trouble;
use crate::row::{Seen, Write, Wrote};
use std::sync::Arc;

#[cfg(feature = "postgres")]
use crate::postgres::Postgres;

/// The server and the connections to it.
pub(crate) enum Backend {
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
}

impl Backend {
    /// Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for certificates that cannot be used.
    pub(crate) fn new(options: &Arc<SqlOptions>) -> Result<Self, Error> {
        Ok(Self::Postgres(Postgres::new(options)?))
    }

    /// Connects, and sees to it that there is a table.
    pub(crate) async fn open(&self) -> Result<Seen, Trouble> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.open().await,
        }
    }

    /// The row of a name.
    pub(crate) async fn look(&self, name: &LockName) -> Result<Seen, Trouble> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.look(name).await,
        }
    }

    /// Writes a row, if the one there is the expected one.
    pub(crate) async fn write(&self, write: &Write<'_>) -> Result<Wrote, Trouble> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.write(write).await,
        }
    }

    /// The rows in use whose names start with a prefix, by name.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<(String, Seen)>, Trouble> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.list(prefix).await,
        }
    }
}
