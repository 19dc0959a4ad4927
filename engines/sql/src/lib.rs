//! Leasehold on PostgreSQL, MySQL and MariaDB: one permanent row for each lock,
//! swapped as a whole.
//!
//! A row has the lock's record, as [`leasehold_core::record`] describes it, and a
//! version that is random for every write. A request is one `UPDATE … WHERE version
//! = …`, by the row as this client left it or as it was just read: one round trip
//! for a lock that it knows or nobody ever used, two for others. No transaction
//! stays open and no session keeps anything, so a pooler may stand between.
//!
//! # Time
//!
//! All ages are by the server's clock: a record's own dates are told from the column
//! `written`, which says what moment of the server's clock the last change stands
//! for. No clock of any client is compared with it.
//!
//! # Tokens that survive what the server forgets
//!
//! A row is written under the server's *era*. On PostgreSQL that is its timeline, which
//! another server changes when it is promoted or restored from a backup; on MySQL it is
//! the server's own identity. A row of another era may
//! have lost its last writes. Its next token is then taken from the server's clock,
//! 2^20 a second since 1970, and so is the first token of a name without a row.
//! Since no name is granted that often, the clock is ahead of every token that was
//! granted and forgotten, unless it is set back by more than the failover took.
//!
//! # Layout
//!
//! * `config.rs`: the URL and its settings. `tls.rs`: certificates.
//! * `engine.rs`: the engine as the library sees it. `thread.rs`: its thread.
//! * `op.rs`, `drive.rs`: a request, and how it becomes a write. `row.rs`: what is
//!   read and written. `known.rs`: what is remembered.
//! * `hub.rs`: what the requests share. `backend.rs`: the server.
//! * `postgres/`, `mysql/`: how they say it.
//! * `doctor.rs`: looking at a server for an operator.
//! * `fence.rs`: the token's check inside a transaction of the protected data.
//! * `fail.rs`, `clock.rs`: errors, time.

#![forbid(unsafe_code)]

#[cfg(not(any(feature = "mysql", feature = "postgres")))]
compile_error!("leasehold-sql needs one of its features postgres and mysql");

mod backend;
mod clock;
mod config;
mod doctor;
mod drive;
mod engine;
mod fail;
mod fence;
mod hub;
mod known;
#[cfg(feature = "mysql")]
mod mysql;
mod op;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
mod thread;
#[cfg(feature = "postgres")]
mod tls;
mod wakeups;

pub use config::SqlOptions;
pub use doctor::diagnose;
pub use engine::{SqlEngine, capabilities};
pub use fence::{Dialect, Fence};
