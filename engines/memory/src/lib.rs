//! Leasehold in the memory of one process, for tests.
//!
//! The record protocol of `leasehold-core` on a map: the same record machine,
//! encoding and line as on any other store, with nothing beneath that could fail.
//! What can fail on other stores is brought about on demand, by a [`Fault`].
//!
//! All that is kept dies with the process; so a fresh store's tokens begin at 1.
//!
//! # Layout
//!
//! * [`MemoryStore`]: the map, shared by all its clients.
//! * [`MemoryEngine`]: one client of it, with a session of its own.
//! * [`MemoryRegister`]: the same as a register, for whoever wraps it.
//! * [`Clock`]: the machine's, or one that a test moves by hand.
//! * [`Fault`]: what a swap can be made to do.

#![forbid(unsafe_code)]

mod clock;
mod engine;
mod faults;
mod register;
mod store;
mod watch;

pub use clock::{Clock, ManualClock};
pub use engine::MemoryEngine;
pub use faults::Fault;
pub use register::MemoryRegister;
pub use store::MemoryStore;
