//! What a caller is told who did not get the lock.

use std::time::Duration;

use leasehold_core::quorum::{Fate, NodeId};
use leasehold_core::{AcquireRequest, Acquired, Error, HeldBy, LockName, Mode, Operation, Queued};

use crate::acquire::{Asking, Attempt, too_long};
use crate::fail::{ENGINE, Kind, Trouble};
use crate::hub::{Hub, why};
use crate::node::{Node, Standing};
use crate::scripts::{Lease, View};
use crate::wire::Wire;

/// How much later than a key's end it is worth asking again.
const SLACK: Duration = Duration::from_millis(2);
/// How long a client pauses at most after several have split the vote.
const SPLIT: Duration = Duration::from_millis(20);
/// How often a lock is looked at that another kind of client holds: its release is
/// told to nobody.
const FOREIGN: Duration = Duration::from_millis(50);

impl Asking<'_> {
    /// What was or may have been granted is being released. That is no news to a
    /// waiter, as long as a quorum can be asked again.
    pub(crate) fn unknown(&self, detail: &str) -> Result<Attempt, Error> {
        let error = self.indeterminate(detail);
        let hub = self.hub;
        // Servers that only lost their scripts vote again in moments.
        let reloads = |node: &Node| matches!(node.standing(), Standing::Joining(None));
        let soon = |node: &Node| node.is_usable() || (node.is_connected() && reloads(node));
        if hub.which(soon).len() < hub.quorum.size() {
            return Err(error);
        }
        Ok(match self.request.queue {
            None => Attempt::Unknown(error),
            Some(_) => Attempt::Answer(self.in_line(Vec::new(), 0, self.pause())),
        })
    }

    /// Nobody has it: several tried at once, and one of them shall have it.
    pub(crate) fn split_pause(&self, first: bool) -> Duration {
        match first {
            true => Duration::from_millis(1),
            false => SPLIT + self.pause(),
        }
    }

    /// A short time, different for each client.
    pub(crate) fn pause(&self) -> Duration {
        Duration::from_millis(1) + self.hub.up_to(SPLIT)
    }

    pub(crate) fn indeterminate(&self, detail: &str) -> Error {
        Error::Indeterminate {
            operation: Operation::Acquire,
            engine: ENGINE,
            detail: detail.to_owned(),
        }
    }

    pub(crate) fn busy(&self, wire: &Wire, free_in: Duration) -> Attempt {
        if let Some(slot) = self.another_slot(wire) {
            return Attempt::Slot(slot);
        }
        let holders = holders(&wire.views, self.hub);
        Attempt::Answer(match self.request.queue {
            None => Acquired::Busy(holders),
            Some(_) => self.in_line(holders, 0, free_in.saturating_add(SLACK)),
        })
    }

    pub(crate) fn queued(
        &self,
        wire: &Wire,
        ahead: u32,
        free_in: Duration,
        split: bool,
    ) -> Attempt {
        if let Some(slot) = self.another_slot(wire) {
            return Attempt::Slot(slot);
        }
        let holders = holders(&wire.views, self.hub);
        let foreign = wire.views.iter().any(|(_, view)| view.is_foreign());
        let mut pause = free_in.saturating_add(SLACK * (ahead + 1));
        if split {
            pause = self.pause();
        } else if foreign {
            // Nobody tells of its release.
            pause = pause.min(FOREIGN + self.hub.up_to(FOREIGN));
        }
        Attempt::Answer(self.in_line(holders, ahead as usize, pause))
    }

    pub(crate) fn not_now(&self) -> Acquired {
        match self.request.queue {
            None => Acquired::Busy(Vec::new()),
            Some(_) => self.in_line(Vec::new(), 0, self.pause()),
        }
    }

    pub(crate) fn in_line(&self, holders: Vec<HeldBy>, ahead: usize, pause: Duration) -> Acquired {
        let interval = self.request.queue.unwrap_or_default();
        Acquired::Queued(Queued {
            ahead,
            holders,
            recheck_after: pause.min(interval).max(Duration::from_millis(1)),
        })
    }

    /// The permit to ask for: the one that was called free, or asked for last;
    /// else any, so that clients do not all begin with the same.
    pub(crate) fn slot(&self) -> u32 {
        let Mode::Permit(n) = self.request.mode else {
            return 0;
        };
        let called = self.hub.waiters.called(self.request.nonce);
        let slot = called.or(self.grant.slot.get());
        let slot = slot.unwrap_or_else(|| self.hub.below(n.get()));
        self.grant.slot.set(Some(slot));
        slot
    }

    /// A permit that a quorum of servers had free, if the one asked for was taken.
    fn another_slot(&self, wire: &Wire) -> Option<u32> {
        let Mode::Permit(n) = self.request.mode else {
            return None;
        };
        let views = || wire.views.iter().map(|(_, view)| view);
        let needed = self.hub.quorum.size().min(wire.views.len()).max(1);
        // Whoever comes first will want what is free.
        let has_room =
            |view: &&View| view.leases().count() + (view.ahead as usize) < n.get() as usize;
        if views().filter(has_room).count() < needed {
            return None;
        }
        let free = |slot: u32| {
            let has_it = |view: &&View| view.leases().all(|lease| lease.slot != slot);
            views().filter(has_it).count() >= needed
        };
        let (asked, start) = (self.grant.slot.get(), self.hub.below(n.get()));
        let mut slots = (0..n.get()).map(|slot| (slot + start) % n.get());
        slots.find(|&slot| Some(slot) != asked && free(slot))
    }

    pub(crate) fn unavailable(&self, wire: &Wire, fates: &[Fate]) -> Error {
        let foreign = |(_, trouble): &&(NodeId, Trouble)| trouble.kind == Kind::WrongType;
        if let Some((node, trouble)) = wire.troubles.iter().find(foreign) {
            return wrong_type(&self.request.name, &self.hub.node(*node).name, trouble);
        }
        if let Some(Fate::TooLong(most)) = fates.iter().find(|f| matches!(f, Fate::TooLong(_))) {
            return too_long(self.hold, *most);
        }
        self.hub.unavailable(&self.said(wire, fates))
    }

    /// What nodes said, or failed to say, in this attempt.
    pub(crate) fn said(&self, wire: &Wire, fates: &[Fate]) -> Vec<(NodeId, Trouble)> {
        let mut said = wire.troubles.clone();
        for (fate, node) in fates.iter().zip(&self.hub.nodes) {
            let detail = match fate {
                Fate::Waiting | Fate::Lost => "no answer came",
                Fate::Exhausted => "its 53 bits of counter are used up",
                _ => continue,
            };
            if why(node).is_none() {
                let remedy = "see that the server runs and can be reached";
                said.push((node.id, Trouble::new(Kind::Silent, detail, remedy)));
            }
        }
        said
    }
}

