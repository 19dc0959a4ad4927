//! Leasehold on a local file, for any number of processes of one machine.
//!
//! The locks are rows of an SQLite database. Each request is one step of the
//! [record protocol](leasehold_core::record), run inside a write transaction; so
//! there is nothing to retry. Beside the database `locks.db` stand:
//!
//! * `locks.db-wal` and `locks.db-shm`, which are SQLite's;
//! * `locks.db-lock` and `locks.db-gate`, empty files that writers lock in turn;
//! * `locks.db-sessions`, a folder with a FIFO for each client, which tells that
//!   it lives and wakes its waiters.
//!
//! Copying or moving the database means copying or moving it with its `-wal`
//! while nothing uses it. The others can be left behind.
//!
//! The file must be on a file system of this machine, and be used under one
//! running kernel; containers may share it.
//!
//! # Promises
//!
//! Tokens (C1) survive any crash of processes, and power loss: see `reserve.rs`.
//! Records survive a crash of processes; a power loss may take back the last
//! ones, but then whoever they were granted to is gone as well. A process that
//! dies loses its grants at once (C6).
//!
//! # Layout
//!
//! * `options.rs`: where the store is.
//! * `schema.rs`, `store.rs`: the tables, how they are opened, the statements.
//! * `step.rs`: one request in a transaction.
//! * `transact.rs`: many requests in one transaction, and what happens if it fails.
//! * `combine.rs`, `writer.rs`: the queue, and who carries it out.
//! * `reserve.rs`: tokens that survive a power loss.
//! * `sessions.rs`, `waker.rs`: who is alive, and hearing of deaths and turns.
//! * `reader.rs`, `watch.rs`: looking at locks.
//! * `keeper.rs`, `collect.rs`: tidying up. `doctor.rs`: checking a store.
//! * `writelock.rs`, `paths.rs`, `clock.rs`, `fail.rs`: files, time, errors.

#![forbid(unsafe_code)]

mod clock;
mod collect;
mod combine;
mod doctor;
mod engine;
mod fail;
mod keeper;
mod options;
mod paths;
mod reader;
mod reserve;
mod schema;
mod sessions;
mod step;
mod store;
mod transact;
mod waker;
mod watch;
mod writelock;
mod writer;

pub use doctor::diagnose;
pub use engine::LocalEngine;
pub use options::LocalOptions;
