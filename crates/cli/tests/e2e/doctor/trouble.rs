//! Servers that do not let us in, or are none.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use super::{Server, diagnose, servers, url};
use crate::support::say;

/// As docs/engines/redis.md says.
const RIGHTS: &str = "-@all +evalsha +script|load +info +time +get +mget +set +del +pttl +pexpire \
    +hmget +hset +hdel +hgetall +scan +publish +subscribe +unsubscribe +ping +select";

/// Makes a user `app` with the password `right` and these rights; the URL.
fn with_user(server: &Server, rights: &str, keys: &str) -> String {
    let made = server.say(&format!("ACL SETUSER app on >right {rights}"));
    assert_eq!(made, "+OK");
    format!("redis://app:right@{}?fresh=yes{keys}", server.host())
}

#[test]
fn a_user_without_the_right_to_run_scripts() {
    let server = Server::start(&[]);
    let url = with_user(&server, "~* &* +@all -evalsha -subscribe", "");
    diagnose(&url)
        .with_code(3)
        .finds("rights", &server.host(), "error", &["EVALSHA", "+evalsha"])
        .finds(
            "rights",
            &server.host(),
            "warning",
            &["SUBSCRIBE", "+subscribe"],
        );
    assert_eq!(server.keys(), ":0");
}

#[test]
fn the_documented_rights_are_enough_for_locks_and_for_the_doctor() {
    let server = Server::start(&[]);
    let keys = "~app:* ~leasehold:* &leasehold:*";
    let rights = format!("{keys} {RIGHTS}");
    let url = with_user(&server, &rights, "&prefix=app:");
    diagnose(&url)
        .with_code(0)
        .finds("rights", &server.host(), "ok", &[])
        .finds("memory", &server.host(), "note", &["no record"]);
    say(&["run", "x", "--url", &url, "--", "true"]).with_code(0);
    diagnose(&url)
        .with_code(0)
        .finds("memory", &server.host(), "ok", &["votes"]);
    let without_prefix = with_user(&server, &rights, "");
    diagnose(&without_prefix).with_code(0).finds(
        "rights",
        &server.host(),
        "note",
        &["may not touch every key", "prefix="],
    );
}

#[test]
fn a_wrong_password_is_not_shown() {
    let server = Server::start(&[]);
    with_user(&server, "~* &* +@all", "");
    let url = format!("redis://app:mistaken@{}", server.host());
    let diagnosis =
        diagnose(&url)
            .with_code(69)
            .finds("reach", &server.host(), "error", &["password"]);
    assert!(
        !format!("{diagnosis:?}").contains("mistaken"),
        "{diagnosis:?}"
    );
}

#[test]
fn a_command_that_was_renamed_away() {
    let server = Server::start(&["--rename-command", "EVALSHA", "\"\""]);
    diagnose(&format!("redis://{}?fresh=yes", server.host()))
        .with_code(3)
        .finds("rights", &server.host(), "error", &["EVALSHA", "rename"]);
}

#[test]
fn a_server_without_room_takes_no_writes() {
    let server = Server::start(&["--maxmemory", "1"]);
    diagnose(&format!("redis://{}?fresh=yes", server.host()))
        .with_code(3)
        .finds("writes", &server.host(), "error", &["more memory"]);
}

#[test]
fn a_record_of_another_application() {
    let server = Server::start(&[]);
    assert_eq!(server.say("SET leasehold:node mine"), "+OK");
    diagnose(&format!("redis://{}?fresh=yes", server.host()))
        .with_code(3)
        .finds("memory", &server.host(), "error", &["record"]);
    assert_eq!(server.say("STRLEN leasehold:node"), ":4");
}

#[test]
fn one_server_down_is_found_and_so_are_all() {
    let mut servers = servers(3);
    let url = url(&servers, "fresh=yes");
    servers[2].kill();
    diagnose(&url)
        .with_code(3)
        .finds("reach", &servers[0].host(), "ok", &["answers in"])
        .finds("reach", &servers[2].host(), "error", &["server runs"]);
    servers[0].kill();
    servers[1].kill();
    diagnose(&url)
        .with_code(69)
        .finds("quorum", "set", "error", &["bring servers back"]);
}

#[test]
fn tls_to_a_plain_port() {
    let server = Server::start(&[]);
    diagnose(&format!("rediss://{}?timeout=500ms", server.host()))
        .with_code(69)
        .finds("reach", &server.host(), "error", &["redis:// or rediss://"]);
}

#[test]
fn a_server_that_is_no_redis_and_one_that_never_answers() {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let (mail, silent) = (listen(), listen());
    let host = |listener: &TcpListener| listener.local_addr().expect("a port").to_string();
    let (mail_host, silent_host) = (host(&mail), host(&silent));
    // Ends with the test's process.
    thread::spawn(move || {
        for mut stream in mail.incoming().map_while(Result::ok) {
            let _ = stream.write_all(b"220 mail.example ESMTP ready\r\n");
        }
    });
    diagnose(&format!("redis://{mail_host},{silent_host}?timeout=500ms"))
        .with_code(69)
        .finds("reach", &mail_host, "error", &[])
        .finds("reach", &silent_host, "error", &["timeout"]);
    drop(silent);
}

#[test]
fn mistakes_in_the_arguments() {
    say(&["doctor", "redis://r1?max_tll=5s"])
        .with_code(2)
        .explains(&["max_tll", "max_ttl"]);
    say(&["doctor", "dove://user:secret@db"])
        .with_code(2)
        .explains(&["no engine"]);
    say(&["doctor", "local:", "--url", "memory:"])
        .with_code(2)
        .explains(&["once"]);
    say(&["doctor", "--new-era", "local:"])
        .with_code(2)
        .explains(&["redis://"]);
    say(&["doctor", "--ttl", "30", "local:"])
        .with_code(2)
        .explains(&["ttl", "30s"]);
}