pub(crate) fn clash(request: &AcquireRequest, permits: u32) -> Error {
    let asked = match request.mode {
        Mode::Permit(n) => n.get(),
        _ => 0,
    };
    Error::invalid(
        "permits",
        asked.to_string(),
        format!(
            "others use {} with {permits} permits; all must name the same number",
            request.name
        ),
    )
}

/// Another application has something else under this name.
pub(crate) fn wrong_type(name: &LockName, node: &str, trouble: &Trouble) -> Error {
    Error::invalid(
        "lock name",
        name.as_str(),
        format!(
            "on {node} another application keeps something else than a string under this key; {}",
            trouble.remedy
        ),
    )
}

/// The holders that a quorum of the nodes tells of, with the same token: with fewer
/// answers a holder is not named, rather than with a token that it may not have.
fn holders(views: &[(NodeId, View)], hub: &Hub) -> Vec<HeldBy> {
    let leases = || views.iter().flat_map(|(_, view)| view.leases());
    let mut found: Vec<HeldBy> = Vec::new();
    for lease in leases() {
        let same = |other: &&Lease| other.nonce == lease.nonce && other.counter == lease.counter;
        let known = found.iter().any(|held| held.nonce == lease.nonce);
        if !known && leases().filter(same).count() >= hub.quorum.size() {
            found.push(HeldBy {
                owner: lease.owner.to_string(),
                token: lease.counter,
                nonce: lease.nonce,
                held_for: lease.held_for,
            });
        }
    }
    found
}
