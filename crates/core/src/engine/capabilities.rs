//! What an engine can do.

use serde::Serialize;

/// How a waiter learns that it may have its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Wakeup {
    /// The store wakes it; a bounded poll stands behind.
    Pushed,
    /// It polls.
    Polled,
}

/// What an engine can do. Asking for what it cannot do is an error at
/// construction, never a silent downgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// Shared locks.
    pub shared: bool,
    /// One of n permits.
    pub permits: bool,
    /// Waiters are served in the order they came.
    pub ordered: bool,
    /// How waiters are woken.
    pub wakeup: Wakeup,
    /// A dead process's lease is void before its TTL.
    pub detects_death: bool,
    /// Changes can be watched.
    pub watch: bool,
    /// Locks can be listed by prefix.
    pub list: bool,
    /// A lock can be broken by hand.
    pub break_lock: bool,
}

impl Capabilities {
    /// Everything; take away what is missing.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            shared: true,
            permits: true,
            ordered: true,
            wakeup: Wakeup::Pushed,
            detects_death: true,
            watch: true,
            list: true,
            break_lock: true,
        }
    }
}
