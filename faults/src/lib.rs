//! Real servers that are broken while the torture runs.
//!
//! # Layout
//!
//! * [`Server`]: one redis-server. [`Proxy`]: what stands before it. [`Scene`]: five of
//!   each.
//! * [`Fault`]: what can be done to them, and how it is undone. [`Deck`]: which comes
//!   next, from the seed.
//! * [`campaign()`]: runs the torture on a scene while faults come and go.
//! * [`Outcome`]: what came of all campaigns, as text and JSON.

#![forbid(unsafe_code)]

mod campaign;
mod deck;
mod fault;
mod outcome;
mod proxy;
mod scene;
mod server;

pub use campaign::{Campaign, Done, Length, campaign};
pub use deck::Deck;
pub use fault::{Fault, Kind};
pub use outcome::{Outcome, Part};
pub use proxy::Proxy;
pub use scene::{Flavour, Scene};
pub use server::Server;
