//! What an operator may get wrong: an error that names the server or the setting and
//! what to do, in bounded time, and nothing left behind.

#![allow(unused_crate_dependencies)]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use leasehold_core::Error;
use support::{Client, LIMIT, Server, error_of, refusal_of, says, url_of};

const KEYS: &str = "timeout=20s";
const TTL: Duration = Duration::from_secs(2);

/// A server where the user `app` has the password `right`.
fn guarded() -> Server {
    let server = Server::start(&["password_encryption = 'scram-sha-256'"]);
    server.sql("CREATE USER app PASSWORD 'right'");
    server.sql("CREATE DATABASE app OWNER app");
    let rules = "host all admin 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    server.write_data("pg_hba.conf", rules);
    server.sql("SELECT pg_reload_conf()");
    support::until("passwords are asked for", || {
        error_of(&as_user(&server, "app:wrong", "app", KEYS), "a", TTL)
            .to_string()
            .contains("28P01")
    });
    server
}

fn as_user(server: &Server, login: &str, database: &str, keys: &str) -> String {
    format!("postgres://{login}@{}/{database}?{keys}", server.host())
}

/// There is no such table.
#[track_caller]
fn assert_no_table(server: &Server, table: &str) {
    let found = server.sql(&format!("SELECT to_regclass('{table}')"));
    assert_eq!(found[0][0], "", "a table was left behind");
}

#[test]
fn a_wrong_password_a_wrong_user_and_a_wrong_database_are_named() {
    let server = guarded();
    let host = server.host();
    let error = error_of(&as_user(&server, "app:wrong", "app", KEYS), "a", TTL);
    says(&error, &[&host, "password"]);
    assert!(!error.to_string().contains("app:wrong"), "{error}");
    let error = error_of(&as_user(&server, "app", "app", KEYS), "a", TTL);
    says(&error, &["password"]);
    let error = error_of(&as_user(&server, "nobody:x", "app", KEYS), "a", TTL);
    says(&error, &[&host, "password"]);
    let error = error_of(&as_user(&server, "app:right", "nowhere", KEYS), "a", TTL);
    says(&error, &[&host, "nowhere", "create it"]);
    Client::open(&as_user(&server, "app:right", "app", KEYS)).take("a", TTL);
}

#[test]
fn a_user_who_may_not_create_the_table_is_told_so_and_the_migration_is_enough() {
    let server = guarded();
    let url = as_user(&server, "app:right", "postgres", KEYS);
    says(
        &refusal_of(&url),
        &["leasehold", "migrations/postgres.sql", "42501"],
    );
    assert_no_table(&server, "leasehold");
    server.sql(include_str!("../migrations/postgres.sql"));
    says(
        &refusal_of(&url),
        &["app", "SELECT, INSERT, UPDATE", "GRANT"],
    );
    server.sql("GRANT SELECT, UPDATE ON leasehold TO app");
    says(&refusal_of(&url), &["app", "INSERT on", "GRANT"]);
    assert_eq!(server.sql("SELECT * FROM leasehold").len(), 0);
    server.sql("GRANT INSERT ON leasehold TO app");
    let client = Client::open(&url);
    let lease = client.take("a", TTL);
    client.give_back(&lease).expect("the server is there");
    // Taken away again under an engine that is open.
    server.sql("REVOKE UPDATE ON leasehold FROM app");
    let error = client.try_take("a", TTL).expect_err("it may not");
    says(&error, &["grant", "UPDATE"]);
    assert!(!error.may_be_held());
}

