//! What a careful operator would check of a store.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use leasehold_core::{Error, Finding, Promise, Severity, Token};
use rustix::fs::{statfs, statvfs};

use crate::options::LocalOptions;
use crate::paths::Paths;
use crate::store::{Store, token};
use crate::{clock, schema};

use Promise::{C1, C3, C6};

/// Less free space than this is worth a warning: the log alone may take 16 MiB.
const SPACE: u64 = 64 << 20;

/// What the kernel calls a file system, and what that means here.
const FILE_SYSTEMS: [(i64, &str, Place); 10] = [
    (0x6969, "NFS", Place::Elsewhere),
    (0x517b, "SMB", Place::Elsewhere),
    (0xff53_4d42, "CIFS", Place::Elsewhere),
    (0xfe53_4d42, "SMB2", Place::Elsewhere),
    (0x00c3_6400, "Ceph", Place::Elsewhere),
    (0x5346_414f, "AFS", Place::Elsewhere),
    (0x0102_1997, "9P", Place::Elsewhere),
    (0x6573_5546, "FUSE", Place::Unknown),
    (0x0102_1994, "tmpfs", Place::Memory),
    (0x8584_58f6, "ramfs", Place::Memory),
];

#[derive(Clone, Copy)]
enum Place {
    /// On another machine.
    Elsewhere,
    /// In the memory of this one.
    Memory,
    /// On whatever a program makes of it.
    Unknown,
}

/// Looks at the store, as far as it is there. Makes no file; a store that is there
/// is opened as any client opens it, and all of it is read once.
#[must_use]
pub fn diagnose(options: &LocalOptions) -> Vec<Finding> {
    let paths = match schema::absolute(&options.path) {
        Ok(paths) => paths,
        Err(error) => return vec![unusable(&options.path, &error)],
    };
    let db = &paths.db;
    let is_there = std::fs::metadata(db).is_ok_and(|found| found.len() > 0);
    let folder = db.ancestors().skip(1).find(|folder| folder.is_dir());
    let mut all = match is_there {
        true => of_store(&paths, options),
        false => vec![not_yet(db, options)],
    };
    if let Some(folder) = folder {
        all.push(file_system(db, folder));
        all.extend(space(db, folder));
    }
    all
}

fn finding(
    db: &Path,
    severity: Severity,
    check: &'static str,
    detail: impl Into<String>,
) -> Finding {
    Finding::new(severity, check, db.display().to_string(), detail)
}

fn unusable(db: &Path, error: &Error) -> Finding {
    finding(db, Severity::Error, Finding::REACH, error.to_string())
        .means(&[C6], "no lock can be had")
}

fn not_yet(db: &Path, options: &LocalOptions) -> Finding {
    let folder = db.parent().unwrap_or(db);
    let writable = |folder: &Path| rustix::fs::access(folder, rustix::fs::Access::WRITE_OK);
    let failed = match folder.is_dir() {
        true => writable(folder).err().map(|error| error.to_string()),
        false if options.make_folders => None,
        false => Some("there is no such folder".to_owned()),
    };
    match failed {
        None => finding(
            db,
            Severity::Note,
            Finding::REACH,
            "there is no file yet; the first lock makes one",
        )
        .means(&[C1], "its tokens begin by the machine's clock"),
        Some(why) => finding(
            db,
            Severity::Error,
            Finding::REACH,
            format!(
                "there is no file yet, and none can be made in {}: {why}",
                folder.display()
            ),
        )
        .means(&[C6], "no lock can be had")
        .remedy(format!(
            "make {} a folder that this user may write to",
            folder.display()
        )),
    }
}

fn of_store(paths: &Paths, options: &LocalOptions) -> Vec<Finding> {
    let db = &paths.db;
    let boot_id = options.boot_id.clone().map_or_else(clock::boot_id, Ok);
    let opened = boot_id.and_then(|id| schema::open(paths, &id, options.token_block));
    let store = match opened {
        Ok((store, _)) => store,
        Err(error) => return vec![unusable(db, &error)],
    };
    let checked = integrity(db, &store).and_then(|sound| Ok([sound, tokens(db, &store)?]));
    let mut all = vec![finding(
        db,
        Severity::Ok,
        Finding::REACH,
        "it can be opened for writing",
    )];
    match checked {
        Ok(more) => all.extend(more),
        Err(error) => all.push(unusable(db, &crate::fail::sqlite(db, &error))),
    }
    all
}

/// SQLite's own look at the file.
fn integrity(db: &Path, store: &Store) -> rusqlite::Result<Finding> {
    let said: String = store
        .connection()
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok(match &*said {
        "ok" => finding(db, Severity::Ok, "integrity", "SQLite finds no damage"),
        said => finding(db, Severity::Error, "integrity", format!("SQLite finds damage: {said}"))
            .means(&[C1, C3], "grants and tokens may be missing")
            .remedy("when nothing that holds a lock runs any more, move the file away together with its -wal and -shm; a new one is made whose tokens go on growing"),
    })
}

