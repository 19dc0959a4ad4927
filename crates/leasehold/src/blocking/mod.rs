//! The same locks for code without async.
//!
//! Every name means what it means in the rest of the crate; what is awaited there
//! blocks here. No runtime is needed. Do not call this from async code: it would
//! block the executor.
//!
//! ```
//! # fn main() -> Result<(), leasehold::Error> {
//! use std::time::Duration;
//!
//! let locks = leasehold::blocking::connect("memory:")?;
//! let lease = locks.lock("reports/daily").wait(Duration::from_secs(10)).lock()?;
//! println!("token {}", lease.token());
//! lease.release()?;
//! # Ok(()) }
//! ```

mod lease;
mod locks;
mod request;

pub use lease::{Lease, Leases};
pub use locks::{Locks, Watch};
pub use request::{AllOf, LockRequest};

use leasehold_core::Error;

/// Connects to the store that the URL names; see [`connect`](crate::connect).
///
/// # Errors
///
/// As for [`connect`](crate::connect).
pub fn connect(url: &str) -> Result<Locks, Error> {
    crate::Locks::builder().url(url).connect_blocking()
}
