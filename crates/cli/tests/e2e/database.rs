//! Databases that cannot be used: each is refused with its path, what was found and
//! a remedy, and nothing in it is changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Said, Scene, acquire, database, executable, fresh, said, say, status};

/// What every refusal says, and every command that may refuse.
#[track_caller]
fn refused(path: &Path, code: i32, parts: &[&str]) {
    let url = format!("local:{}", path.display());
    let shown = path.display().to_string();
    for args in [
        &["run", "x", "--", "echo", "started"][..],
        &["status", "x"],
        &["break", "x", "--reason", "r"],
    ] {
        let said = say(&[&["--url", &*url], args].concat()).with_code(code);
        let said = said.explains(&[&[&*shown], parts].concat());
        assert_eq!(said.out, "", "the command was not started");
    }
}

/// A database with a lease in it, none of it in the write-ahead log any more.
fn settled(scene: &Scene) -> std::path::PathBuf {
    let path = scene.path("locks.db");
    acquire(&[
        "x",
        "--ttl",
        "10m",
        "--url",
        &format!("local:{}", path.display()),
    ]);
    let db = rusqlite::Connection::open(&path).expect("it is a database");
    db.pragma_update(None, "wal_checkpoint", "TRUNCATE")
        .expect("a checkpoint");
    path
}

#[test]
fn a_directory_is_no_database() {
    let scene = Scene::new();
    refused(scene.dir(), 2, &["directory"]);
}

#[test]
fn a_missing_directory_is_named() {
    let scene = Scene::new();
    refused(&scene.path("no/such/locks.db"), 2, &["mkdir"]);
    assert!(!scene.path("no").exists(), "none was made");
    scene.write("file", "");
    refused(&scene.path("file/locks.db"), 2, &["file"]);
}

#[test]
fn what_may_not_be_read_or_written_is_named() {
    let scene = Scene::new();
    fs::set_permissions(scene.dir(), fs::Permissions::from_mode(0o755)).expect("mode");
    let path = settled(&scene);
    for (mode, name) in [(0o000, "unreadable"), (0o444, "unwritable")] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
        let said = as_nobody(&scene, &path, &["status", "x"]);
        // A read of a file that is only not writable may well succeed.
        if mode == 0 || said.code != Some(0) {
            said.with_code(69)
                .explains(&[&path.display().to_string(), "writable for this user"]);
        }
        let said = as_nobody(&scene, &path, &["run", "x", "--no-wait", "--", "true"]);
        assert_eq!(said.code, Some(69), "{name}: {said:?}");
        said.explains(&[&path.display().to_string()]);
    }
}

fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// Runs the command as a user whom permissions bind; root is not.
fn as_nobody(scene: &Scene, path: &Path, args: &[&str]) -> Said {
    // The build's own directory may be closed to others.
    let copy = scene.path("leasehold");
    if !copy.exists() {
        fs::copy(executable(), &copy).expect("a copy");
    }
    let mut command = Command::new(copy);
    fresh(&mut command)
        .args(["--url", &format!("local:{}", path.display())])
        .args(args)
        .env("HOME", scene.dir());
    if is_root() {
        command.uid(65_534).gid(65_534);
    }
    said(command)
}

#[test]
fn a_truncated_database_is_refused_and_left_alone() {
    let scene = Scene::new();
    let path = settled(&scene);
    let whole = fs::read(&path).expect("a file");
    for length in [90, 600, whole.len() / 2] {
        fs::write(&path, &whole[..length]).expect("it can be written");
        refused(&path, 69, &["move it away"]);
        assert_eq!(
            fs::read(&path).expect("a file"),
            &whole[..length],
            "{length}"
        );
    }
    fs::write(&path, &whole).expect("it can be written");
    let url = format!("local:{}", path.display());
    let json = say(&["status", "x", "--json", "--url", &url])
        .with_code(0)
        .json();
    assert_eq!(json["holders"].as_array().map(Vec::len), Some(1), "{json}");
}

