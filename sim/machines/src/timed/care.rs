//! Those who bring nodes back to vote.

use std::time::Duration;

use leasehold_core::Nonce;
use leasehold_core::quorum::{Join, JoinCommand, JoinEvent, JoinPlan, NodeId, Step};

use super::{CARE_EVERY, Clocks, Event, MAX_TTL, Sender, World};
use crate::network::Clock;
use crate::server::Request;

impl World<'_> {
    /// Somebody looks after a node that does not vote; sometimes two at once.
    pub(super) fn care(&mut self, node: usize) {
        self.at(CARE_EVERY, Event::Care(node));
        let under_way = self.joins.values().any(|(at, _)| *at == node);
        if !self.hosts[node].up || self.votes(node) || (under_way && self.rng.u8(0..20) > 0) {
            return;
        }
        let ticket = Nonce::from_bytes(self.id());
        let plan = JoinPlan {
            quorum: self.quorum,
            node: NodeId::new(node).expect("a node"),
            max_ttl: MAX_TTL,
            durable: self.durable,
            fresh: false,
            // A new era trusts the nodes' clocks, which is said; these may not be.
            era: self.setup.clocks == Clocks::Within || self.peace == u64::MAX,
            ticket,
        };
        let (join, step) = Join::start(plan, Duration::from_millis(300));
        let id = self.ids;
        self.joins.insert(id, (node, join));
        self.drive_join(id, |_| step);
    }

    pub(super) fn drive_join(
        &mut self,
        id: u64,
        input: impl FnOnce(&mut Join) -> Step<JoinCommand, JoinEvent>,
    ) {
        let Some((node, join)) = self.joins.get_mut(&id) else {
            return;
        };
        let node = *node;
        let step = input(join);
        let (wake, done) = (join.wake_at(), join.is_done());
        if let Some((command, to)) = step.send {
            for to in to.iter() {
                let party = self.setup.clients + node;
                self.post(Sender::Join(id), party, to.index(), Request::Join(command));
            }
        }
        if let Some(event) = step.outcome {
            self.log
                .line(format_args!("{} join {node} {event:?}", self.now));
        }
        if let Some(wake) = wake {
            let due = Clock::right().truly(wake).max(self.now + 1);
            self.at(due - self.now, Event::WakeJoin(id));
        }
        if done {
            self.joins.remove(&id);
            self.tally.rejoined += 1;
        }
    }
}
