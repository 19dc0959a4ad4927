//! MariaDB: what may happen to the server and to the way there, round trips, the
//! token's check, and what an operator may get wrong.

#![allow(unused_crate_dependencies)]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use leasehold_core::{Error, Extended, Released, Token, Wakeup};
use leasehold_sql::{Dialect, Fence};
use support::{Client, Mariadb, Proxy, Traffic, refusal_of, says, until};

const KEYS: &str = "timeout=5s&poll=20ms";
const TTL: Duration = Duration::from_secs(2);
/// So long that it ends with the test.
const LONG: Duration = Duration::from_secs(600);

#[test]
fn killed_and_started_again_it_has_forgotten_nothing() {
    let mut server = Mariadb::start(&[]);
    let traffic = Traffic::start(&server.url(KEYS));
    let holder = Client::open(&server.url(KEYS));
    assert_eq!(holder.capabilities().wakeup, Wakeup::Polled);
    let held = holder.take("held", LONG);
    for _ in 0..2 {
        server.restart();
        traffic.goes_on();
    }
    let other = Client::open(&server.url(KEYS));
    let busy = other.try_take("held", TTL).expect("the server is there");
    assert!(busy.is_none(), "a lease was forgotten");
    assert_eq!(
        holder.extend(&held, LONG).expect("the server is there"),
        Extended::Extended
    );
    assert_eq!(
        holder.give_back(&held).expect("the server is there"),
        Released::Released
    );
    let failures = traffic.end();
    assert!(!failures.is_empty(), "nobody noticed");
}

#[test]
fn frozen_for_longer_than_every_ttl_and_cut_off() {
    let server = Mariadb::start(&[]);
    let traffic = Traffic::start(&server.url(KEYS));
    let holder = Client::open(&server.url(KEYS));
    let held = holder.take("held", TTL);
    server.freeze();
    let error = holder.extend(&held, TTL).expect_err("nobody answers");
    assert!(error.may_be_held(), "{error}");
    thread::sleep((held.sent + TTL * 2).saturating_duration_since(Instant::now()));
    server.thaw();
    traffic.goes_on();
    let other = Client::open(&server.url(KEYS));
    let next = other.turn("held", TTL).expect("the server is there");
    assert!(next.token > held.token);
    assert_eq!(
        holder.extend(&held, TTL).expect("the server is there"),
        Extended::Lost
    );
    for _ in 0..3 {
        for row in server.sql("SELECT id FROM information_schema.processlist WHERE db = 'locks' AND id <> CONNECTION_ID()") {
            // Some end by themselves first.
            let _ = server.try_sql(&format!("KILL {}", row[0]));
        }
        traffic.goes_on();
    }
    traffic.end();
}

#[test]
fn a_connection_that_swallows_everything_is_replaced() {
    let server = Mariadb::start(&[]);
    let mut proxy = Proxy::to(server.port());
    let client = Client::open(&Mariadb::url_of(&proxy.host(), KEYS));
    let lease = client.take("a", TTL);
    proxy.swallow();
    let error = client
        .extend(&lease, TTL)
        .expect_err("nothing comes through");
    assert!(error.may_be_held(), "{error}");
    let other = Client::open(&server.url(KEYS));
    let next = other.turn("a", TTL).expect("the server is there");
    assert!(next.token > lease.token && lease.sent.elapsed() >= TTL);
    proxy.pass();
    until("the client is back", || client.try_take("c", TTL).is_ok());
    assert_eq!(
        client.extend(&lease, TTL).expect("the server is there"),
        Extended::Lost
    );
}

/// Counts requests: packets that begin a sequence.
fn counting(server: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let port = listener.local_addr().expect("it listens").port();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    // Ends with the test's process.
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server));
            let server = server.expect("the server listens");
            let clone = |stream: &TcpStream| stream.try_clone().expect("it can be cloned");
            let (mut from, mut to) = (clone(&client), clone(&server));
            let counter = Arc::clone(&counter);
            thread::spawn(move || {
                let mut head = [0; 4];
                while from.read_exact(&mut head).is_ok() {
                    let length = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
                    counter.fetch_add(usize::from(head[3] == 0), Ordering::SeqCst);
                    let mut body = vec![0; length];
                    if from.read_exact(&mut body).is_err()
                        || to.write_all(&[&head[..], &body].concat()).is_err()
                    {
                        return;
                    }
                }
            });
            let (mut from, mut to) = (server, client);
            thread::spawn(move || std::io::copy(&mut from, &mut to));
        }
    });
    (port, asked)
}

