//! How PostgreSQL says it.
//!
//! * `connect.rs`, `tls.rs`: a connection. `pool.rs`: a few of them.
//! * `schema.rs`: the table. `statements.rs`: what is sent, and what comes back.
//! * `listen.rs`: wake-ups. `fail.rs`: what a refusal means.
//! * `doctor.rs`: what a careful operator would check.

mod connect;
pub(crate) mod doctor;
mod fail;
pub(crate) mod listen;
mod pool;
mod schema;
mod statements;
mod tls;

use std::sync::Arc;

use leasehold_core::{Error, LockName};
use tokio_postgres::Row as PgRow;
use tokio_postgres::types::{ToSql, Type};

use crate::config::SqlOptions;
use crate::fail::{Kind, Trouble};
use crate::row::{Seen, Write, Wrote};
use pool::Pool;
use statements::Statements;
use tls::Tls;

pub(crate) use connect::connect;

/// A PostgreSQL server and the connections to it.
pub(crate) struct Postgres {
    pub(crate) options: Arc<SqlOptions>,
    pub(crate) tls: Tls,
    pool: Pool,
    statements: std::cell::OnceCell<Statements>,
}

impl Postgres {
    pub(crate) fn new(options: &Arc<SqlOptions>) -> Result<Self, Error> {
        Ok(Self {
            options: Arc::clone(options),
            tls: Tls::new(options.tls.as_ref())?,
            pool: Pool::default(),
            statements: std::cell::OnceCell::new(),
        })
    }

    pub(crate) async fn open(&self) -> Result<Seen, Trouble> {
        let connection = self.pool.get(self).await?;
        let opening = schema::prepare(&connection.client, &self.options);
        let Ok(prepared) = tokio::time::timeout(self.options.timeout, opening).await else {
            return Err(self.silent());
        };
        let statements = Statements::new(&self.options.table, prepared?.has_timeline);
        let statements = self.statements.get_or_init(|| statements);
        let name = String::new();
        let rows = self.ask(&statements.look, &[(&name, Type::TEXT)]).await?;
        statements::seen(rows.first()).map_err(|trouble| self.odd(trouble))
    }

    pub(crate) async fn look(&self, name: &LockName) -> Result<Seen, Trouble> {
        let name = name.as_str();
        let sql = &self.statements()?.look;
        // Nothing is changed by it, so a connection that broke is no reason to fail.
        let rows = match self.ask(sql, &[(&name, Type::TEXT)]).await {
            Err(trouble) if trouble.kind == Kind::Silent => {
                self.ask(sql, &[(&name, Type::TEXT)]).await?
            }
            asked => asked?,
        };
        statements::seen(rows.first()).map_err(|trouble| self.odd(trouble))
    }

    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<(String, Seen)>, Trouble> {
        let sql = &self.statements()?.list;
        let rows = self.ask(sql, &[(&prefix, Type::TEXT)]).await?;
        let listed = rows.iter().map(statements::listed);
        listed
            .collect::<Result<_, _>>()
            .map_err(|trouble| self.odd(trouble))
    }

    pub(crate) async fn write(&self, write: &Write<'_>) -> Result<Wrote, Trouble> {
        let sql = self.statements()?.write(write);
        let values = statements::Values::of(write);
        let rows = self.ask(sql, &values.parameters(write)).await?;
        statements::wrote(rows.first()).map_err(|trouble| self.odd(trouble))
    }

    /// Sends a wake-up without writing anything.
    pub(crate) async fn notify(&self, channel: &str, payload: &str) -> Result<(), Trouble> {
        let parameters: [(&(dyn ToSql + Sync), Type); 2] =
            [(&channel, Type::TEXT), (&payload, Type::TEXT)];
        self.ask("SELECT pg_notify($1, $2)", &parameters)
            .await
            .map(drop)
    }

    /// Sends one statement, which is a transaction of its own, and waits for its
    /// answer. It is not prepared, so that it may go through a pooler.
    async fn ask(
        &self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<PgRow>, Trouble> {
        let connection = self.pool.get(self).await?;
        let _used = connection.begin();
        let asked = connection.client.query_typed(sql, parameters);
        match tokio::time::timeout(self.options.timeout, asked).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => {
                let trouble = fail::of_request(&self.options, &error);
                if trouble.kind == Kind::Silent {
                    connection.give_up();
                }
                Err(trouble)
            }
            Err(_) => {
                connection.give_up();
                Err(self.silent())
            }
        }
    }

    fn statements(&self) -> Result<&Statements, Trouble> {
        self.statements.get().ok_or_else(|| {
            Trouble::new(
                Kind::Refused,
                "it is not open yet",
                "report it as a mistake of Leasehold",
            )
        })
    }

    fn silent(&self) -> Trouble {
        Trouble::new(
            Kind::Silent,
            format!(
                "{} gave no answer within {:?}",
                self.options.place(),
                self.options.timeout
            ),
            "see that the server runs and the network lets it be reached; if it is only slow, or a transaction keeps the lock's row, raise timeout= in the URL",
        )
    }

    /// The answer is none that the statement gives.
    fn odd(&self, error: tokio_postgres::Error) -> Trouble {
        Trouble::new(
            Kind::Shape,
            format!(
                "{} on {}: {error}",
                self.options.table,
                self.options.place()
            ),
            "choose another table= in the URL, or restore its columns as docs/engines/postgres.md has them",
        )
    }
}
