//! What goes wrong.

use leasehold_core::quorum::{Data, Failure};

use super::{Event, World};
use crate::server::Request;

impl World {
    /// Connections break. What was under way may still reach the node, on a path
    /// that nobody hears of any more.
    pub(super) fn cut(&mut self, party: Option<usize>, node: usize) {
        for (_, pending) in self.network.cut(party, node) {
            if let Request::Lock { nonce, .. } = pending.request {
                self.undead.insert(nonce);
            }
            if self.rng.bool() {
                let after = self.rng.u64(0..50_000);
                self.at(after, Event::Arrive(0, Some(pending.clone())));
            }
            let after = self.rng.u64(0..5_000);
            self.at(after, Event::Failed(pending, Failure::Lost));
        }
        for client in 0..self.setup.clients {
            let waits = self.clients[client]
                .op
                .filter(|&op| self.ops[op].as_wish().is_some());
            if let Some(op) = waits.filter(|_| party.is_none_or(|party| party == client)) {
                let after = self.rng.u64(0..5_000);
                self.at(after, Event::Lost(op, node));
            }
        }
        self.joins.retain(|_, (at, _)| *at != node);
    }

    pub(super) fn fault(&mut self) {
        let after = self.rng.u64(1..self.trouble * 2);
        self.at(after, Event::Fault);
        let node = self.rng.usize(0..self.setup.nodes);
        let client = self.rng.usize(0..self.setup.clients);
        let kind = self.rng.u8(0..10);
        self.log
            .line(format_args!("{} fault {kind} {node} {client}", self.now));
        match kind {
            0 => self.hosts[node].node.flush(),
            1 => self.snapshots[node] = self.hosts[node].node.snapshot(),
            2 | 3 if self.hosts[node].up => {
                self.hosts[node].up = false;
                self.cut(None, node);
                let data = match kind {
                    _ if self.durable => self.hosts[node].node.snapshot(),
                    2 => self.snapshots[node].clone(),
                    _ => Data::default(),
                };
                self.restored |= kind == 2 && !self.durable;
                let after = self.rng.u64(1_000..500_000);
                self.at(after, Event::Start(node, data));
            }
            4 | 5 => self.cut(Some(client), node),
            // Not while it is held up already: what waits would lose its order.
            6 | 7 if self.clients[client].paused_until <= self.now => {
                let until = self.now + self.rng.u64(1_000..400_000);
                self.clients[client].paused_until = until;
            }
            8 if self.hosts[node].frozen_until <= self.now => {
                self.hosts[node].frozen_until = self.now + self.rng.u64(1_000..400_000);
            }
            _ => {}
        }
    }
}