#[test]
fn a_known_lock_takes_one_round_trip_and_another_two() {
    let server = Mariadb::start(&[]);
    let (port, asked) = counting(server.port());
    let client = Client::open(&Mariadb::url_of(
        &format!("127.0.0.1:{port}"),
        "connections=1",
    ));
    let other = Client::open(&server.url(KEYS));
    let theirs = other.take("theirs", LONG);
    other.give_back(&theirs).expect("the server is there");
    let trips = |wanted: usize, what: &str, before: usize| {
        assert_eq!(asked.load(Ordering::SeqCst) - before, wanted, "{what}");
    };
    let now = || asked.load(Ordering::SeqCst);

    let before = now();
    let lease = client.take("new", LONG);
    trips(1, "a name that nobody used", before);
    let before = now();
    client.extend(&lease, LONG).expect("the server is there");
    trips(1, "an extend", before);
    let before = now();
    client.give_back(&lease).expect("the server is there");
    trips(1, "a release", before);
    let before = now();
    let lease = client.take("new", LONG);
    trips(1, "a lock that this client knows", before);
    client.give_back(&lease).expect("the server is there");
    let before = now();
    let lease = client.take("theirs", LONG);
    trips(2, "a lock that another client used", before);
    client.give_back(&lease).expect("the server is there");
}

#[test]
fn a_token_is_good_until_the_next_grant_or_a_break() {
    let server = Mariadb::start(&[]);
    let client = Client::open(&server.url(KEYS));
    let name = "it's ? 'quoted' \\ é";
    let is_good = |token: Token| {
        let name = leasehold_core::LockName::new(name).expect("a name");
        let sql = Fence::new(Dialect::Mysql).sql_for("leasehold", &name, token);
        !server.sql(&sql.expect("a table's name")).is_empty()
    };
    let first = client.take(name, LONG);
    assert!(is_good(first.token));
    client.give_back(&first).expect("the server is there");
    let second = client.take(name, LONG);
    assert!(!is_good(first.token) && is_good(second.token));
    client.break_lock(name).expect("the server is there");
    assert!(!is_good(second.token));
    // Another server that is promoted, or a table made anew, grants no old token.
    server.sql("UPDATE leasehold SET era = 'elsewhere'");
    let third = Client::open(&server.url(KEYS)).take(name, LONG);
    assert!(third.token.get() > second.token.get() + 1_000);
    let before = client.take("b", LONG);
    server.sql("DROP TABLE leasehold");
    assert!(Client::open(&server.url(KEYS)).take("b", LONG).token > before.token);
}

#[test]
fn what_an_operator_may_get_wrong() {
    let server = Mariadb::start(&[]);
    let host = server.host();
    server.sql("CREATE USER app IDENTIFIED BY 'right'");
    server.sql("DELETE FROM mysql.global_priv WHERE User = ''");
    server.sql("FLUSH PRIVILEGES");
    let url =
        |login: &str, database: &str| format!("mysql://{login}@{host}/{database}?timeout=20s");
    let error = refusal_of(&url("app:wrong", "locks"));
    says(&error, &[&host, "password"]);
    assert!(!error.to_string().contains("app:wrong"), "{error}");
    says(
        &refusal_of(&url("root", "nowhere")),
        &["nowhere", "create it"],
    );
    server.sql("GRANT SELECT ON locks.* TO app");
    let app = url("app:right", "locks");
    says(&refusal_of(&app), &["leasehold", "migrations/mysql.sql"]);
    server.sql(
        include_str!("../migrations/mysql.sql")
            .trim_end()
            .trim_end_matches(';'),
    );
    says(&refusal_of(&app), &["GRANT", "UPDATE"]);
    assert!(server.sql("SELECT * FROM leasehold").is_empty());
    server.sql("GRANT INSERT, UPDATE ON locks.leasehold TO app");
    Client::open(&app).take("a", TTL);
    for (number, (columns, said)) in [
        ("id int", "no column name"),
        (
            "name varchar(9), version bigint, record mediumtext",
            "name is varchar",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let table = format!("other{number}");
        server.sql(&format!("CREATE TABLE {table} ({columns})"));
        let error = refusal_of(&server.url(&format!("table={table}")));
        says(&error, &[&table, said, "table="]);
        assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    }
    server.sql("CREATE TABLE loose LIKE leasehold");
    server.sql("ALTER TABLE loose ENGINE = MyISAM");
    says(
        &refusal_of(&server.url("table=loose")),
        &["MyISAM", "transactions"],
    );
    server.sql("SET GLOBAL read_only = 1");
    says(&refusal_of(&server.url("")), &["read-only", "primary"]);
}

#[test]
fn a_server_that_is_none_is_named_in_bounded_time() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let host = listener.local_addr().expect("it listens").to_string();
    says(
        &refusal_of(&Mariadb::url_of(&host, "timeout=1s")),
        &[&host, "1s"],
    );
    drop(listener);
    says(&refusal_of(&Mariadb::url_of(&host, KEYS)), &[&host]);
}