/// Whether a new file would begin above all tokens of this one.
fn tokens(db: &Path, store: &Store) -> rusqlite::Result<Finding> {
    let granted = "SELECT count(*), coalesce(max(token), 0) FROM locks";
    let (locks, greatest): (i64, i64) = store
        .connection()
        .query_row(granted, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let below_floor = store.meta()?.floor.get().saturating_sub(1);
    let mark = token(greatest).get().max(below_floor);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let said = format!("{locks} locks are kept, and no token is above {mark}");
    // Tokens of the running second are no sign of anything.
    Ok(match mark <= Token::era(now + 1).get() {
        true => finding(db, Severity::Ok, "tokens", said),
        false => finding(
            db,
            Severity::Warning,
            "tokens",
            format!("{said}; that is ahead of the clock that a new file would begin from"),
        )
        .means(&[C1], "tokens would come again if this file were lost now; nothing happens as long as it is there")
        .remedy("correct the machine's clock if it is behind, and keep the file"),
    })
}

fn file_system(db: &Path, folder: &Path) -> Finding {
    const CHECK: &str = "file-system";
    let kind = match statfs(folder) {
        // Of different widths on different machines, never above 32 bits.
        Ok(found) => i64::from(found.f_type as u32),
        Err(error) => {
            return finding(
                db,
                Severity::Warning,
                CHECK,
                format!("it is not told: {error}"),
            )
            .means(
                &[C1, C3],
                "a file of another machine does not keep processes apart",
            )
            .remedy("see that the file is on a disk of this machine");
        }
    };
    let known = FILE_SYSTEMS.iter().find(|(magic, ..)| *magic == kind);
    match known {
        None => finding(db, Severity::Ok, CHECK, "it is none that is known to be unfit"),
        Some((_, name, Place::Elsewhere)) => {
            finding(db, Severity::Error, CHECK, format!("{name}, which other machines may share"))
                .means(&[C1, C3], "file locks and shared memory do not keep the processes of different machines apart")
                .remedy("name a file on a disk of this machine; for several machines use another engine, as in redis://r1,r2,r3")
        }
        Some((_, name, Place::Unknown)) => {
            finding(db, Severity::Warning, CHECK, format!("{name}, behind which anything may be"))
                .means(&[C1, C3], "if another machine shares it, or its syncs do not reach a disk, exclusion and tokens are not kept")
                .remedy("name a file on a disk of this machine")
        }
        Some((_, name, Place::Memory)) => {
            finding(db, Severity::Note, CHECK, format!("{name}, which is gone when the machine restarts"))
                .means(&[C1], "leases end with the machine anyway; tokens then begin anew by its clock, so it must not be set back")
                .remedy("name a file on a disk if that will not do")
        }
    }
}

fn space(db: &Path, folder: &Path) -> Option<Finding> {
    let found = statvfs(folder).ok()?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let said = format!("{} MiB free", free >> 20);
    Some(match free >= SPACE {
        true => finding(db, Severity::Ok, "space", said),
        false => finding(db, Severity::Warning, "space", said)
            .means(&[C6], "with none left no lock can be taken or renewed")
            .remedy("free space on its file system"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn severity(findings: &[Finding], check: &str) -> Severity {
        let found = findings.iter().find(|finding| finding.check == check);
        found
            .unwrap_or_else(|| panic!("no {check} in {findings:#?}"))
            .severity
    }

    #[test]
    fn a_store_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("locks.db");
        let findings = diagnose(&LocalOptions::new(&db));
        assert_eq!(severity(&findings, "reach"), Severity::Note);
        assert!(!db.exists());
        let findings = diagnose(&LocalOptions::new(folder.path().join("no/locks.db")));
        assert_eq!(severity(&findings, "reach"), Severity::Error);
    }

    #[test]
    fn a_store_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let options = LocalOptions::new(folder.path().join("locks.db"));
        let _engine = crate::LocalEngine::open(options.clone()).unwrap();
        let findings = diagnose(&options);
        for check in ["reach", "integrity", "tokens"] {
            assert_eq!(severity(&findings, check), Severity::Ok, "{findings:#?}");
        }
    }

    #[test]
    fn a_file_that_is_none_of_ours_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("locks.db");
        std::fs::write(&db, vec![b'x'; 4096]).unwrap();
        let findings = diagnose(&LocalOptions::new(&db));
        assert_eq!(severity(&findings, "reach"), Severity::Error);
        assert_eq!(std::fs::read(&db).unwrap(), vec![b'x'; 4096]);
    }

    #[test]
    fn tokens_ahead_of_the_clock() {
        let folder = tempfile::tempdir().unwrap();
        let options = LocalOptions::new(folder.path().join("locks.db"));
        drop(crate::LocalEngine::open(options.clone()).unwrap());
        let paths = schema::absolute(&options.path).unwrap();
        let boot_id = clock::boot_id().unwrap();
        let (store, _) = schema::open(&paths, &boot_id, options.token_block).unwrap();
        let ahead = Token::era(7_258_118_400).get();
        let raise =
            format!("UPDATE meta SET floor = {ahead}, settled = {ahead}, reserved = {ahead}");
        store.connection().execute_batch(&raise).unwrap();
        assert_eq!(severity(&diagnose(&options), "tokens"), Severity::Warning);
    }
}
