//! Real servers, and what is done with them.

#![allow(dead_code, unreachable_pub, unused_imports)] // each test uses a part of it

mod client;
mod cluster;
mod deployment;
mod history;
mod plain;
mod proxy;
mod sentinel;
mod server;
pub mod tls;
mod traffic;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

pub use client::{Client, Lease, ask, error_of, open, refusal_of, try_open, wait};
pub use cluster::Cluster;
pub use deployment::{Deployment, url};
pub use history::History;
pub use plain::PlainRedlock;
pub use proxy::Proxy;
pub use sentinel::{Group, Watched, role};
pub use server::{Server, free_port};
pub use traffic::Traffic;

/// How long anything may take before a test gives up on it.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A user that the documentation tells operators to make, word for word: the one that
/// is shown in the part about a `cluster`, or the first.
pub fn documented_user(part: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/engines/redis.md");
    let page = fs::read_to_string(page).expect("the documentation can be read");
    let mut users = page
        .lines()
        .filter(|line| line.starts_with("user locks on >password ~app:* "));
    let user = match part {
        "cluster" => users.find(|line| line.contains("+cluster|slots")),
        _ => users.next(),
    };
    user.expect("the documentation shows a user").to_owned()
}

/// Waits until `met` says so; panics at [`LIMIT`]. For what can only be asked for.
#[track_caller]
pub fn until(what: &str, mut met: impl FnMut() -> bool) {
    let give_up = Instant::now() + LIMIT;
    while !met() {
        assert!(Instant::now() < give_up, "not within {LIMIT:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
