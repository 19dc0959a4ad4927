//! What the database looks like, and how it is opened.
//!
//! Opening a store that this boot has seen before takes no lock and writes
//! nothing. Only a new file, or the first opening after a restart of the machine,
//! goes through [`prepare`].

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use leasehold_core::{Error, StoreTime, Token};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::fail::{self, ENGINE};
use crate::paths::Paths;
use crate::store::{Boot, Store};
use crate::writelock::{self, WriteLock};
use crate::{clock, reserve};

/// Marks a database as ours: "LHld".
const APPLICATION_ID: i32 = 0x4c48_6c64;
/// The version of the format that this code reads and writes.
const FORMAT: i32 = 1;
/// The smallest database: one page of the smallest size, in bytes.
const SMALLEST: u64 = 512;
/// How long an opening waits for others.
const PATIENCE: Duration = Duration::from_secs(5);

/// `meta` has one row. `epoch` counts the boots that used the store, `began` is
/// the store time at which this boot did first. For `floor`, `reserved` and
/// `settled` see [`reserve`].
///
/// `locks` keeps the token beside the record, so that a damaged record does not
/// take it along.
const TABLES: &str = "
    CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        boot_id TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        began INTEGER NOT NULL,
        floor INTEGER NOT NULL,
        reserved INTEGER NOT NULL,
        settled INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE locks (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        token INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        record BLOB NOT NULL
    ) STRICT;
";

/// What a database file holds.
enum Contents {
    Nothing,
    Ours(State),
}

struct State {
    boot_id: String,
    boot: Boot,
    floor: i64,
    settled: i64,
    wal: bool,
}

impl State {
    /// Whether grants can be made without writing anything else first.
    fn is_ready(&self, boot_id: &str) -> bool {
        self.boot_id == boot_id && self.settled >= self.floor && self.wal
    }
}

/// Opens the store, creating it or noting a new boot where needed; whether either
/// was.
pub(crate) fn open(paths: &Paths, boot_id: &str, block: u64) -> Result<(Store, bool), Error> {
    if exists(paths)? {
        let connection = connect(paths, OpenFlags::empty())?;
        if let Contents::Ours(state) = look(paths, &connection)?
            && state.is_ready(boot_id)
        {
            return Ok((new_store(paths, connection, state.boot, block)?, false));
        }
    }
    Ok((prepare(paths, boot_id, block)?, true))
}

/// Opens another connection to a store that is open.
pub(crate) fn reopen(paths: &Paths, boot: Boot, block: u64) -> Result<Store, Error> {
    new_store(paths, connect(paths, OpenFlags::empty())?, boot, block)
}

fn new_store(
    paths: &Paths,
    connection: Connection,
    boot: Boot,
    block: u64,
) -> Result<Store, Error> {
    Store::new(connection, boot, block).map_err(|error| fail::sqlite(&paths.db, &error))
}

/// Whether there is a file with something in it; an error if there is something
/// that cannot be our database.
fn exists(paths: &Paths) -> Result<bool, Error> {
    let db = &paths.db;
    let refuse = |remedy: String| {
        Err(Error::invalid(
            "database path",
            db.display().to_string(),
            remedy,
        ))
    };
    match fs::metadata(db) {
        Ok(found) if found.is_dir() => refuse(format!(
            "it is a directory; name a file in it, as in local:{}",
            db.join("locks.db").display()
        )),
        Ok(found) if !found.is_file() => refuse("it is no regular file; name one".to_owned()),
        Ok(found) if found.len() == 0 => {
            let log = fs::metadata(paths.wal()).map_or(0, |wal| wal.len());
            if log == 0 {
                return Ok(false);
            }
            Err(fail::damaged(db, "it is empty, but its -wal file is not"))
        }
        // SQLite would take a few bytes for nothing, and write over them.
        Ok(found) if found.len() < SMALLEST => {
            Err(fail::damaged(db, "it is too short to be a database"))
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match db.parent() {
            Some(folder) if !folder.is_dir() => refuse(format!(
                "its folder does not exist; create it: mkdir -p {}",
                folder.display()
            )),
            _ => Ok(false),
        },
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            refuse("a part of it is a file, not a directory; correct it".to_owned())
        }
        Err(error) => Err(fail::file("looking at", db, &error)),
    }
}

/// A connection with our settings.
fn connect(paths: &Paths, create: OpenFlags) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | create;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(&paths.db, flags)?;
        connection.busy_timeout(PATIENCE)?;
        // A command that runs for milliseconds must not end with a checkpoint.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(connection)
    };
    let connection = open().map_err(|error| fail::sqlite(&paths.db, &error))?;
    if connection.is_readonly("main").unwrap_or(false) {
        return Err(fail::read_only(
            &paths.db,
            "it could be opened for reading only",
        ));
    }
    Ok(connection)
}

