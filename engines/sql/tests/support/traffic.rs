//! Clients that take locks and give them back while something happens.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use leasehold_core::{Error, Extended, Token};

use super::{Client, History, until};

/// The TTL of all their leases.
const TTL: Duration = Duration::from_millis(800);

/// Four clients at work: two pass two locks around quickly, one holds a lock for
/// longer than its TTL by extending it, and one holds the same lock without asking
/// anybody until shortly before its deadline.
pub struct Traffic {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    leases: [AtomicUsize; 4],
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    history: History,
    failures: Vec<Error>,
}

impl Traffic {
    /// Starts them, each with an engine of its own, and waits until all have had a
    /// lock.
    pub fn start(url: &str) -> Self {
        let shared = Arc::<Shared>::default();
        let clients = (0..4)
            .map(|number| {
                let (shared, url) = (Arc::clone(&shared), url.to_owned());
                thread::spawn(move || work(number, &Client::open(&url), &shared))
            })
            .collect();
        let traffic = Self { shared, clients };
        traffic.goes_on();
        traffic
    }

    /// Waits until each of them has had a lease that it asked for from now on; the
    /// next to end may have been under way.
    pub fn goes_on(&self) {
        let leases = || self.shared.leases.iter().map(|n| n.load(Ordering::SeqCst));
        let wanted: Vec<_> = leases().map(|number| number + 2).collect();
        until("every client takes its lock again", || {
            let ended = self.clients.iter().any(JoinHandle::is_finished);
            assert!(!ended, "a client has panicked; its message is above");
            leases()
                .zip(&wanted)
                .all(|(number, wanted)| number >= *wanted)
        });
    }

    /// The greatest token that was seen so far.
    pub fn greatest(&self) -> Token {
        self.shared.seen().history.greatest()
    }

    /// Ends them, checks what they saw, and tells what failed meanwhile.
    pub fn end(mut self) -> Vec<Error> {
        self.shared.stop.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            client.join().expect("a client does not panic");
        }
        let mut seen = self.shared.seen();
        seen.history.check();
        std::mem::take(&mut seen.failures)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(number: usize, client: &Client, shared: &Shared) {
    for turn in 0_u32.. {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let result = match number {
            0 | 1 => short(client, ["a", "b"][(turn % 2) as usize], shared),
            2 => extended(client, shared),
            _ => trusting(client, shared),
        };
        match result {
            Ok(()) => {
                shared.leases[number].fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => {
                shared.seen().failures.push(error);
                // Callers do not come back at once either.
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn short(client: &Client, name: &str, shared: &Shared) -> Result<(), Error> {
    let lease = client.turn(name, TTL)?;
    thread::sleep(Duration::from_millis(3));
    finish(client, &lease, shared)
}

/// Holds the lock for a little longer than its TTL, as long as it can be extended.
fn extended(client: &Client, shared: &Shared) -> Result<(), Error> {
    let mut lease = client.turn("long", TTL)?;
    for _ in 0..6 {
        thread::sleep(TTL / 5);
        let sent = Instant::now();
        match client.extend(&lease, TTL) {
            // An answer that comes after the deadline is too late to rely on.
            Ok(Extended::Extended) if Instant::now() < lease.deadline => {
                lease.deadline = sent + TTL;
            }
            Ok(_) => break,
            // The old deadline stands.
            Err(error) => shared.seen().failures.push(error),
        }
    }
    finish(client, &lease, shared)
}

/// Relies on the lock for most of its TTL, whatever happens to the server.
fn trusting(client: &Client, shared: &Shared) -> Result<(), Error> {
    let lease = client.turn("long", TTL)?;
    thread::sleep(TTL * 4 / 5);
    finish(client, &lease, shared)
}

/// Ends a lease: nothing is done under it from before the release is sent.
fn finish(client: &Client, lease: &super::Lease, shared: &Shared) -> Result<(), Error> {
    shared.seen().history.add(lease, Instant::now());
    client.give_back(lease).map(drop)
}
