//! Servers that speak TLS.
//!
//! The certificates in `tests/tls` are valid for 127.0.0.1 and for a hundred
//! years; the keys of their authorities were not kept.

use std::path::PathBuf;

use super::{Server, free_port};

/// A file of `tests/tls`, as a URL names it.
pub fn file(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    folder.join(name).display().to_string()
}

/// The lines of a configuration that make a server speak TLS on this port.
pub fn lines(port: u16, clients: &str) -> [String; 5] {
    [
        format!("tls-port {port}"),
        format!("tls-cert-file {}", file("server.pem")),
        format!("tls-key-file {}", file("server.key")),
        format!("tls-ca-cert-file {}", file("ca.pem")),
        format!("tls-auth-clients {clients}"),
    ]
}

/// A server with a port for TLS besides the plain one, and the host and port of
/// the former. `clients` is whether clients need a certificate: yes or no.
pub fn server(clients: &str, lines: &[&str]) -> (Server, String) {
    let port = free_port();
    let tls = self::lines(port, clients);
    let mut all: Vec<&str> = tls.iter().map(String::as_str).collect();
    all.extend(lines);
    (Server::start(&all), format!("127.0.0.1:{port}"))
}