#[test]
fn a_table_of_another_shape_is_left_alone() {
    let server = Server::start(&[]);
    for (number, (columns, said)) in [
        ("id int", "no column name"),
        ("name int, version bigint, record text", "name is integer"),
        (
            "name text PRIMARY KEY, version bigint, record text, written timestamptz, era text, token bigint, fence bigint, holder text, held_until timestamptz",
            "collation",
        ),
        (
            "name text COLLATE \"C\" PRIMARY KEY, version bigint, record text, written timestamptz, era text, token bigint, fence bigint, holder text, held_until timestamptz, tenant int NOT NULL",
            "tenant",
        ),
        (
            "name text COLLATE \"C\", version bigint, record text, written timestamptz, era text, token bigint, fence bigint, holder text, held_until timestamptz",
            "unique",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let table = format!("other{number}");
        server.sql(&format!("CREATE TABLE {table} ({columns})"));
        let error = refusal_of(&server.url(&format!("{KEYS}&table={table}")));
        says(&error, &[&table, said, "table="]);
        assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
        assert_eq!(server.sql(&format!("SELECT * FROM {table}")).len(), 0);
    }
}

#[test]
fn a_table_that_is_dropped_or_changed_under_an_open_engine() {
    let server = Server::start(&[]);
    let client = Client::open(&server.url(KEYS));
    client.take("a", TTL);
    server.sql("ALTER TABLE leasehold RENAME COLUMN fence TO hedge");
    let error = client.try_take("b", TTL).expect_err("it is another table");
    says(&error, &["leasehold", "table="]);
    server.sql("DROP TABLE leasehold");
    let error = client.try_take("b", TTL).expect_err("there is no table");
    says(&error, &["leasehold", "migrations/postgres.sql"]);
    // A table made anew grants no old token.
    let before = Client::open(&server.url(KEYS)).take("c", TTL).token;
    server.sql("DROP TABLE leasehold");
    let after = Client::open(&server.url(KEYS)).take("c", TTL).token;
    assert!(after > before, "{after} after {before}");
}

#[test]
fn a_damaged_record_is_named_and_a_break_starts_it_anew() {
    let server = Server::start(&[]);
    let client = Client::open(&server.url(KEYS));
    let lease = client.take("a", TTL);
    server.sql("UPDATE leasehold SET record = 'nonsense', version = 1");
    let error = client.try_take("a", TTL).expect_err("it is damaged");
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    says(&error, &["\"a\"", "break"]);
    let other = client.take("b", TTL);
    assert!(other.token.get() > 0);
    client.break_lock("a").expect("it can be broken");
    assert!(client.take("a", TTL).token > lease.token);
}

#[test]
fn a_database_in_another_encoding_is_refused() {
    let server = Server::start(&[]);
    server.sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let url = format!("postgres://admin@{}/latin?{KEYS}", server.host());
    says(&refusal_of(&url), &["LATIN1", "UTF8"]);
}

#[test]
fn tls_to_a_server_without_it_is_told_so() {
    let server = Server::start(&[]);
    let error = refusal_of(&server.url(&format!("{KEYS}&sslmode=verify-full")));
    says(&error, &[&server.host(), "TLS"]);
}

#[test]
fn a_server_that_talks_nonsense_is_no_postgres() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let host = listener.local_addr().expect("it listens").to_string();
    // Ends with the test's process.
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut bytes = [0; 1024];
                while let Ok(1..) = stream.read(&mut bytes) {
                    let _ = stream.write_all(b"-ERR unknown command\r\n");
                }
            });
        }
    });
    says(&refusal_of(&url_of(&host, KEYS)), &[&host, "PostgreSQL"]);
}

#[test]
fn a_server_that_never_answers_is_named_in_bounded_time() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let host = listener.local_addr().expect("it listens").to_string();
    let before = Instant::now();
    says(&refusal_of(&url_of(&host, "timeout=1s")), &[&host, "1s"]);
    assert!(before.elapsed() < LIMIT);
}

#[test]
fn a_host_where_nobody_listens_is_named() {
    let mut server = Server::start(&[]);
    server.kill();
    says(&refusal_of(&server.url(KEYS)), &[&server.host()]);
}

#[test]
fn too_many_connections_are_told_as_such() {
    let server = Server::start(&[
        "max_connections = 6",
        "superuser_reserved_connections = 0",
        "max_wal_senders = 0",
    ]);
    let clients: Vec<_> = (0..3)
        .map(|_| Client::open(&server.url("wake=poll")))
        .collect();
    let more: Vec<_> = (0..6)
        .map(|_| support::try_open(&server.url("wake=poll")))
        .collect();
    let error = more.into_iter().find_map(Result::err);
    says(&error.expect("one too many"), &["max_connections"]);
    clients[0].take("a", TTL);
}

#[test]
fn an_unknown_key_in_the_url_is_refused_with_the_known_ones() {
    let error = refusal_of("postgres://127.0.0.1:1/app?tmeout=5s");
    says(&error, &["tmeout", "timeout", "table", "poll"]);
}
