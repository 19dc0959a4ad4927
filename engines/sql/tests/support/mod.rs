//! Real servers, and what is done with them.

#![allow(dead_code, unreachable_pub, unused_imports)] // each test uses a part of it

mod client;
mod history;
mod mariadb;
mod pooler;
mod postgres;
mod proxy;
mod traffic;
mod user;

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use client::{Client, Lease, ask, error_of, open, refusal_of, try_open, wait};
pub use history::History;
pub use mariadb::Mariadb;
pub use pooler::Pooler;
pub use postgres::{Server, block_on, url_of};
pub use proxy::Proxy;
pub use traffic::Traffic;
pub use user::Account;

/// How long anything may take before a test gives up on it.
pub const LIMIT: Duration = Duration::from_secs(90);

/// Waits until `met` says so; panics at [`LIMIT`]. For what can only be asked for.
#[track_caller]
pub fn until(what: &str, mut met: impl FnMut() -> bool) {
    let give_up = Instant::now() + LIMIT;
    while !met() {
        assert!(Instant::now() < give_up, "not within {LIMIT:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The text of an error, which must have all these words.
#[track_caller]
pub fn says(error: &leasehold_core::Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "it does not say {word:?}: {text}");
    }
}

/// A port that nobody listens on, below those that the system gives to outgoing
/// connections: a client that knocks again and again at a port of that range
/// while its server is away may be given the very port as its own, and be
/// connected to itself.
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const LAST: u16 = 32_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = std::process::id().wrapping_mul(7919) % u32::from(LAST - FIRST);
    let start = u16::try_from(spread).expect("less than 22,000");
    for _ in FIRST..LAST {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % (LAST - FIRST);
        let port = FIRST + (start + step) % (LAST - FIRST);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port between {FIRST} and {LAST} is free")
}
