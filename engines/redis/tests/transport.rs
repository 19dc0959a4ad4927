//! The ways to a server: sockets, databases, TLS.

#![allow(unused_crate_dependencies)]

mod support;

use std::time::Duration;

use support::{Client, Server, error_of, refusal_of, tls};

const KEYS: &str = "max_ttl=5s&fresh=yes&timeout=500ms";
const TTL: Duration = Duration::from_secs(2);

/// Takes and gives back a lock; whether the server had its key meanwhile.
fn works(url: &str, has: impl Fn(&str) -> bool) {
    let client = Client::open(url);
    let lease = client.take("a", TTL);
    assert!(has("a"));
    client.give_back(&lease).expect("the server is there");
    assert!(!has("a"));
}

#[test]
fn unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.sock").display().to_string();
    let server = Server::start(&[&format!("unixsocket {path}")]);
    works(&format!("redis+unix:{path}?{KEYS}"), |key| server.has(key));
}

#[test]
fn a_database_by_its_number() {
    let server = Server::start(&[]);
    let url = format!("redis://{}/3?{KEYS}", server.host());
    works(&url, |key| {
        let mut connection = server.connect();
        redis::cmd("SELECT").arg(3).exec(&mut connection).unwrap();
        let exists = redis::cmd("EXISTS").arg(key).query(&mut connection);
        exists.unwrap()
    });
    assert_eq!(server.keys(), Vec::<String>::new(), "in database 0");
}

#[test]
fn a_database_that_is_not_there_is_named() {
    let server = Server::start(&["databases 2"]);
    let error = error_of(&format!("redis://{}/3?{KEYS}", server.host()), "a", TTL);
    let text = error.to_string();
    assert!(text.contains(&server.host()), "{text}");
}

#[test]
fn tls_with_an_authority_of_ones_own() {
    let (server, host) = tls::server("no", &[]);
    let url = format!("rediss://{host}?{KEYS}&ca={}", tls::file("ca.pem"));
    works(&url, |key| server.has(key));
}

#[test]
fn tls_with_a_clients_certificate() {
    let (server, host) = tls::server("yes", &[]);
    let ca = tls::file("ca.pem");
    let (cert, key) = (tls::file("client.pem"), tls::file("client.key"));
    let url = format!("rediss://{host}?{KEYS}&ca={ca}&cert={cert}&key={key}");
    works(&url, |key| server.has(key));
    let text = error_of(&format!("rediss://{host}?{KEYS}&ca={ca}"), "a", TTL).to_string();
    assert!(text.contains(&host), "{text}");
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_trusted() {
    let (server, host) = tls::server("no", &[]);
    for ca in [format!("&ca={}", tls::file("other-ca.pem")), String::new()] {
        let text = error_of(&format!("rediss://{host}?{KEYS}{ca}"), "a", TTL).to_string();
        assert!(text.contains(&host), "{text}");
    }
    assert_eq!(server.keys(), Vec::<String>::new());
}

#[test]
fn tls_to_a_plain_port_is_named() {
    let server = Server::start(&[]);
    let text = error_of(&format!("rediss://{}?{KEYS}", server.host()), "a", TTL).to_string();
    assert!(
        text.contains(&server.host()) && text.contains("rediss://"),
        "{text}"
    );
}

#[test]
fn a_certificate_that_cannot_be_read_is_named() {
    let text = refusal_of(&format!("rediss://127.0.0.1:1?{KEYS}&ca=/no/such.pem")).to_string();
    assert!(text.contains("/no/such.pem"), "{text}");
}
