//! Leasehold on one to nine independent Redis (or Valkey) servers: Redlock with
//! fencing tokens, as [`leasehold_core::quorum`] describes it. One server is the
//! same protocol, and so is each slot of a Redis Cluster.
//!
//! The lock's own key is what every Redlock client writes, so they exclude us and
//! we exclude them. A server that may have forgotten leases does not vote until it
//! has joined anew.
//!
//! # How it runs
//!
//! An engine has one thread with all connections, timers and protocol machines of
//! one client. Requests go there over a channel and answers come back over
//! another, so its futures may be polled anywhere and dropped at any moment; an
//! attempt that came to nothing is cleaned up there all the same. Each server has
//! one connection, on which everything is pipelined; what is asked under one nonce
//! stays in order.
//!
//! # Layout
//!
//! * `config.rs`: the URL and its settings. `address.rs`: the servers it names.
//!   `connect.rs`, `tls.rs`: a connection, and who answers there. `sentinel.rs`:
//!   where a group's master is. `link/`: what goes over a connection.
//! * `engine.rs`: the engine as the library sees it. `thread.rs`: its thread.
//! * `hub.rs`: what the operations share. `node.rs`: one server; `bond.rs`: its connection. `supervise.rs`,
//!   `join.rs`: keeping it connected, and bringing it to vote.
//! * `wire.rs`: between a machine of the protocol and the connections. `talk.rs`: what
//!   it says and hears. `outbox.rs`: what is asked of a server in the same moment goes
//!   there in one call.
//!   `acquire.rs` (and `answer.rs`), `extend.rs`, `release.rs`, `look.rs`, `list.rs`, `unlock.rs`: the
//!   operations. `usual.rs`: the usual acquire and release, without a task. `grant.rs`:
//!   what is remembered of a nonce. `turn.rs`: its requests, one after the other.
//! * `cluster/`: a Redis Cluster, each slot of which is a set of one server.
//! * `waiters.rs`: waiters, and the hand-overs they are told of.
//! * `doctor/`: looking at servers for an operator, without the engine.
//! * `scripts/`: what is sent to a server, and what it answers.
//! * `fail.rs`, `clock.rs`: errors, time. `fuzzing.rs`: ways in for the fuzzer.

#![forbid(unsafe_code)]

mod acquire;
mod address;
mod answer;
mod bond;
mod clock;
mod cluster;
mod config;
mod connect;
mod doctor;
mod engine;
mod extend;
mod fail;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod grant;
mod hub;
mod join;
mod link;
mod list;
mod look;
mod node;
mod outbox;
mod release;
mod scripts;
mod sentinel;
mod supervise;
mod talk;
mod thread;
mod tls;
mod turn;
mod unlock;
mod usual;
mod waiters;
mod wire;

pub use config::RedisOptions;
pub use doctor::diagnose;
pub use engine::{RedisEngine, capabilities};
