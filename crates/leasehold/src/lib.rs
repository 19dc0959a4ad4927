//! Distributed locks that are leases with fencing tokens and deadlines, on the
//! store you have.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> { pollster::block_on(async {
//! # async fn send_invoices() {}
//! # let url = "memory:";
//! let locks = leasehold::connect(url).await?;        // local: is a file on this machine
//! let lease = locks.lock("invoices/2026-11").await?; // waits its turn
//! println!("token {}", lease.token());               // give it to the resource with each write
//! lease.run(send_invoices()).await?;                 // cancelled if the lease is lost
//! lease.release().await?;                            // or drop it
//! # Ok(()) }) }
//! ```
//!
//! That is a lease of 30 s, renewed every 10 s, which ends by this machine's clock
//! if it cannot be renewed, and is released on drop. [`LockRequest`] has the
//! options: TTL, how long to wait, shared holders, permits, and more.
//!
//! # A lease is not a mutex
//!
//! No lock service can stop a holder from working. A process can be paused for
//! longer than its TTL between the moment it looks at its lease and the moment its
//! write arrives; when it wakes, somebody else holds the lock. So:
//!
//! * **Fence the resource.** Send [`Lease::token`] with every write, and let the
//!   resource refuse a token smaller than the greatest it has seen. Tokens grow
//!   with every grant and are never reused, so this is safe whatever clocks,
//!   networks and processes do.
//! * **Stop at the deadline.** [`Lease::run`] drops its work when the lease is lost;
//!   [`Lease::is_valid`] and [`Lease::remaining`] go by this machine's clock, which
//!   counts the time the machine was suspended, and ask nobody.
//! * **Read the answer.** [`Released::AlreadyLost`] from [`Lease::release`] means that
//!   the last of the work was not protected.
//!
//! An error's docs say whether the lock may still be held, and
//! [`Error::may_be_held`] says it to a program.
//!
//! # Engines
//!
//! The URL chooses where locks are kept; [`engines`] lists what this build has.
//!
//! | feature | URL | |
//! |---|---|---|
//! | `local` (default) | `local:`, `local:/path/to/locks.db` | a file, for any number of processes of one machine |
//! | `memory` (default) | `memory:`, `memory:NAME` | the memory of one process, for tests |
//!
//! # Runtimes
//!
//! Futures run on tokio, smol, or a plain `block_on`. What must happen without the
//! caller's help (renewal, the end at the deadline, releases of what was dropped)
//! happens on one background thread per client, started at its first lease. Code
//! without async uses [`blocking`].
//!
//! # Layout
//!
//! * [`connect`], [`Builder`], [`Locks`]: a client.
//! * [`LockRequest`], [`AllOf`]: asking. `acquire` takes a lock, `line` keeps the
//!   tasks of one client in order.
//! * [`Lease`], [`Leases`]: having. `held` is a lease as everybody shares it, `upkeep`
//!   says when it must be renewed and when it is over.
//! * `driver`: the background thread.
//! * [`Watch`], [`Observer`]: seeing what happens. [`diagnose`]: checking a store.
//! * [`Clock`], [`testing`]: time.
//! * Everything else is `leasehold-core`'s, re-exported.

#![forbid(unsafe_code)]

mod acquire;
mod all_of;
pub mod blocking;
mod builder;
mod clock;
mod doctor;
mod driver;
mod engines;
mod held;
mod label;
mod lease;
mod line;
mod locks;
mod observer;
mod options;
mod race;
mod request;
pub mod testing;
mod upkeep;
mod watch;

pub use all_of::{AllOf, Leases};
pub use builder::Builder;
pub use clock::{Clock, SystemClock};
pub use doctor::diagnose;
pub use engines::{EngineInfo, engines};
pub use lease::{Kept, Lease};
pub use locks::Locks;
pub use observer::{Event, Observer};
pub use request::LockRequest;
pub use watch::Watch;

pub use leasehold_core::{
    AcquireRequest, Acquired, BoxFuture, BreakRequest, BreakStatus, Broken, Capabilities, Change,
    Deadline, Effect, Engine, EngineUrl, Error, ExtendRequest, Extended, Finding, Granted, HeldBy,
    HolderStatus, Instant, Lifetime, LockName, LockStatus, Loss, MAX_NAME_BYTES, MAX_OWNER_BYTES,
    Mode, Nonce, Operation, Owner, Promise, Queued, Released, Severity, StoreTime, Token, Ttl,
    WaiterStatus, Wakeup, parse_duration,
};

#[cfg(feature = "local")]
pub use leasehold_local as local;
#[cfg(feature = "memory")]
pub use leasehold_memory as memory;

/// Connects to the store that the URL names, with the usual settings;
/// [`Locks::builder`] has others.
///
/// # Errors
///
/// [`Error::Invalid`] for a URL that will not do, with what would;
/// [`Error::Unavailable`] or [`Error::Damaged`] if the store cannot be opened.
/// Nothing is held.
pub async fn connect(url: &str) -> Result<Locks, Error> {
    Locks::builder().url(url).connect().await
}
