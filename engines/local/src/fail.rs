//! Failures of files and of SQLite, in our own words.

use std::io;
use std::path::Path;

use leasehold_core::Error;
use rusqlite::ErrorCode;
use rustix::io::Errno;

/// The kind of engine, as in the URL.
pub(crate) const ENGINE: &str = "local";

/// A failure of SQLite before which nothing was written, or after which it was
/// rolled back.
pub(crate) fn sqlite(db: &Path, error: &rusqlite::Error) -> Error {
    let file = db.display();
    let what = format!("the database {file}");
    let unavailable = |said: &str, remedy: String| {
        Error::unavailable(ENGINE, format!("{what} {said} ({error})"), remedy)
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => unavailable(
            "is kept locked by another program",
            "end the transaction that is open in it (an sqlite3 shell?)".to_owned(),
        ),
        Some(ErrorCode::DiskFull) => unavailable(
            "has no space to grow",
            "free space on its file system, or raise the file size limit".to_owned(),
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            read_only(db, &error.to_string())
        }
        Some(ErrorCode::CannotOpen) => unavailable(
            "cannot be opened",
            format!("make {file}, {file}-wal and {file}-shm readable and writable for this user"),
        ),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            damaged(db, &error.to_string())
        }
        _ => unavailable(
            "failed",
            "look for errors of the disk in the system's log".to_owned(),
        ),
    }
}

/// A database that cannot be written.
pub(crate) fn read_only(db: &Path, detail: &str) -> Error {
    let file = db.display();
    Error::unavailable(
        ENGINE,
        format!("the database {file} cannot be written: {detail}"),
        "make the file and its folder writable for this user, or name a file on a file system that is not read-only, as in local:/var/lib/app/locks.db",
    )
}

/// A file that is no database, or a damaged one.
pub(crate) fn damaged(db: &Path, detail: &str) -> Error {
    Error::damaged(
        format!("the database {}", db.display()),
        detail,
        "name another file; or restore it from a backup; or, when nothing that holds a lock runs any more, move it away together with its -wal and -shm files, and a new one is made whose tokens go on growing",
    )
}

/// A file system call on `path` that failed.
pub(crate) fn file(doing: &str, path: &Path, error: &io::Error) -> Error {
    let remedy = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::DQUOT) => "free space on its file system",
        Some(Errno::ROFS) => "name a file on a file system that is not read-only",
        Some(Errno::ACCESS | Errno::PERM) => "make it and its folder writable for this user",
        Some(Errno::MFILE | Errno::NFILE) => "raise the limit of open files (ulimit -n)",
        Some(Errno::NOENT) => "create the folder it belongs in",
        _ => "check the path and its file system",
    };
    Error::unavailable(
        ENGINE,
        format!("{doing} {} failed: {error}", path.display()),
        remedy,
    )
}
