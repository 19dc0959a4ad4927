//! What clients do, and what comes of it.

use std::time::Duration;

use leasehold_core::quorum::{AcquireOutcome, ExtendOutcome, NodeId, NodeSet};
use leasehold_core::{Instant, Nonce};

use super::{Checked, Event, Sender, World};
use crate::client::{Client, Heard, Lease, Op};
use crate::server::Request;

impl World {
    /// One input for one operation, and what follows from it.
    pub(super) fn drive(&mut self, at: usize, heard: Heard, now: Instant) -> Checked {
        let op = &mut self.ops[at];
        if op.dead {
            return Ok(());
        }
        let (client, name) = (op.client, op.name);
        let said = op.drive(heard, now, &mut self.clients[client].proposals, &self.names);
        if let Some((command, to)) = said.send {
            let request = Request::Lock {
                name: self.names[name].clone(),
                nonce: self.ops[at].nonce,
                command,
            };
            for node in to.iter() {
                self.post(Sender::Op(at), client, node.index(), request.clone());
            }
        }
        if let Some(wake) = said.wake {
            let due = self.clients[client].clock.truly(wake).max(self.now + 1);
            self.at(due - self.now, Event::Wake(at));
        }
        if let Some(outcome) = said.acquired {
            self.log
                .line(format_args!("{} op {at} {outcome:?}", self.now));
            self.acquired(at, outcome)?;
        }
        if let Some(outcome) = said.extended {
            self.log
                .line(format_args!("{} op {at} {outcome:?}", self.now));
            self.extended(at, outcome)?;
        }
        if said.released {
            self.clients[client].op = None;
            let after = self.rng.u64(0..60_000);
            self.at(after, Event::Act(client));
        }
        if said.clean {
            self.left_behind(at)?;
        }
        Ok(())
    }

    pub(super) fn acquired(&mut self, at: usize, outcome: AcquireOutcome) -> Checked {
        let Op {
            client,
            name,
            nonce,
            asked,
            ttl,
            promoted,
            ..
        } = self.ops[at];
        self.clients[client].op = None;
        let AcquireOutcome::Granted {
            token, deadline, ..
        } = outcome
        else {
            let after = self.rng.u64(1_000..40_000);
            self.at(after, Event::Act(client));
            return Ok(());
        };
        self.grants += 1;
        self.at_once += u64::from(!promoted);
        self.clients[client]
            .proposals
            .note(&self.names[name], token);
        self.clients[client].lease = Some(Lease {
            name,
            nonce,
            deadline,
        });
        self.tokens[name].granted(asked, self.now, token)?;
        self.believe(client)?;
        let after = self.rng.u64(0..ttl.get().as_micros() as u64 * 5 / 4);
        self.at(after, Event::Act(client));
        Ok(())
    }

    pub(super) fn extended(&mut self, at: usize, outcome: ExtendOutcome) -> Checked {
        let client = self.ops[at].client;
        self.clients[client].op = None;
        let after = self.rng.u64(0..100_000);
        self.at(after, Event::Act(client));
        match (outcome, &mut self.clients[client].lease) {
            (ExtendOutcome::Extended { deadline }, Some(lease)) => {
                lease.deadline = deadline;
                self.believe(client)
            }
            (ExtendOutcome::Lost | ExtendOutcome::TooLate, Some(lease)) => {
                self.leases[lease.name].over(lease.nonce);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// This client believes in its lease from now until its deadline.
    pub(super) fn believe(&mut self, client: usize) -> Checked {
        let Client { clock, lease, .. } = &self.clients[client];
        let Some(lease) = lease else {
            return Ok(());
        };
        let until = clock.ends(lease.deadline);
        self.last_held[lease.name] = self.now;
        self.leases[lease.name].valid(lease.nonce, self.now, until)
    }

    /// The clean-up says it is done: is it (C7)?
    pub(super) fn left_behind(&self, at: usize) -> Checked {
        let Op { name, nonce, .. } = self.ops[at];
        if self.restored || self.undead.contains(&nonce) {
            return Ok(());
        }
        for (place, host) in self.hosts.iter().enumerate().filter(|(_, host)| host.up) {
            let date = host.clock.date(self.now);
            let held = host.node.status(&self.names[name], date).held;
            if held.is_some_and(|(holder, _)| holder == nonce) {
                return Err(format!("C7: node {place} still has the key of {nonce}"));
            }
        }
        Ok(())
    }

    pub(super) fn act(&mut self, client: usize) -> Checked {
        if self.clients[client].op.is_some() {
            return Ok(());
        }
        let now = self.clients[client].clock.instant(self.now);
        let patience = Duration::from_millis(self.rng.u64(20..200));
        let id = Nonce::from_bytes(self.id());
        let skip = (0..self.setup.nodes)
            .filter(|&n| !self.hosts[n].up)
            .filter_map(NodeId::new)
            .collect();
        let this = &mut self.clients[client];
        let op = match this.lease {
            Some(lease) if lease.deadline.has_passed(now) || self.rng.u8(0..4) == 0 => {
                this.lease = None;
                self.leases[lease.name].over(lease.nonce);
                Op::release(client, lease, self.quorum, patience)
            }
            Some(lease) if self.rng.u8(0..12) == 0 => {
                // Dies; another starts in its place.
                self.log
                    .line(format_args!("{} client {client} dies", self.now));
                this.lease = None;
                self.leases[lease.name].over(lease.nonce);
                let mine = self.ops.iter_mut().filter(|op| op.client == client);
                mine.for_each(|op| op.dead = true);
                self.at(1_000, Event::Act(client));
                return Ok(());
            }
            Some(lease) => Op::extend(client, lease, &mut self.rng, self.quorum, skip, patience),
            None => {
                let name = self.rng.usize(0..self.setup.names);
                let skip = match self.rng.bool() {
                    true => skip,
                    false => NodeSet::EMPTY,
                };
                let rng = &mut self.rng;
                Op::acquire(client, name, id, rng, self.quorum, skip, patience, self.now)
            }
        };
        self.ops.push(op);
        let at = self.ops.len() - 1;
        self.clients[client].op = Some(at);
        self.drive(at, Heard::Start, now)
    }
}
