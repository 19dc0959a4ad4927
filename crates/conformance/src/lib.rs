//! The suite that every Leasehold engine must pass, on its real server.
//!
//! It is written against the contract C1 to C7 of `leasehold-core` and knows
//! nothing of how an engine works. What an engine does not claim to do, by its
//! [`Capabilities`](leasehold_core::Capabilities) or by its fixture, is reported
//! as ignored, with the reason; what it does not claim and does all the same, as
//! a failure.
//!
//! # Use
//!
//! An engine's crate describes in a [`Fixture`] how to get an empty store, and
//! hands it to [`main`]:
//!
//! ```toml
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! ```no_run
//! // tests/conformance.rs
//! use std::sync::Arc;
//! use leasehold_conformance::{Fixture, Store};
//! use leasehold_core::{Engine, Error};
//! use leasehold_memory::MemoryStore;
//!
//! struct Memory;
//!
//! impl Fixture for Memory {
//!     fn store(&self) -> Result<Box<dyn Store>, Error> {
//!         Ok(Box::new(Fresh(MemoryStore::new())))
//!     }
//! }
//!
//! struct Fresh(MemoryStore);
//!
//! impl Store for Fresh {
//!     fn client(&self) -> Result<Arc<dyn Engine>, Error> {
//!         Ok(Arc::new(self.0.client()))
//!     }
//! }
//!
//! fn main() {
//!     leasehold_conformance::main(Memory)
//! }
//! ```
//!
//! `cargo test --test conformance` then runs the suite; a word after `--` filters
//! the cases, `--list` lists them.
//!
//! Cases that need several processes start the test's own program again, which
//! then opens the store by its [address](Store::address) and does as it is told.
//!
//! # Layout
//!
//! * [`Fixture`] and [`Store`]: what the suite needs to know of an engine.
//! * [`Suite`] and [`Case`]: the cases, for whoever runs them in another way.
//! * `cases`: the cases, one file for each promise.
//! * `kit`: what cases are made of: a store, clients, futures polled by hand.
//! * `agent`: the suite's other processes.

#![forbid(unsafe_code)]

mod agent;
mod cases;
mod fixture;
mod kit;
mod suite;

pub use fixture::{Extras, Fixture, Pace, Store};
pub use suite::{Case, Outcome, Suite, main};
