//! What clients do, and what comes of it.

use std::time::Duration;

use leasehold_core::quorum::{
    AcquireOutcome, Ask, Command, Extend, Failure, NodeId, NodeSet, Plan, Push, Release, Step,
};
use leasehold_core::{Deadline, Nonce, Token, Ttl};

use super::{Checked, Machine, Message, Mix, Op, Sender, What, World, start};
use crate::faults::Fault;
use crate::invariants::fencing::Writer;
use crate::server::{Answer, Request};
use crate::wish::{Said, Wish, owner, slot};

impl World {
    pub(super) fn op_answered(
        &mut self,
        (at, attempt): (usize, u32),
        node: NodeId,
        command: Command,
        answer: Result<Answer, Failure>,
    ) -> Checked {
        let now = start();
        let op = &mut self.ops[at];
        match &mut op.machine {
            Machine::Wish(wish) => {
                let proposals = &mut self.proposals[op.client];
                let said = wish.answered(node, (command, attempt, now), answer, proposals, now);
                self.wish_said(at, said)
            }
            Machine::Extend(extend) => {
                let step = extend.on_reply(node, owner(answer), now);
                self.plain_step(at, step);
                Ok(())
            }
            Machine::Release(release) => {
                let step = release.on_reply(node, owner(answer), now);
                self.plain_step(at, step);
                Ok(())
            }
        }
    }

    pub(super) fn pushed(&mut self, at: usize, node: NodeId, push: Push) -> Checked {
        let op = &mut self.ops[at];
        let Machine::Wish(wish) = &mut op.machine else {
            return Ok(());
        };
        let said = wish.pushed(node, push, &mut self.proposals[op.client], start());
        self.wish_said(at, said)
    }

    fn wish_said(&mut self, at: usize, said: Said) -> Checked {
        self.send(at, said.send);
        let Op { client, name, .. } = self.ops[at];
        if let Some(outcome) = said.outcome {
            self.log.line(format_args!("op {at} {outcome:?}"));
        }
        let queued = matches!(said.outcome, Some(AcquireOutcome::Queued { .. }));
        if (said.won.is_some() || (said.outcome.is_some() && !queued))
            && self.busy[client] == Some(at)
        {
            self.busy[client] = None;
        }
        let Some(won) = said.won else {
            return Ok(());
        };
        self.log.line(format_args!("op {at} {won:?}"));
        self.tally.grants += 1;
        self.tally.handed += u64::from(won.handed);
        if let Machine::Wish(wish) = &self.ops[at].machine {
            self.tally.at_once += u64::from(!wish.promoted);
        }
        self.leases[client] = Some(at);
        self.proposals[client].note(&self.names[name], won.token);
        let began = self.began(at, won.token, won.on);
        self.ops[at].writer = Some(Writer {
            granted: (began, self.step),
            token: won.token,
        });
        self.tokens[name].granted(began, self.step, won.token)
    }

    /// When the first of these nodes came to have this counter. All that was decided
    /// before must have smaller tokens, however long ago the client asked.
    fn began(&self, at: usize, token: Token, on: NodeSet) -> u64 {
        let Op {
            nonce, name, asked, ..
        } = self.ops[at];
        let counted = |node: NodeId| self.counted.get(&(name, node.index(), nonce, token));
        let began = on
            .iter()
            .map(|node| counted(node).copied().unwrap_or(asked));
        began.min().unwrap_or(asked)
    }

    pub(super) fn plain_step<O: std::fmt::Debug>(&mut self, at: usize, step: Step<Command, O>) {
        self.send(at, step.send);
        if let Some(outcome) = step.outcome {
            self.log.line(format_args!("op {at} {outcome:?}"));
            let client = self.ops[at].client;
            if self.busy[client] == Some(at) {
                self.busy[client] = None;
            }
        }
    }

    fn send(&mut self, at: usize, send: Option<(Command, NodeSet)>) {
        let Some((command, to)) = send else {
            return;
        };
        let attempt = match &self.ops[at].machine {
            Machine::Wish(wish) => wish.attempt,
            _ => 0,
        };
        let request = Request::Lock {
            name: self.names[self.ops[at].name].clone(),
            nonce: self.ops[at].nonce,
            command,
        };
        self.post(super::Sender::Op(at, attempt), request, to);
    }

    /// One client does something.
    pub(super) fn client(&mut self) -> Checked {
        let client = self.rng.usize(0..self.setup.clients);
        if let Some(at) = self.busy[client] {
            return match self.rng.u8(0..16) {
                0 | 1 => self.give_up(at),
                2 => self.leave(client, at),
                3..9 => self.again(at),
                _ => Ok(()),
            };
        }
        match (self.leases[client], self.rng.u8(0..5)) {
            (Some(lease), 0) => self.release(client, lease),
            (Some(lease), 1) => self.extend(client, lease),
            (Some(lease), 2) => self.write(lease),
            // Still believes in its lease, and asks for another.
            _ => return self.acquire(client),
        }
        Ok(())
    }

    /// Uses its lease, however long ago it was over.
    fn write(&mut self, lease: usize) {
        if let Some(writer) = self.ops[lease].writer {
            self.messages.push(Message {
                sender: Sender::Op(lease, 0),
                node: 0,
                run_id: self.nodes[0].run_id(),
                what: What::Write(writer),
            });
        }
    }

