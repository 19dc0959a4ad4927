//! Drives lock clients in several processes, records what they saw on one clock,
//! checks it against the promises C1 to C7, and draws it.
//!
//! # Layout
//!
//! * [`protocol`]: what the parent and its workers say to each other.
//! * [`clock`]: the one clock of a history.

#![forbid(unsafe_code)]

pub mod clock;
pub mod protocol;
