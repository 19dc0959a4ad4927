//! What an operator may get wrong: an error that names the server or the setting
//! and what to do, and nothing left behind.

#![allow(unused_crate_dependencies)]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Duration;

use leasehold_core::Error;
use support::{Client, Deployment, Server, error_of, refusal_of, url};

const KEYS: &str = "max_ttl=5s&fresh=yes&timeout=500ms";
const TTL: Duration = Duration::from_secs(2);

/// The text of an error, which must have all these words.
#[track_caller]
fn says(error: &Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "it does not say {word:?}: {text}");
    }
}

/// The servers have no key but those of the node's own record.
#[track_caller]
fn assert_clean(server: &Server, name: &str) {
    let keys = server.keys();
    assert!(
        !keys.iter().any(|key| key == name || key.contains("fence")),
        "left behind: {keys:?}"
    );
}

#[test]
fn a_wrong_password_is_named() {
    let server = Server::start(&["user app on >right ~* &* +@all"]);
    let wrong = format!("redis://app:wrong@{}?{KEYS}", server.host());
    let error = error_of(&wrong, "a", TTL);
    says(&error, &[&server.host(), "password"]);
    assert!(!error.to_string().contains("wrong@"), "{error}");
    assert_clean(&server, "a");
    let right = format!("redis://app:right@{}?{KEYS}", server.host());
    Client::open(&right).take("a", TTL);
}

#[test]
fn a_missing_password_is_named() {
    let server = Server::start(&["requirepass right"]);
    let error = error_of(&url(&[server.host()], KEYS), "a", TTL);
    says(&error, &[&server.host(), "password"]);
    let right = format!("redis://:right@{}?{KEYS}", server.host());
    Client::open(&right).take("a", TTL);
}

#[test]
fn a_user_without_the_right_to_run_scripts_is_told_so() {
    let server = Server::start(&["user app on >right ~* &* +@all -evalsha"]);
    let url = format!("redis://app:right@{}?{KEYS}", server.host());
    says(&error_of(&url, "a", TTL), &[&server.host(), "evalsha"]);
    assert_clean(&server, "a");
}

#[test]
fn a_user_without_the_right_to_the_key_is_told_so() {
    let server = Server::start(&["user app on >right ~leasehold:* ~app:* &* +@all"]);
    let url = format!("redis://app:right@{}?{KEYS}", server.host());
    says(&error_of(&url, "a", TTL), &[&server.host()]);
    assert_clean(&server, "a");
}

/// As docs/engines/redis.md says.
#[test]
fn the_documented_rights_are_enough() {
    let rights = "-@all +evalsha +script|load +info +time +get +mget +set +del +pttl +pexpire \
        +hmget +hset +hdel +hgetall +scan +publish +subscribe +ping +select";
    let acl = format!("user app on >right ~app:* ~leasehold:* &leasehold:* {rights}");
    let servers: Vec<_> = (0..3).map(|_| Server::start(&[&acl])).collect();
    let hosts: Vec<_> = servers.iter().map(Server::host).collect();
    let client = Client::open(&format!("redis://app:right@{}?{KEYS}", hosts.join(",")));
    let lease = client.take("app:a", TTL);
    assert!(
        client
            .try_take("app:a", TTL)
            .expect("all are there")
            .is_none()
    );
    client.extend(&lease, TTL).expect("all are there");
    assert_eq!(client.inspect("app:a").holders.len(), 1);
    client.give_back(&lease).expect("all are there");
    client.turn("app:a", TTL).expect("all are there");
    if client.can_break() {
        client.break_lock("app:a").expect("all are there");
    }
}

#[test]
fn a_server_that_talks_nonsense_is_no_redis() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    // Ends with the test's process.
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut bytes = [0; 1024];
                while let Ok(1..) = stream.read(&mut bytes) {
                    let _ = stream.write_all(b"220 mail.example ESMTP ready\r\n");
                }
            });
        }
    });
    says(&error_of(&url(&[&host], KEYS), "a", TTL), &[&host]);
}

#[test]
fn a_server_that_never_answers_is_named() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    says(&error_of(&url(&[&host], KEYS), "a", TTL), &[&host]);
}

#[test]
fn a_host_where_nobody_listens_is_named() {
    let mut server = Server::start(&[]);
    server.kill();
    let error = error_of(&url(&[server.host()], KEYS), "a", TTL);
    says(&error, &[&server.host()]);
}

#[test]
fn a_replica_is_not_a_node() {
    let master = Server::start(&[]);
    let replica = Server::start(&[&format!("replicaof 127.0.0.1 {}", master.port())]);
    let error = error_of(&url(&[replica.host()], KEYS), "a", TTL);
    says(&error, &[&replica.host(), "replica"]);
    assert_clean(&master, "a");
}

#[test]
fn a_host_given_twice_is_refused() {
    let server = Server::start(&[]);
    let other = Server::start(&[]);
    let hosts = [server.host(), other.host(), server.host()];
    let error = refusal_of(&url(&hosts, KEYS));
    says(&error, &[&server.host()]);
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    assert_eq!(server.keys(), Vec::<String>::new());
}

#[test]
fn a_ttl_above_max_ttl_is_refused_with_the_setting_to_change() {
    let deployment = Deployment::of(3);
    let error = error_of(&deployment.url(KEYS), "a", Duration::from_secs(6));
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    says(&error, &["6s", "5s", "max_ttl"]);
    for server in &deployment.servers {
        assert_clean(server, "a");
    }
}

#[test]
fn a_key_of_another_application_is_left_alone() {
    for kind in [&["HSET", "a", "field", "value"][..], &["RPUSH", "a", "x"]] {
        let deployment = Deployment::of(3);
        for server in &deployment.servers {
            server.call::<u64>(kind);
        }
        let error = error_of(&deployment.url(KEYS), "a", TTL);
        let names_one = |text: &str| deployment.servers.iter().any(|s| text.contains(&s.host()));
        assert!(names_one(&error.to_string()), "{error}");
        says(&error, &["prefix"]);
        for server in &deployment.servers {
            let others: Vec<_> = server.keys();
            assert!(
                !others.iter().any(|key| key.contains("fence")),
                "{others:?}"
            );
            assert!(server.has("a"), "another application's key is gone");
        }
    }
}

#[test]
fn an_unknown_key_in_the_url_is_refused_with_the_known_ones() {
    let error = refusal_of("redis://127.0.0.1:1?max_tll=5s");
    says(&error, &["max_tll", "max_ttl"]);
}

#[test]
fn ten_hosts_are_too_many_and_none_too_few() {
    let hosts: Vec<_> = (1..=10).map(|port| format!("127.0.0.1:{port}")).collect();
    says(&refusal_of(&url(&hosts, "")), &["9"]);
    assert!(matches!(refusal_of("redis://"), Error::Invalid { .. }));
}
