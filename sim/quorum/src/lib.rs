//! Runs the quorum protocol, as shipped, against faults at random.
//!
//! The clients' machines and the nodes' model are those of `leasehold-core`.
//! Everything between them is played here, from a seed: the same seed twice gives
//! the same log to the byte.
//!
//! # Layout
//!
//! * [`untimed`]: no clock at all. Any message may be delayed, lost, doubled or
//!   overtaken, any key may run out at any moment, no client ever thinks its lease
//!   is over. Tokens must hold out against that (C1).
//! * [`timed`]: clocks at rates within the margin, connections that keep the order
//!   and break, nodes that crash and rejoin. No two leases may be valid at once
//!   (C3), nobody's key may be touched by another (C4), nothing may be left behind
//!   (C7), and once healed every lock can be had (C6).
//! * [`invariants`]: one file per promise.
//! * [`server`]: what a server does with a request.
//! * `wish`: what a client does around the machines while it waits.
//! * [`log`]: the log and its digest.

mod client;
pub mod invariants;
pub mod log;
mod network;
pub mod server;
pub mod timed;
pub mod untimed;
mod wish;

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    /// The first broken promise, if one was.
    pub broken: Option<String>,
    /// The digest of the log.
    pub digest: u64,
    /// Leases granted.
    pub grants: u64,
    /// Of these, handed over.
    pub handed: u64,
    /// The longest that a client has waited in peace, in microseconds.
    pub longest_wait: u64,
    /// Of these, with no second round.
    pub at_once: u64,
    /// Nodes that forgot and came to vote again.
    pub rejoined: u64,
    /// The log, if it was asked for.
    pub lines: Vec<String>,
}
