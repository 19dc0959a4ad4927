//! What goes wrong.

use fastrand::Rng;
use leasehold_core::quorum::{Data, Failure};

use super::{Clocks, Event, World};
use crate::faults::Fault;
use crate::server::Request;

impl World<'_> {
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
            } else {
                self.tally.faults.count(Fault::Loss);
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
        let choice = self.faults;
        self.faults += 1;
        let mut bits = self.script.bits(choice);
        let after = bits.u64(1..self.trouble * 2);
        self.at(after, Event::Fault);
        if !self.chooses(choice) {
            return;
        }
        let node = bits.usize(0..self.setup.nodes);
        let client = bits.usize(0..self.setup.clients);
        let kinds = match self.setup.clocks {
            Clocks::Within => 12,
            Clocks::Beyond => 16,
        };
        let kind = bits.u8(0..kinds);
        self.log
            .line(format_args!("{} fault {kind} {node} {client}", self.now));
        let happened = match kind {
            0 => {
                self.hosts[node].node.flush();
                Some(Fault::Flush)
            }
            1 => {
                self.snapshots[node] = self.hosts[node].node.snapshot();
                None
            }
            2..=4 => self.crash(kind, node, &mut bits),
            5 | 6 => {
                self.cut(Some(client), node);
                Some(Fault::Cut)
            }
            7 | 8 => self.pause(client, &mut bits),
            9 if self.hosts[node].frozen_until <= self.now => {
                self.hosts[node].frozen_until = self.now + bits.u64(1_000..400_000);
                Some(Fault::Freeze)
            }
            10 | 11 if self.network.mute(client, node) => {
                let after = bits.u64(20_000..300_000);
                self.at(after, Event::Unmute(client, node));
                Some(Fault::HalfOpen)
            }
            12.. => Some(self.clock(kind, node, client, &mut bits)),
            _ => None,
        };
        if let Some(fault) = happened {
            self.tally.faults.count(fault);
        }
    }

    fn crash(&mut self, kind: u8, node: usize, bits: &mut Rng) -> Option<Fault> {
        if !self.hosts[node].up {
            return None;
        }
        self.hosts[node].up = false;
        self.cut(None, node);
        let (fault, data) = match kind {
            _ if self.durable => (Fault::CrashKept, self.hosts[node].node.snapshot()),
            2 => (Fault::Stale, self.snapshots[node].clone()),
            3 => (Fault::CrashEmpty, Data::default()),
            _ => (Fault::CrashKept, self.hosts[node].node.snapshot()),
        };
        self.restored |= fault == Fault::Stale;
        let after = bits.u64(1_000..200_000);
        self.at(after, Event::Start(node, data));
        Some(fault)
    }

    /// Not while it is held up already: what waits would lose its order.
    fn pause(&mut self, client: usize, bits: &mut Rng) -> Option<Fault> {
        if self.clients[client].paused_until > self.now {
            return None;
        }
        self.clients[client].paused_until = self.now + bits.u64(1_000..400_000);
        Some(Fault::Pause)
    }

    /// A clock goes wrong. A holder's own clock never goes back: it counts from the
    /// machine's start. A node's may, since a server measures with the date.
    fn clock(&mut self, kind: u8, node: usize, client: usize, bits: &mut Rng) -> Fault {
        let rate = bits.u64(300_000..3_000_000);
        let step = bits.i64(-400_000..400_000);
        match kind {
            12 => self.clients[client].clock.run_at(rate, self.now),
            13 => self.hosts[node].clock.run_at(rate, self.now),
            14 => self.clients[client].clock.step(step.abs()),
            _ => self.hosts[node].clock.step(step),
        }
        match kind {
            12 | 13 => Fault::Rate,
            _ => Fault::Step,
        }
    }
}
