//! The statements, on one connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use leasehold_core::record::Record;
use leasehold_core::{Error, LockName, StoreTime, Token};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

/// The largest size of the log file that is kept once the log starts again.
const WAL_FILE_BYTES: u32 = 16 << 20;

/// Which run of the machine this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Boot {
    /// Its number.
    pub(crate) epoch: i64,
    /// When it first used the store.
    pub(crate) began: StoreTime,
}

/// What a transaction needs to know of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) epoch: i64,
    /// The smallest value any next token may take.
    pub(crate) floor: Token,
    /// The greatest token that may be granted.
    pub(crate) settled: Token,
}

/// A connection with its statements.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    boot: Boot,
    block: u64,
    wal_frames: Arc<AtomicU32>,
}

/// A lock as it is stored.
#[derive(Debug)]
pub(crate) struct StoredLock {
    pub(crate) id: i64,
    token: i64,
    epoch: i64,
    bytes: Vec<u8>,
}

/// Rolls back unless committed.
#[derive(Debug)]
pub(crate) struct Transaction<'a>(&'a Store);

impl Store {
    pub(crate) fn new(
        mut connection: Connection,
        boot: Boot,
        block: u64,
    ) -> rusqlite::Result<Self> {
        let wal_frames = Arc::new(AtomicU32::new(0));
        let frames = Arc::clone(&wal_frames);
        connection.set_prepared_statement_cache_capacity(32);
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "journal_size_limit", WAL_FILE_BYTES)?;
        // This also turns SQLite's own checkpoints off: they would run in
        // whichever thread commits.
        connection.wal_hook(Some(move |_: &mut _, pages| {
            frames.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        // Waiting is done by our own lock, and by threads that may wait.
        connection.busy_timeout(Duration::ZERO)?;
        Ok(Self {
            connection,
            boot,
            block,
            wal_frames,
        })
    }

    pub(crate) fn boot(&self) -> Boot {
        self.boot
    }

    /// How many tokens this client reserves at once.
    pub(crate) fn block(&self) -> u64 {
        self.block
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// How many frames the log had after this connection's last commit.
    pub(crate) fn wal_frames(&self) -> u32 {
        self.wal_frames.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self) -> rusqlite::Result<Transaction<'_>> {
        self.prepare("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Transaction(self))
    }

    pub(crate) fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql)
    }

    pub(crate) fn meta(&self) -> rusqlite::Result<Meta> {
        self.prepare("SELECT epoch, floor, settled FROM meta WHERE id = 1")?
            .query_row([], |row| {
                Ok(Meta {
                    epoch: row.get(0)?,
                    floor: token(row.get(1)?),
                    settled: token(row.get(2)?),
                })
            })
    }

    pub(crate) fn load(&self, name: &LockName) -> rusqlite::Result<Option<StoredLock>> {
        self.prepare("SELECT id, token, epoch, record FROM locks WHERE name = ?1")?
            .query_row([name.as_str()], StoredLock::read)
            .optional()
    }

    /// Writes a record over the one with this id, or as a new one.
    pub(crate) fn save(
        &self,
        id: Option<i64>,
        name: &LockName,
        token: Token,
        bytes: &[u8],
    ) -> rusqlite::Result<()> {
        let (token, epoch) = (value(token), self.boot.epoch);
        match id {
            Some(id) => self
                .prepare("UPDATE locks SET token = ?2, epoch = ?3, record = ?4 WHERE id = ?1")?
                .execute(params![id, token, epoch, bytes])?,
            None => self
                .prepare("INSERT INTO locks (name, token, epoch, record) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![name.as_str(), token, epoch, bytes])?,
        };
        Ok(())
    }
}

impl Transaction<'_> {
    pub(crate) fn commit(self) -> rusqlite::Result<()> {
        self.0.prepare("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // After a commit there is nothing to do; some failures roll back by
        // themselves. If this fails too, the next BEGIN says so.
        if !self.0.connection.is_autocommit() {
            let _ = self.0.connection.execute_batch("ROLLBACK");
        }
    }
}

impl StoredLock {
    /// Reads id, token, epoch and record.
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            token: row.get(1)?,
            epoch: row.get(2)?,
            bytes: row.get(3)?,
        })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The last token granted, whatever the record says; `None` if it is none.
    pub(crate) fn token(&self) -> Option<Token> {
        u64::try_from(self.token).ok().and_then(Token::new)
    }

    /// The record, dated anew if it comes from an earlier boot.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if it cannot be read.
    pub(crate) fn record(&self, name: &LockName, boot: Boot) -> Result<Record, Error> {
        let decoded = match self.token() {
            Some(token) => Record::decode(&self.bytes).map(|record| (token, record)),
            None => Err(format!("its token is {}", self.token)),
        };
        let (token, mut record) = decoded.map_err(|detail| {
            Error::damaged(
                format!("the record of lock {name:?}"),
                detail,
                "break the lock to start it anew (leasehold break); its tokens go on growing",
            )
        })?;
        record.token = record.token.max(token);
        if self.epoch != boot.epoch {
            record.restart_clock(boot.began);
        }
        Ok(record)
    }
}

/// A token read from the database; out of bounds, the nearest one.
pub(crate) fn token(value: i64) -> Token {
    let value = u64::try_from(value).unwrap_or(0);
    Token::new(value).unwrap_or(Token::MAX)
}

/// A token as the database keeps it: 53 bits fit.
pub(crate) fn value(token: Token) -> i64 {
    i64::try_from(token.get()).unwrap_or(i64::MAX)
}
