//! Ending the group from another thread.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;

use super::signals::Shared;

/// Ends the job's group. It does nothing once the job has ended.
#[derive(Clone)]
pub(crate) struct JobControl {
    shared: Arc<Shared>,
}

impl JobControl {
    pub(super) fn new(shared: Arc<Shared>) -> JobControl {
        JobControl { shared }
    }

    /// Kills the group at once.
    pub(crate) fn kill(&self) {
        self.end_by(Duration::ZERO);
    }

    /// Ends the group before `left` has passed, counting suspended time:
    /// SIGTERM now and SIGKILL then, or SIGKILL now if nothing is left. The
    /// command ending does not save the rest of its group.
    ///
    /// An earlier instant replaces a later one, never the other way round.
    pub(crate) fn end_by(&self, left: Duration) {
        let mut state = self.shared.lock();
        let Some(running) = state.running.as_mut() else {
            return;
        };
        let first = running.kill_at.is_none();
        let instant = clock::now().saturating_add(left);
        running.kill_at = Some(running.kill_at.map_or(instant, |old| old.min(instant)));
        if !running.reaped {
            if running.is_overdue() {
                running.group.kill();
            } else if first {
                running.group.terminate();
            }
        }
        self.shared.notify();
    }
}
