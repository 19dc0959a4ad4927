//! Nodes forget, and come to vote again.

use std::time::Duration;

use leasehold_core::quorum::{
    Data, Join, JoinCommand, JoinEvent, JoinPlan, JoinReply, Node, NodeId, Step,
};
use leasehold_core::{Nonce, Ttl};

use super::{Checked, LATER, Mix, Sender, World, start};
use crate::faults::Fault;
use crate::server::Request;

impl World {
    pub(super) fn crash(&mut self, node: usize) {
        let now = self.now();
        let how = match self.setup.mix {
            Mix::Usual => self.rng.u8(0..4),
            Mix::Amnesia => [0, 0, 3][self.rng.usize(0..3)],
            Mix::Stale => [1, 2][self.rng.usize(0..2)],
        };
        self.log.line(format_args!("crash {node} {how}"));
        match how {
            0 => {
                self.tally.faults.count(Fault::Flush);
                self.nodes[node].flush();
            }
            1 => self.snapshots[node] = self.nodes[node].snapshot(),
            _ => {
                let (fault, data) = match how {
                    _ if self.durable => (Fault::CrashKept, self.nodes[node].snapshot()),
                    2 => (Fault::Stale, self.snapshots[node].clone()),
                    _ => (Fault::CrashEmpty, Data::default()),
                };
                self.tally.faults.count(fault);
                let run_id = self.run_id();
                self.nodes[node] = Node::start(run_id, data, now);
            }
        }
    }

    /// A waiter's place runs out.
    pub(super) fn drop_out(&mut self, node: usize, name: usize) {
        let waiting = self.nodes[node]
            .status(&self.names[name], self.now())
            .waiting;
        if !waiting.is_empty() {
            let nonce = waiting[self.rng.usize(0..waiting.len())];
            self.tally.faults.count(Fault::Expiry);
            self.log
                .line(format_args!("{node} drops {nonce} out of the line"));
            self.nodes[node].expire_place(&self.names[name], nonce);
        }
    }

    /// Somebody looks after a node that does not vote: begins its join, begins it
    /// anew, or lets its time pass.
    pub(super) fn join(&mut self, node: usize) -> Checked {
        if self.votes(node) {
            return Ok(());
        }
        let late = start().saturating_add(LATER);
        let current = self.joins[node].as_ref().map(|(id, _)| *id);
        let of_it = |sender| matches!(sender, Sender::Join(_, id) if Some(id) == current);
        // Mostly it has the patience to wait for its answers.
        let patient = match self.setup.mix {
            Mix::Usual => 4,
            Mix::Amnesia | Mix::Stale => 32,
        };
        let mut under_way = self.messages.iter().filter(|m| of_it(m.sender));
        let hangs = under_way.clone().any(|m| m.is_install()) && self.slow_joins;
        if !hangs && under_way.next().is_some() && self.rng.u8(0..patient) > 0 {
            return Ok(());
        }
        if let Some((id, join)) = &mut self.joins[node]
            && !hangs
            && self.rng.u8(0..8) > 0
        {
            let (id, step) = (*id, join.on_tick(late));
            self.joined(node, id, step);
            return Ok(());
        }
        let plan = JoinPlan {
            quorum: self.quorum,
            node: NodeId::new(node).expect("a node"),
            max_ttl: Ttl::MAX.get(),
            durable: self.durable,
            fresh: false,
            era: true,
            ticket: Nonce::from_bytes(self.id()),
        };
        let (join, step) = Join::start(plan, Duration::from_secs(1));
        let id = self.ids;
        self.joins[node] = Some((id, join));
        self.joined(node, id, step);
        Ok(())
    }

    pub(super) fn joined(&mut self, node: usize, id: u64, step: Step<JoinCommand, JoinEvent>) {
        if let Some((command, to)) = step.send {
            self.post(Sender::Join(node, id), Request::Join(command), to);
        }
        if let Some(event) = step.outcome {
            self.log.line(format_args!("join of {node}: {event:?}"));
        }
        if self.joins[node].as_ref().is_some_and(|(_, j)| j.is_done()) {
            self.joins[node] = None;
            self.tally.rejoined += 1;
        }
    }

    pub(super) fn votes(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        match node.inspect(self.now()) {
            JoinReply::Inspected(said) => said.joined == Some(said.run_id),
            _ => false,
        }
    }
}
