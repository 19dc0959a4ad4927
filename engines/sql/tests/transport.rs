//! Ways to the server: Unix sockets, and TLS with and without a client's certificate.
//!
//! The certificates in `tests/tls` are valid for 127.0.0.1 and for a hundred years;
//! the keys of their authorities were not kept.

#![allow(unused_crate_dependencies)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{Client, Mariadb, Server, refusal_of, says};

const TTL: Duration = Duration::from_secs(60);

fn file(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    folder.join(name).display().to_string()
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).expect("the certificates are there")
}

#[track_caller]
fn works(url: &str) {
    let client = Client::open(url);
    let lease = client.take("a", TTL);
    assert!(client.try_take("a", TTL).expect("it is there").is_none());
    client.give_back(&lease).expect("it is there");
}

#[test]
fn postgres_by_its_socket() {
    let server = Server::start(&[]);
    works(&format!(
        "postgres://admin@:{}/postgres?host={}",
        server.port(),
        server.socket().display()
    ));
}

#[test]
fn mariadb_by_its_socket() {
    let server = Mariadb::start(&[]);
    // Whoever runs the client may not look into the server's folder.
    let socket = server.socket();
    works(&format!("mysql://root@/locks?socket={}", socket.display()));
}

#[test]
fn postgres_over_tls() {
    let mut server = Server::start(&[]);
    for name in ["server.pem", "server.key", "ca.pem"] {
        server.write_secret(name, &text(name));
    }
    server.write_data(
        "pg_hba.conf",
        "host all admin 127.0.0.1/32 trust\nhostssl all app 127.0.0.1/32 trust\nhostssl all guarded 127.0.0.1/32 trust clientcert=verify-ca\n",
    );
    server.append_settings(
        "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\nssl_ca_file = 'ca.pem'\n",
    );
    server.restart();
    for user in ["app", "guarded"] {
        server.sql(&format!("CREATE USER {user} SUPERUSER"));
    }
    let ca = file("ca.pem");
    let url =
        |user: &str, keys: &str| format!("postgres://{user}@{}/postgres?{keys}", server.host());
    works(&url("app", &format!("ca={ca}")));
    works(&url("app", &format!("sslmode=verify-full&ca={ca}")));
    let (cert, key) = (file("client.pem"), file("client.key"));
    works(&url("guarded", &format!("ca={ca}&cert={cert}&key={key}")));
    says(
        &refusal_of(&url("guarded", &format!("ca={ca}"))),
        &["28000"],
    );
    says(&refusal_of(&url("app", "")), &["sslmode=verify-full"]);
    let other = file("other-ca.pem");
    says(&refusal_of(&url("app", &format!("ca={other}"))), &["ca="]);
    says(
        &refusal_of(&url("app", "ca=/no/such/file")),
        &["/no/such/file"],
    );
}

#[test]
fn mariadb_over_tls() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let account = support::Account::of("mysql");
    account.give(folder.path());
    let copy = |name: &str| {
        let to = folder.path().join(name);
        fs::write(&to, text(name)).expect("a file can be written");
        account.give(&to);
        to.display().to_string()
    };
    let server = Mariadb::start(&[
        &format!("--ssl-cert={}", copy("server.pem")),
        &format!("--ssl-key={}", copy("server.key")),
        &format!("--ssl-ca={}", copy("ca.pem")),
    ]);
    server.sql("CREATE USER app REQUIRE SSL");
    server.sql("CREATE USER guarded REQUIRE X509");
    server.sql("DELETE FROM mysql.global_priv WHERE User = ''");
    server.sql("FLUSH PRIVILEGES");
    for user in ["app", "guarded"] {
        server.sql(&format!("GRANT ALL ON locks.* TO {user}"));
    }
    let ca = file("ca.pem");
    let url = |user: &str, keys: &str| format!("mysql://{user}@{}/locks?{keys}", server.host());
    works(&url("app", &format!("ca={ca}")));
    let (cert, key) = (file("client.pem"), file("client.key"));
    works(&url("guarded", &format!("ca={ca}&cert={cert}&key={key}")));
    says(&refusal_of(&url("guarded", &format!("ca={ca}"))), &["1045"]);
    says(&refusal_of(&url("app", "")), &["1045"]);
    let other = file("other-ca.pem");
    says(&refusal_of(&url("app", &format!("ca={other}"))), &["ca="]);
    assert!(!Path::new("/no/such/file").exists());
    says(&refusal_of(&url("app", "ca=/no/such/file")), &["ca="]);
}
