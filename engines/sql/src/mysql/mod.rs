//! How MySQL and MariaDB say it.
//!
//! * `connect.rs`: a connection. `pool.rs`: a few of them.
//! * `schema.rs`: the table. `statements.rs`: what is sent, and what comes back.
//! * `fail.rs`: what a refusal means. `doctor.rs`: what a careful operator would
//!   check.
//!
//! Nothing pushes wake-ups here: waiters poll.

mod connect;
pub(crate) mod doctor;
mod fail;
mod pool;
mod schema;
mod statements;

use std::cell::OnceCell;
use std::sync::Arc;

use leasehold_core::LockName;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row as MyRow};

use crate::config::SqlOptions;
use crate::fail::{Kind, Trouble};
use crate::row::{Seen, Write, Wrote};
use pool::Pool;
use statements::Statements;

/// A MySQL or MariaDB server and the connections to it.
pub(crate) struct Mysql {
    pub(crate) options: Arc<SqlOptions>,
    pool: Pool,
    statements: OnceCell<Statements>,
}

impl Mysql {
    pub(crate) fn new(options: &Arc<SqlOptions>) -> Self {
        Self {
            options: Arc::clone(options),
            pool: Pool::new(options.connections),
            statements: OnceCell::new(),
        }
    }

    pub(crate) async fn open(&self) -> Result<Seen, Trouble> {
        let options = &self.options;
        let opening = self.with(async |conn| schema::prepare(conn, options).await);
        let prepared = opening.await?;
        let statements = Statements::new(&options.table, &prepared.era);
        let statements = self.statements.get_or_init(|| statements);
        let rows = self.ask(statements.look("")).await?;
        self.understood(rows.first())
    }

    pub(crate) async fn look(&self, name: &LockName) -> Result<Seen, Trouble> {
        let sql = self.statements()?.look(name.as_str());
        // Nothing is changed by it, so a connection that broke is no reason to fail.
        let rows = match self.ask(sql.clone()).await {
            Err(trouble) if trouble.kind == Kind::Silent => self.ask(sql).await?,
            asked => asked?,
        };
        self.understood(rows.first())
    }

    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<(String, Seen)>, Trouble> {
        let rows = self.ask(self.statements()?.list(prefix)).await?;
        let listed = rows.iter().map(statements::listed);
        listed
            .collect::<Option<_>>()
            .ok_or_else(|| self.odd("a row of a list"))
    }

    pub(crate) async fn write(&self, write: &Write<'_>) -> Result<Wrote, Trouble> {
        let sql = self.statements()?.write(write);
        let written = self.with(async |conn| {
            let failed = |error| fail::of_request(&self.options, &error);
            let mut result = conn.query_iter(sql.as_str()).await.map_err(failed)?;
            let done = result.affected_rows() > 0;
            let unsure = |error| {
                let mut trouble = failed(error);
                // It was written, and what it is answered with was lost.
                if done {
                    trouble.kind = Kind::Silent;
                }
                trouble
            };
            result.collect::<MyRow>().await.map_err(unsure)?;
            let rows = result.collect::<MyRow>().await.map_err(unsure)?;
            drop(result);
            Ok((done, rows))
        });
        let (done, rows) = written.await?;
        let seen = self.understood(rows.first())?;
        Ok(statements::wrote(write, done, seen))
    }

    async fn ask(&self, sql: String) -> Result<Vec<MyRow>, Trouble> {
        self.with(async |conn| {
            let rows = conn.query::<MyRow, _>(sql.as_str()).await;
            rows.map_err(|error| fail::of_request(&self.options, &error))
        })
        .await
    }

    /// Lends a connection for one request; one that broke, or gave no answer in
    /// time, is not used again.
    async fn with<T>(
        &self,
        run: impl AsyncFnOnce(&mut Conn) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut lent = self.pool.get(self).await?;
        let ran = tokio::time::timeout(self.options.timeout, run(lent.conn())).await;
        let ran = ran.unwrap_or_else(|_| Err(self.silent()));
        match &ran {
            Err(trouble) if trouble.kind == Kind::Silent => {}
            _ => lent.give_back(),
        }
        ran
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

    fn understood(&self, row: Option<&MyRow>) -> Result<Seen, Trouble> {
        row.and_then(statements::seen)
            .ok_or_else(|| self.odd("a row"))
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
    fn odd(&self, what: &str) -> Trouble {
        Trouble::new(
            Kind::Shape,
            format!(
                "{} on {}: {what} has not the columns it should have",
                self.options.table,
                self.options.place()
            ),
            "choose another table= in the URL, or restore its columns as engines/sql/migrations/mysql.sql has them",
        )
    }
}