    pub(super) fn acquire(&mut self, client: usize) -> Checked {
        if self.setup.mix == Mix::Amnesia && self.rng.bool() {
            self.tally.faults.count(Fault::Death);
            self.proposals[client] = Default::default();
        }
        let name = self.rng.usize(0..self.setup.names);
        let all = self.quorum.all();
        let first = match self.rng.bool() {
            true => all,
            false => NodeSet::first(self.quorum.size()),
        };
        let mode = self.kinds[name].mode(&mut self.rng);
        let waits = match self.setup.mix {
            Mix::Usual => self.rng.u8(0..4) > 0,
            Mix::Amnesia => self.rng.u8(0..4) == 0,
            Mix::Stale => true,
        };
        let plan = Plan {
            quorum: self.quorum,
            ttl: Ttl::MAX,
            nonce: Nonce::from_bytes(self.id()),
            ask: Ask {
                mode,
                slot: slot(mode, &mut self.rng),
                hold: Ttl::MAX.get(),
                line: waits.then_some(Ttl::MAX.get()),
                proposal: Token::NONE,
            },
            first,
            hedge_after: Duration::from_millis(1),
            skip: NodeSet::EMPTY,
            patience: Duration::from_secs(1),
        };
        let lock = self.names[name].clone();
        let (wish, said) = Wish::new(plan, lock, &self.proposals[client], start());
        self.log.line(format_args!(
            "client {client} wants {name} ({mode}): {:?}",
            said.send
        ));
        let at = self.begin(client, name, plan.nonce, Machine::Wish(wish));
        self.wishes.insert(plan.nonce, at);
        self.wish_said(at, said)
    }

    /// Waits, and asks again.
    pub(super) fn again(&mut self, at: usize) -> Checked {
        let op = &mut self.ops[at];
        let Machine::Wish(wish) = &mut op.machine else {
            return Ok(());
        };
        if !wish.in_line() {
            return Ok(());
        }
        let other = match self.rng.bool() {
            true => slot(wish.mode(), &mut self.rng),
            false => wish.slot(),
        };
        let slot = wish.called.unwrap_or(other);
        let said = wish.again(slot, &self.proposals[op.client], start());
        self.log
            .line(format_args!("op {at} again: {:?}", said.send));
        self.wish_said(at, said)
    }

    /// The caller goes away.
    fn leave(&mut self, client: usize, at: usize) -> Checked {
        let op = &mut self.ops[at];
        let Machine::Wish(wish) = &mut op.machine else {
            return Ok(());
        };
        self.tally.faults.count(Fault::Cancel);
        if wish.in_line() {
            wish.end();
            self.log.line(format_args!("op {at} leaves"));
            self.release(client, at);
            return Ok(());
        }
        let said = wish.cancel(start());
        self.wish_said(at, said)
    }

    pub(super) fn release(&mut self, client: usize, lease: usize) {
        if self.leases[client] == Some(lease) {
            self.leases[client] = None;
        }
        let (name, nonce) = (self.ops[lease].name, self.ops[lease].nonce);
        let (release, step) = Release::start(
            self.quorum,
            self.quorum.all(),
            Ttl::MAX.get(),
            Duration::from_millis(1),
            Duration::from_secs(1),
            start(),
        );
        let at = self.begin(client, name, nonce, Machine::Release(release));
        self.plain_step(at, step);
    }

    pub(super) fn extend(&mut self, client: usize, lease: usize) {
        let (name, nonce) = (self.ops[lease].name, self.ops[lease].nonce);
        let slot = match &self.ops[lease].machine {
            Machine::Wish(wish) => wish.slot(),
            _ => 0,
        };
        let (extend, step) = Extend::start(
            self.quorum,
            self.quorum.all(),
            Ttl::MAX,
            (slot, Ttl::MAX.get()),
            Deadline::of(start(), Ttl::MAX),
            Duration::from_secs(1),
            start(),
        );
        let at = self.begin(client, name, nonce, Machine::Extend(extend));
        self.plain_step(at, step);
    }

    fn begin(&mut self, client: usize, name: usize, nonce: Nonce, machine: Machine) -> usize {
        self.ops.push(Op {
            client,
            name,
            nonce,
            asked: self.step,
            machine,
            writer: None,
        });
        let at = self.ops.len() - 1;
        self.busy[client] = Some(at);
        at
    }

    /// The client's patience ends, or an answer is late: its clock says so.
    fn give_up(&mut self, at: usize) -> Checked {
        let late = start().saturating_add(match self.rng.bool() {
            true => Duration::from_secs(1),
            false => Duration::from_millis(1),
        });
        match &mut self.ops[at].machine {
            Machine::Wish(wish) => {
                let said = wish.tick(late);
                self.wish_said(at, said)
            }
            Machine::Extend(extend) => {
                let step = extend.on_tick(late);
                self.plain_step(at, step);
                Ok(())
            }
            Machine::Release(release) => {
                let step = release.on_tick(late);
                self.plain_step(at, step);
                Ok(())
            }
        }
    }
}
