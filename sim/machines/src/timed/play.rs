//! One event after the other: the faults, then the peace.

use leasehold_core::quorum::{JoinReply, Node, NodeId};

use super::{Checked, Clocks, Event, Sender, World};
use crate::Tally;
use crate::client::Heard;
use crate::network::Clock;

impl World<'_> {
    pub(super) fn play(&mut self) -> Checked {
        self.found()?;
        let peace = self.now + self.setup.trouble;
        self.peace = peace;
        let end = peace
            + match self.setup.clocks {
                Clocks::Within => self.setup.peace,
                // Nothing heals: there is no wait to judge.
                Clocks::Beyond => 0,
            };
        for client in 0..self.setup.clients {
            let after = self.rng.u64(0..20_000);
            self.at(after, Event::Act(client));
        }
        self.at(0, Event::Fault);
        while let Some(((at, _), event)) = self.events.pop_first() {
            if at > end || self.served.all() {
                break;
            }
            self.now = at;
            if matches!(event, Event::Fault) && at > peace {
                continue;
            }
            self.handle(event)?;
        }
        if self.setup.clocks == Clocks::Beyond {
            return Ok(());
        }
        let waiting = self.clients.iter().filter_map(|client| client.waits_since);
        let until = if self.served.all() { self.now } else { end };
        self.served
            .judge(waiting.map(|since| until.saturating_sub(since.max(peace))))
    }

    /// Brings all nodes to vote, with nothing going wrong.
    fn found(&mut self) -> Checked {
        let end = self.now + 3_000_000;
        while !(0..self.setup.nodes).all(|node| self.votes(node)) {
            let next = self.events.pop_first().filter(|((at, _), _)| *at <= end);
            let Some(((at, _), event)) = next else {
                return Err("C6: the nodes did not come to vote".to_owned());
            };
            self.now = at;
            self.handle(event)?;
        }
        self.tally = Tally::default();
        Ok(())
    }

    pub(super) fn votes(&self, node: usize) -> bool {
        let host = &self.hosts[node];
        let said = host.node.inspect(host.clock.date(self.now));
        matches!(said, JoinReply::Inspected(s) if s.joined == Some(s.run_id))
    }

    /// Whether a choice happens; all do once nothing goes wrong any more.
    pub(super) fn chooses(&mut self, choice: u32) -> bool {
        if self.now > self.peace {
            return true;
        }
        let happens = self.script.has(choice);
        if happens {
            self.choices.push(choice);
        }
        happens
    }

    fn handle(&mut self, event: Event) -> Checked {
        if let Some(until) = self.held_up(&event) {
            let after = until - self.now;
            self.at(after, event);
            return Ok(());
        }
        match event {
            Event::Arrive(number, cut) => self.arrive(number, cut),
            Event::Answer(number, answer) => {
                let pending = self.network.pending.get(&number);
                if pending.is_none_or(|p| self.network.is_mute(p.party, p.node)) {
                    return Ok(());
                }
                match self.network.pending.remove(&number) {
                    Some(pending) => self.answered(pending, answer),
                    None => Ok(()),
                }
            }
            Event::Failed(pending, failure) => self.answered(pending, Err(failure)),
            Event::Wake(op) => {
                let now = self.clients[self.ops[op].client].clock.instant(self.now);
                self.drive(op, Heard::Tick, now)
            }
            Event::Push(op, node, push, connection) => {
                let client = self.ops[op].client;
                if self.network.connection(client, node) != Some(connection)
                    || self.network.is_mute(client, node)
                {
                    return Ok(());
                }
                let now = self.clients[client].clock.instant(self.now);
                let node = NodeId::new(node).expect("a node");
                self.drive(op, Heard::Push(node, push), now)
            }
            Event::Lost(op, node) => {
                let now = self.clients[self.ops[op].client].clock.instant(self.now);
                let node = NodeId::new(node).expect("a node");
                self.drive(op, Heard::Lost(node), now)
            }
            Event::Again(op) => self.again(op),
            Event::Leave(op) => self.leave(op),
            Event::Act(client) => self.act(client),
            Event::Care(node) => {
                self.care(node);
                Ok(())
            }
            Event::WakeJoin(id) => {
                let now = Clock::right().instant(self.now);
                self.drive_join(id, |join| join.on_tick(now));
                Ok(())
            }
            Event::Fault => {
                self.fault();
                Ok(())
            }
            Event::Start(node, data) => {
                let run_id = self.run_id();
                let host = &mut self.hosts[node];
                let date = host.clock.date(self.now);
                host.node = Node::start(run_id, data, date);
                host.up = true;
                self.log.line(format_args!("{} start {node}", self.now));
                Ok(())
            }
            Event::Use(client, nonce) => {
                self.uses(client, nonce);
                Ok(())
            }
            Event::Write(name, writer) => self.written(name, writer),
            Event::Unmute(party, node) => {
                if self.network.is_mute(party, node) {
                    self.cut(Some(party), node);
                }
                Ok(())
            }
        }
    }

    /// A paused client and a frozen node do nothing; it waits for them.
    fn held_up(&self, event: &Event) -> Option<u64> {
        let client_of = |sender: &Sender| match sender {
            Sender::Op(op, _) => Some(self.ops[*op].client),
            Sender::Join(_) => None,
        };
        let pending = |number| self.network.pending.get(number);
        let client = match event {
            Event::Arrive(number, cut) => {
                let node = cut.as_ref().or(pending(number))?.node;
                let until = self.hosts[node].frozen_until;
                return (until > self.now).then_some(until);
            }
            Event::Answer(number, _) => client_of(&pending(number)?.sender),
            Event::Failed(pending, _) => client_of(&pending.sender),
            Event::Wake(op) | Event::Push(op, ..) | Event::Lost(op, _) => {
                Some(self.ops[*op].client)
            }
            Event::Again(op) | Event::Leave(op) => Some(self.ops[*op].client),
            Event::Act(client) | Event::Use(client, _) => Some(*client),
            _ => None,
        };
        let until = self.clients[client?].paused_until;
        (until > self.now).then_some(until)
    }
}