/// Looks at a database without changing it.
fn look(paths: &Paths, connection: &Connection) -> Result<Contents, Error> {
    let db = &paths.db;
    // One moment for all, or a store in the making would look like a stranger's.
    let _snapshot = connection
        .unchecked_transaction()
        .map_err(|error| fail::sqlite(db, &error))?;
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get(0));
    let read = || -> rusqlite::Result<(i32, i32, i64)> {
        let tables = "SELECT count(*) FROM sqlite_schema";
        Ok((
            number("application_id")?,
            number("user_version")?,
            connection.query_row(tables, [], |row| row.get(0))?,
        ))
    };
    match read().map_err(|error| fail::sqlite(db, &error))? {
        (0, 0, 0) => Ok(Contents::Nothing),
        (APPLICATION_ID, FORMAT, _) => match state(connection) {
            Ok(Some(state)) => Ok(Contents::Ours(state)),
            Ok(None) => Err(fail::damaged(db, "its meta table is empty")),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::Unknown) => {
                Err(fail::damaged(db, &error.to_string()))
            }
            Err(error) => Err(fail::sqlite(db, &error)),
        },
        (APPLICATION_ID, format, _) if format > FORMAT => Err(Error::damaged(
            format!("the database {}", db.display()),
            format!("it has format version {format}, and this program knows {FORMAT}"),
            "use the newer Leasehold that wrote it, or name another file",
        )),
        (APPLICATION_ID, format, _) => Err(fail::damaged(
            db,
            &format!("its format version is {format}"),
        )),
        (id, _, tables) => Err(Error::damaged(
            format!("the database {}", db.display()),
            format!(
                "it belongs to another program (application_id {id:#x}, {tables} tables and indexes)"
            ),
            "name another file",
        )),
    }
}

fn state(connection: &Connection) -> rusqlite::Result<Option<State>> {
    let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    let meta = "SELECT boot_id, epoch, began, floor, settled FROM meta WHERE id = 1";
    connection
        .query_row(meta, [], |row| {
            Ok(State {
                boot_id: row.get(0)?,
                boot: Boot {
                    epoch: row.get(1)?,
                    began: StoreTime::from_micros(row.get::<_, i64>(2)?.unsigned_abs()),
                },
                floor: row.get(3)?,
                settled: row.get(4)?,
                wal: journal == "wal",
            })
        })
        .optional()
}

/// Creates the store, or notes a new boot, whichever is needed, with all other
/// writers kept out.
fn prepare(paths: &Paths, boot_id: &str, block: u64) -> Result<Store, Error> {
    let mut lock = WriteLock::open(paths)?;
    let Some(_held) = lock.lock(Instant::now() + PATIENCE)? else {
        return Err(writelock::stuck(paths, PATIENCE));
    };
    exists(paths)?;
    let connection = connect(paths, OpenFlags::SQLITE_OPEN_CREATE)?;
    let failed = |error: rusqlite::Error| fail::sqlite(&paths.db, &error);
    match look(paths, &connection)? {
        Contents::Nothing => create(&connection).map_err(failed)?,
        Contents::Ours(state) if !state.wal => set_wal(&connection).map_err(failed)?,
        Contents::Ours(_) => {}
    }
    note_boot(&connection, boot_id).map_err(failed)?;
    let Contents::Ours(state) = look(paths, &connection)? else {
        return Err(fail::damaged(&paths.db, "it was emptied meanwhile"));
    };
    let store = new_store(paths, connection, state.boot, block)?;
    reserve::raise(&store, paths, state.floor)?;
    sync_folder(&paths.db);
    Ok(store)
}

fn set_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode == "wal" {
        return Ok(());
    }
    let failure = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
    let said = "its file system cannot share memory between processes, which WAL mode needs";
    Err(rusqlite::Error::SqliteFailure(
        failure,
        Some(said.to_owned()),
    ))
}

/// Makes the tables. Pages of 2 KiB keep what each commit writes small, and hold
/// a record with a few waiters without overflow.
fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "page_size", 2048)?;
    set_wal(connection)?;
    let floor = before(Token::era(unix_seconds())) + 1;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let made = connection
        .execute_batch(TABLES)
        .and_then(|()| {
            connection.execute(
                "INSERT INTO meta VALUES (1, '', 0, 0, ?1, ?2, ?2)",
                [floor, floor - 1],
            )
        })
        .and_then(|_| connection.pragma_update(None, "application_id", APPLICATION_ID))
        .and_then(|()| connection.pragma_update(None, "user_version", FORMAT))
        .and_then(|()| connection.execute_batch("COMMIT"));
    if made.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    made
}

/// Starts a new epoch if this boot has not been seen yet: what it grants must be
/// above all that was reserved before, since grants may have been lost.
fn note_boot(connection: &Connection, boot_id: &str) -> rusqlite::Result<()> {
    let now = i64::try_from(clock::now().as_micros()).unwrap_or(i64::MAX);
    connection.execute(
        "UPDATE meta SET boot_id = ?1, epoch = epoch + 1, began = ?2,
             floor = max(floor, reserved + 1), settled = max(floor, reserved + 1) - 1
         WHERE boot_id <> ?1",
        rusqlite::params![boot_id, now],
    )?;
    Ok(())
}

/// The largest value below a token.
fn before(token: Token) -> i64 {
    i64::try_from(token.get()).unwrap_or(i64::MAX) - 1
}

fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Makes sure that a new file's name survives a power loss. Without it the file
/// would be made anew, which is safe but forgets floors set by hand; so a file
/// system that cannot do it is no error.
fn sync_folder(db: &Path) {
    if let Some(folder) = db.parent()
        && let Ok(folder) = fs::File::open(folder)
    {
        let _ = folder.sync_all();
    }
}

/// Makes the folders of this user's own store, for nobody else to read.
pub(crate) fn make_folders(db: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    let Some(folder) = db.parent() else {
        return Ok(());
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| fail::file("creating", folder, &error))
}

/// An absolute path, so that a later change of the working directory does not
/// move the files apart.
pub(crate) fn absolute(db: &Path) -> Result<Paths, Error> {
    match std::path::absolute(db) {
        Ok(db) => Ok(Paths::new(db)),
        Err(error) => Err(Error::unavailable(
            ENGINE,
            format!("the path {} has no start: {error}", db.display()),
            "give an absolute path, as in local:/var/lib/app/locks.db",
        )),
    }
}
