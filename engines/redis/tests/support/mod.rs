//! Real servers, and what is done with them.

#![allow(dead_code, unreachable_pub, unused_imports)] // each test uses a part of it

mod client;
mod deployment;
mod history;
mod plain;
mod proxy;
mod sentinel;
mod server;
pub mod tls;
mod traffic;

use std::thread;
use std::time::{Duration, Instant};

pub use client::{Client, Lease, error_of, open, refusal_of, try_open};
pub use deployment::{Deployment, url};
pub use history::History;
pub use plain::PlainRedlock;
pub use proxy::Proxy;
pub use sentinel::{Group, Watched, role};
pub use server::{Server, free_port};
pub use traffic::Traffic;

/// How long anything may take before a test gives up on it.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Waits until `met` says so; panics at [`LIMIT`]. For what can only be asked for.
#[track_caller]
pub fn until(what: &str, mut met: impl FnMut() -> bool) {
    let give_up = Instant::now() + LIMIT;
    while !met() {
        assert!(Instant::now() < give_up, "not within {LIMIT:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
