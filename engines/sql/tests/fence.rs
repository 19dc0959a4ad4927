//! The token is checked inside the transaction that writes what the lock protects.

#![allow(unused_crate_dependencies)]

mod support;

use std::thread;
use std::time::Duration;

use leasehold_core::{LockName, Token};
use leasehold_sql::{Dialect, Fence};
use support::{Client, Server, block_on, until};

const TTL: Duration = Duration::from_secs(60);

fn is_good(server: &Server, name: &str, token: Token) -> bool {
    let sql = Fence::new(Dialect::Postgres)
        .sql("leasehold")
        .expect("a table's name");
    let token = i64::try_from(token.get()).expect("53 bits");
    block_on(async {
        let client = server.client().await.expect("the server is there");
        let rows = client.query(&sql, &[&name, &token]).await;
        !rows.expect("the check is SQL").is_empty()
    })
}

#[test]
fn a_token_is_good_until_the_next_grant_or_a_break() {
    let server = Server::start(&[]);
    let client = Client::open(&server.url(""));
    let name = "it's $2 'quoted' é";
    let first = client.take(name, TTL);
    assert!(is_good(&server, name, first.token));
    client.give_back(&first).expect("the server is there");
    // Nobody else has had it yet.
    assert!(is_good(&server, name, first.token));
    let second = client.take(name, TTL);
    assert!(!is_good(&server, name, first.token));
    assert!(is_good(&server, name, second.token));
    let written = Fence::new(Dialect::Postgres)
        .sql_for(
            "leasehold",
            &LockName::new(name).expect("a name"),
            second.token,
        )
        .expect("a table's name");
    assert_eq!(server.sql(&written).len(), 1);
    client.break_lock(name).expect("the server is there");
    assert!(!is_good(&server, name, second.token));
    assert!(!is_good(&server, "never locked", second.token));
}

#[test]
fn both_who_share_a_lock_have_good_tokens() {
    let server = Server::start(&[]);
    let client = Client::open(&server.url(""));
    let (one, other) = (client.share("a", TTL), client.share("a", TTL));
    assert!(is_good(&server, "a", one.token) && is_good(&server, "a", other.token));
    client.give_back(&one).expect("the server is there");
    assert!(!is_good(&server, "a", one.token));
    assert!(is_good(&server, "a", other.token));
}

#[test]
fn nobody_is_granted_the_lock_while_a_checked_transaction_runs() {
    let server = Server::start(&[]);
    server.sql("CREATE TABLE accounts (id int PRIMARY KEY, balance int); INSERT INTO accounts VALUES (1, 0)");
    let client = Client::open(&server.url(""));
    let brief = Duration::from_millis(200);
    let stale = client.take("accounts/1", brief);
    let other = Client::open(&server.url("timeout=60s"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime can be made");
    let writer = runtime
        .block_on(server.client())
        .expect("the server is there");
    let say = |sql: &str| {
        let said = runtime.block_on(writer.simple_query(sql));
        said.expect("the statement is SQL").len()
    };
    say("BEGIN");
    let check = Fence::new(Dialect::Postgres)
        .sql_for("leasehold", &stale.name, stale.token)
        .expect("a table's name");
    // A row, and what ends the answer (two messages: its description as well).
    assert_eq!(say(&check), 3);
    // Its lease is over long before its transaction is.
    thread::scope(|scope| {
        let waiting = scope.spawn(|| other.turn("accounts/1", TTL));
        until("the next one waits for the row", || {
            let blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted";
            server.sql(blocked)[0][0] != "0"
        });
        assert!(
            !waiting.is_finished(),
            "granted under a checked transaction"
        );
        say("UPDATE accounts SET balance = 7 WHERE id = 1");
        say("COMMIT");
        let next = waiting
            .join()
            .expect("no panic")
            .expect("the server is there");
        assert!(next.token > stale.token);
    });
    assert!(!is_good(&server, "accounts/1", stale.token));
    assert_eq!(server.sql("SELECT balance FROM accounts")[0][0], "7");
}
