//! `leasehold run` as a supervisor: exit codes, signals, groups and terminals.

mod death;
mod exit;
mod group;
pub(crate) mod pty;
mod signals;
mod terminal;
