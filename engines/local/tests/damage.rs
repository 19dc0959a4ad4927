//! Files that cannot be used: each error names what was found and what to do, and
//! leaves the file as it was.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{ask, block_on, granted, open, pair, release, request, until};
use leasehold_core::{Acquired, Engine, Error, ExtendRequest, Extended};
use leasehold_local::{LocalEngine, LocalOptions};
use rusqlite::Connection;
use tempfile::TempDir;

fn store() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("locks.db");
    (folder, db)
}

/// The error of an opening that must fail, with these words in it.
fn refused(db: &Path, words: &[&str]) -> Error {
    let error = match LocalEngine::open(LocalOptions::new(db)) {
        Ok(_) => panic!("{} was opened", db.display()),
        Err(error) => error,
    };
    let said = error.to_string();
    let path = db.display().to_string();
    for word in words.iter().copied().chain([&*path]) {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    error
}

/// The same, for a file that must stay as it is.
fn refused_unchanged(db: &Path, words: &[&str]) -> Error {
    let before = fs::read(db).unwrap();
    let error = refused(db, words);
    assert!(fs::read(db).unwrap() == before, "the file was changed");
    let lock = format!("{}-lock", db.display());
    assert!(!Path::new(&lock).exists(), "files were made beside it");
    error
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// A small file system of its own, for root only.
struct Mount(TempDir);

impl Mount {
    fn new(options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mount = Self(folder);
        let kind = ["-t", "tmpfs", "-o", options, "leasehold-test"];
        mount.run("mount", &kind);
        mount
    }

    fn run(&self, command: &str, args: &[&str]) {
        let done = Command::new(command).args(args).arg(self.0.path()).status();
        assert!(done.unwrap().success(), "{command}");
    }

    fn db(&self) -> PathBuf {
        self.0.path().join("locks.db")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_path_that_names_no_file() {
    let (folder, db) = store();
    let error = refused(folder.path(), &["is a directory", "locks.db"]);
    assert!(matches!(error, Error::Invalid { .. }));

    let lost = folder.path().join("no/such/locks.db");
    let error = refused(&lost, &["mkdir -p"]);
    assert!(matches!(error, Error::Invalid { .. }));

    pair(&open(&db), "a");
    refused(&db.join("locks.db"), &["not a directory"]);
    refused(Path::new("/dev/null"), &["no regular file"]);
}

#[test]
fn a_file_that_is_no_database() {
    let (_folder, db) = store();
    let noise: Vec<u8> = (0..20_000u32).map(|n| (n * n % 251) as u8).collect();
    for length in [1, 99, 512, 4096, 20_000] {
        fs::write(&db, &noise[..length]).unwrap();
        let error = refused_unchanged(&db, &["move it away"]);
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }
}

#[test]
fn a_database_of_another_program() {
    let (_folder, db) = store();
    let other = Connection::open(&db).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(other);
    let error = refused_unchanged(&db, &["another program", "name another file"]);
    assert!(matches!(error, Error::Damaged { .. }));

    let other = Connection::open(&db).unwrap();
    other.pragma_update(None, "application_id", 0x1234).unwrap();
    drop(other);
    refused_unchanged(&db, &["another program", "0x1234"]);
}

#[test]
fn a_database_of_a_newer_version() {
    let (_folder, db) = store();
    pair(&open(&db), "a");
    let newer = Connection::open(&db).unwrap();
    newer.pragma_update(None, "user_version", 2).unwrap();
    drop(newer);
    for extra in ["-lock", "-gate"] {
        fs::remove_file(format!("{}{extra}", db.display())).unwrap();
    }
    let error = refused_unchanged(&db, &["format version 2", "newer Leasehold"]);
    assert!(matches!(error, Error::Damaged { .. }));
}

#[test]
fn a_database_whose_tables_are_gone() {
    let (_folder, db) = store();
    pair(&open(&db), "a");
    let shell = Connection::open(&db).unwrap();
    shell.execute_batch("DELETE FROM meta").unwrap();
    refused(&db, &["meta table is empty"]);
    shell.execute_batch("DROP TABLE meta").unwrap();
    let error = refused(&db, &["no such table"]);
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
}

#[test]
fn a_truncated_database() {
    let (_folder, db) = store();
    let engine = open(&db);
    for n in 0..200 {
        pair(&engine, &format!("names/{n}"));
    }
    drop(engine);
    // The log would still have what is cut off.
    let shell = Connection::open(&db).unwrap();
    shell
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(shell);
    let whole = fs::read(&db).unwrap();
    for length in [whole.len() - 2048, whole.len() / 2 + 100, 3000, 2048, 700] {
        for extra in ["-wal", "-shm", "-lock", "-gate"] {
            let _ = fs::remove_file(format!("{}{extra}", db.display()));
        }
        fs::write(&db, &whole[..length]).unwrap();
        let error = refused_unchanged(&db, &[]);
        assert!(matches!(error, Error::Damaged { .. }), "{length}: {error}");
    }
    // Cut off entirely while its log is not, it must not pass for a new one.
    fs::write(&db, &whole).unwrap();
    let engine = open(&db);
    pair(&engine, "a");
    drop(engine);
    fs::write(&db, b"").unwrap();
    let error = refused(&db, &["-wal"]);
    assert!(matches!(error, Error::Damaged { .. }));
}

#[test]
fn a_file_or_folder_that_may_not_be_written() {
    let (folder, db) = store();
    pair(&open(&db), "a");
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    // Permissions do not bind root, so the check is made by somebody they do bind.
    let check = |words: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "opens_as_told", "--nocapture"]);
        command.env("OPEN", &db).env("WORDS", words);
        if is_root() {
            use std::os::unix::process::CommandExt;
            command.uid(65534).gid(65534);
        }
        let out = command.output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{said}");
    };
    set(folder.path(), 0o555);
    set(&db, 0o444);
    check("cannot be written|writable for this user");
    set(&db, 0o000);
    check("cannot be opened|readable and writable for this user");
    fs::remove_file(&db).unwrap_or_else(|_| {
        set(folder.path(), 0o755);
        fs::remove_file(&db).unwrap();
        set(folder.path(), 0o555);
    });
    for extra in ["-wal", "-shm", "-lock", "-gate"] {
        set(folder.path(), 0o755);
        let _ = fs::remove_file(format!("{}{extra}", db.display()));
        set(folder.path(), 0o555);
    }
    check("failed|writable for this user");
    set(folder.path(), 0o755);
}

/// Run by the test above in a process of its own; by itself it opens a store that
/// can be opened.
#[test]
fn opens_as_told() {
    let (Some(db), Ok(words)) = (std::env::var_os("OPEN"), std::env::var("WORDS")) else {
        let (_folder, db) = store();
        open(&db);
        return;
    };
    let words: Vec<&str> = words.split('|').collect();
    let error = refused(Path::new(&db), &words);
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}

#[test]
fn a_read_only_file_system() {
    if !is_root() {
        // What somebody else may not write is the same to us, and tested above.
        return a_file_or_folder_that_may_not_be_written();
    }
    let mount = Mount::new("size=4m");
    let db = mount.db();
    pair(&open(&db), "a");
    mount.run("mount", &["-o", "remount,ro"]);
    let error = refused(&db, &["not read-only"]);
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    let fresh = mount.0.path().join("fresh.db");
    let lock = format!("{}-lock", fresh.display());
    let Err(error) = LocalEngine::open(LocalOptions::new(&fresh)) else {
        panic!("a file was made");
    };
    let said = error.to_string();
    assert!(
        said.contains(&lock) && said.contains("not read-only"),
        "{said}"
    );
}

#[test]
fn a_sessions_folder_that_is_in_the_way() {
    let (folder, db) = store();
    let engine = open(&db);
    fs::write(folder.path().join("locks.db-sessions"), "in the way").unwrap();
    let error = ask(&engine, &request("a")).unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("locks.db-sessions"), "{error}");
    // Nothing was taken.
    fs::remove_file(folder.path().join("locks.db-sessions")).unwrap();
    pair(&engine, "a");
}

