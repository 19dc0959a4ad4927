//! Where the engine comes from.

use std::fs;

use crate::support::{Scene, acquire, home, leasehold, said, say};

/// The URL that a command of `run` finds, which is the one that was used.
fn used(args: &[&str], environment: Option<&str>) -> String {
    let print = ["run", "x", "--", "sh", "-c", "echo $LEASEHOLD_URL"];
    let mut command = leasehold(&[args, &print].concat());
    if let Some(url) = environment {
        command.env("LEASEHOLD_URL", url);
    }
    said(command).with_code(0).out.trim_end().to_owned()
}

fn configure(text: &str) -> String {
    let dir = home().join(".config/leasehold");
    fs::create_dir_all(&dir).expect("a directory");
    let path = dir.join("config.toml");
    fs::write(&path, text).expect("a file can be written");
    path.display().to_string()
}

#[test]
fn flag_before_environment_before_file_before_default() {
    let scene = Scene::new();
    let url = |name: &str| format!("local:{}", scene.name(name));
    assert_eq!(used(&[], None), "local:");
    configure(&format!("url = \"{}\"\n", url("file.db")));
    assert_eq!(used(&[], None), url("file.db"));
    assert_eq!(
        used(&[], Some(&url("environment.db"))),
        url("environment.db")
    );
    assert_eq!(
        used(&["--url", &url("flag.db")], Some(&url("environment.db"))),
        url("flag.db")
    );
    let named = scene.write("named.toml", &format!("url = \"{}\"\n", url("named.db")));
    assert_eq!(used(&["--config", &named], None), url("named.db"));
    for name in ["file.db", "environment.db", "flag.db", "named.db"] {
        assert!(scene.path(name).exists(), "{name}");
    }
}

#[test]
fn xdg_directories_are_heeded() {
    let scene = Scene::new();
    fs::create_dir_all(scene.path("config/leasehold")).expect("a directory");
    scene.write("config/leasehold/config.toml", "# nothing\n");
    let mut command = leasehold(&["run", "x", "--", "true"]);
    command.env("XDG_CONFIG_HOME", scene.path("config"));
    command.env("XDG_STATE_HOME", scene.path("state"));
    said(command).with_code(0);
    assert!(scene.path("state/leasehold/locks.db").exists());
}

#[test]
fn a_relative_database_is_handed_on_in_full() {
    let scene = Scene::new();
    let mut command = leasehold(&[
        "run",
        "x",
        "--url",
        "local:here.db",
        "--",
        "sh",
        "-c",
        "cd / && echo $LEASEHOLD_URL",
    ]);
    command.current_dir(scene.dir());
    let url = said(command).with_code(0).out;
    assert!(
        url.starts_with("local:/") && url.ends_with("/here.db\n"),
        "{url}"
    );
    assert!(scene.path("here.db").exists());
}

#[test]
fn a_mistake_in_the_file_is_named_with_its_place() {
    let path = configure("url = \"local:\"\nttl = \"3s\"\n");
    say(&["ls"])
        .with_code(2)
        .explains(&[&path, "line 2", "ttl", "known keys", "url"]);
    configure("url = [\n");
    say(&["ls"]).with_code(2).explains(&[&path, "line"]);
    configure("url = \"redid://x\"\n");
    say(&["ls"]).with_code(2).explains(&[&path, "redid"]);
    let missing = home().join("no-such-file.toml");
    let missing = missing.display().to_string();
    say(&["ls", "--config", &missing])
        .with_code(2)
        .explains(&[&missing, "--config"]);
}

#[test]
fn an_empty_variable_is_not_taken_for_the_default() {
    let mut command = leasehold(&["ls"]);
    command.env("LEASEHOLD_URL", "");
    said(command)
        .with_code(2)
        .explains(&["LEASEHOLD_URL", "unset"]);
}

#[test]
fn no_home_is_explained() {
    let mut command = leasehold(&["ls"]);
    command.env_remove("HOME");
    said(command).with_code(2).explains(&["HOME"]);
    // With a database named there is no need for one.
    acquire(&["x"]);
    let mut command = leasehold(&[
        "ls",
        "--url",
        &format!("local:{}", crate::support::database().display()),
    ]);
    command.env_remove("HOME");
    assert!(said(command).with_code(0).out.contains('x'));
}
