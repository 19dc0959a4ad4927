//! The `leasehold` command as a user types it: real processes, files, signals and
//! terminals, on the local engine; `doctor` on Redis servers as well.
//!
//! Every test has a home directory of its own (see `support::home`), and so its own
//! locks.

#![cfg(target_os = "linux")]
#![allow(missing_docs)]

mod config;
mod counters;
mod crash;
mod database;
mod doctor;
mod engines;
mod input;
mod loss;
mod process;
mod queue;
mod resource;
mod scripts;
mod show;
mod supervise;
mod support;
mod torture;
mod watch;