#[test]
fn a_full_disk() {
    if !is_root() {
        return a_file_size_limit();
    }
    let mount = Mount::new("size=1m");
    let db = mount.db();
    let engine = open(&db);
    let held = request("held");
    granted(&engine, &held);
    let ballast = mount.0.path().join("ballast");
    let mut size = 1 << 20;
    let mut file = fs::File::create(&ballast).unwrap();
    while size > 0 {
        use std::io::Write;
        if file.write_all(&vec![1; size]).is_err() {
            size /= 2;
        }
    }
    let full = |error: Error| {
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("free space"), "{error}");
    };
    // The log's last page may still have room for a few.
    let mut refused = None;
    for n in 0..5000 {
        match ask(&engine, &request(&format!("names/{n}"))) {
            Ok(_) => {}
            Err(error) => {
                refused = Some((n, error));
                break;
            }
        }
    }
    let (n, error) = refused.expect("the disk is full");
    full(error);
    let extend = ExtendRequest {
        name: held.name.clone(),
        nonce: held.nonce,
        ttl: held.ttl,
    };
    full(block_on(engine.extend(&extend)).unwrap_err());
    full(block_on(engine.release(&held.name, held.nonce)).unwrap_err());
    match LocalEngine::open(LocalOptions::new(mount.0.path().join("other.db"))) {
        Ok(_) => panic!("a new file was made"),
        Err(error) => full(error),
    }
    drop(file);
    fs::remove_file(ballast).unwrap();
    // A child that another test is just starting may still have the file open.
    until("there is space", || {
        block_on(engine.extend(&extend)).is_ok()
    });
    // Nothing was lost, and nothing was taken by what failed.
    assert_eq!(
        block_on(engine.extend(&extend)).unwrap(),
        Extended::Extended
    );
    pair(&engine, &format!("names/{n}"));
    release(&engine, &held);
    pair(&engine, "held");
}

/// A file that may not grow, for those who cannot mount a small file system.
#[test]
fn a_file_size_limit() {
    let (_folder, db) = store();
    if let Some(db) = std::env::var_os("LIMITED") {
        let engine = open(Path::new(&db));
        let refused = (0..100_000).find_map(|n| ask(&engine, &request(&format!("n/{n}"))).err());
        let error = refused.expect("the limit was reached");
        println!("{error}");
        return;
    }
    let engine = open(&db);
    let held = request("held");
    granted(&engine, &held);
    let script = "trap '' XFSZ; ulimit -f 300; exec \"$0\" --exact a_file_size_limit --nocapture";
    let child = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env("LIMITED", &db)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{said}");
    // We have no limit, and find everything in order.
    assert!(matches!(
        ask(&engine, &request("held")),
        Ok(Acquired::Busy(_))
    ));
    release(&engine, &held);
    pair(&engine, "held");
}