#[test]
fn random_bytes_are_refused_and_left_alone() {
    let scene = Scene::new();
    for length in [100, 4_096, 100_000] {
        let mut n = 1_u32;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            n.to_le_bytes()[3]
        })
        .take(length)
        .collect();
        let path = scene.path("random.db");
        fs::write(&path, &bytes).expect("it can be written");
        refused(&path, 69, &["move it away"]);
        assert_eq!(fs::read(&path).expect("a file"), bytes);
    }
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let scene = Scene::new();
    let path = scene.path("other.db");
    let db = rusqlite::Connection::open(&path).expect("a database");
    db.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1);")
        .expect("a table");
    drop(db);
    let before = fs::read(&path).expect("a file");
    refused(&path, 69, &[]);
    assert_eq!(fs::read(&path).expect("a file"), before);
}

#[test]
fn a_newer_format_asks_for_a_newer_leasehold() {
    let taken = acquire(&["x", "--ttl", "10m"]);
    let path = database();
    let db = rusqlite::Connection::open(&path).expect("a database");
    let version: i64 = db
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .expect("a version");
    db.pragma_update(None, "user_version", version + 1)
        .expect("a version");
    refused(&path, 69, &["newer"]);
    db.pragma_update(None, "user_version", version)
        .expect("a version");
    assert_eq!(
        status("x")["holders"][0]["nonce"],
        taken.nonce.as_str(),
        "nothing is lost"
    );
}

/// Runs a script with a small file system of its own at `$DISK`, which goes with it.
fn on_a_disk(size: &str, script: &str) -> Said {
    let scene = Scene::new();
    let disk = scene.name("disk");
    fs::create_dir(&disk).expect("a directory");
    let mount = format!("set -e; mount -t tmpfs -o size={size} tmpfs \"$DISK\"; {script}");
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !is_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-c", &mount, executable()]);
    fresh(&mut command)
        .env("DISK", &disk)
        .env("LEASEHOLD_URL", format!("local:{disk}/locks.db"));
    said(command)
}

#[test]
fn a_read_only_file_system_is_named() {
    let said = on_a_disk(
        "4m",
        "\"$0\" acquire x --ttl 10m >/dev/null
         mount -o remount,ro \"$DISK\"
         code=0; \"$0\" run x --no-wait -- echo started || code=$?
         echo code=$code
         code=0; LEASEHOLD_URL=local:$DISK/new.db \"$0\" run x -- echo started || code=$?
         echo code=$code
         mount -o remount,rw \"$DISK\"
         \"$0\" status --json x",
    )
    .with_code(0);
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(lines[..2], ["code=69", "code=69"], "{said:?}");
    let status: serde_json::Value = serde_json::from_str(lines[2]).expect("JSON");
    assert_eq!(
        status["holders"].as_array().map(Vec::len),
        Some(1),
        "nothing is lost"
    );
    let said: Vec<_> = said.err.lines().collect();
    assert_eq!(said.len(), 2, "{said:?}");
    for (line, name) in said.iter().zip(["locks.db", "new.db"]) {
        assert!(line.starts_with("leasehold: "), "{line}");
        assert!(line.contains(name) && line.contains("read-only"), "{line}");
    }
}

#[test]
fn a_full_disk_is_named_and_nothing_is_lost() {
    let said = on_a_disk(
        "512k",
        "eval \"$(\"$0\" acquire kept --ttl 10m)\"
         cat /dev/zero >\"$DISK/ballast\" 2>/dev/null || :
         fails=0; n=0
         while [ $n -lt 100 ] && [ $fails -lt 3 ]; do
             \"$0\" run \"x$n\" -- true || { [ $? = 69 ] && fails=$((fails + 1)); }
             n=$((n + 1))
         done
         echo fails=$fails
         rm \"$DISK/ballast\"
         \"$0\" run x -- true
         \"$0\" renew
         \"$0\" status --json kept",
    )
    .with_code(0);
    let (first, status) = said.out.split_once('\n').expect("two lines");
    assert_eq!(first, "fails=3", "{said:?}");
    let status: serde_json::Value = serde_json::from_str(status).expect("JSON");
    assert_eq!(
        status["holders"].as_array().map(Vec::len),
        Some(1),
        "{said:?}"
    );
    for line in said.err.lines() {
        assert!(
            line.starts_with("leasehold: ") && line.contains("locks.db"),
            "{line}"
        );
        assert!(line.contains("full") || line.contains("space"), "{line}");
    }
}
