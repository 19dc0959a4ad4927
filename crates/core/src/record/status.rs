//! A record as people and programs see it.

use super::{Record, View};
use crate::{BreakStatus, HolderStatus, LockName, LockStatus, WaiterStatus};

impl Record {
    /// The lock as it stands: without what has run out or died, even if nobody has
    /// written that down yet.
    #[must_use]
    pub fn status(&self, name: LockName, view: &View<'_>) -> LockStatus {
        let mut live = self.clone();
        live.settle(view);
        let since = |at| view.now.saturating_since(at);
        let mut status = LockStatus::free(name, live.token, live.floor.max(view.floor));
        status.holders = live
            .grants
            .into_iter()
            .map(|grant| HolderStatus {
                held_for: since(grant.granted),
                remaining: grant
                    .renewed
                    .saturating_add(grant.ttl)
                    .saturating_since(view.now),
                free_in: grant.ends().saturating_since(view.now),
                ..HolderStatus::new(grant.owner, grant.mode, grant.token, grant.nonce)
            })
            .collect();
        status.waiters = live
            .waiters
            .into_iter()
            .map(|waiter| WaiterStatus {
                waited: since(waiter.since),
                ..WaiterStatus::new(waiter.owner, waiter.mode, waiter.nonce)
            })
            .collect();
        status.last_break = live
            .last_break
            .map(|b| BreakStatus::new(b.by, b.reason, b.unix_seconds, b.ended));
        status
    }
}
