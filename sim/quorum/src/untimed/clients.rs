//! What clients do, and what comes of it.

use std::time::Duration;

use leasehold_core::quorum::{
    Acquire, AcquireOutcome, Command, Extend, Failure, NodeId, NodeSet, OwnerReply, Plan, Release,
    Reply, Step,
};
use leasehold_core::{Deadline, Nonce, Ttl};

use super::{Checked, Machine, Op, Sender, World, start};
use crate::server::{Answer, Request};

impl World {
    pub(super) fn op_answered(
        &mut self,
        at: usize,
        node: NodeId,
        command: Command,
        answer: Result<Answer, Failure>,
    ) -> Checked {
        let now = start();
        let op = &mut self.ops[at];
        let owner = answer.map(|answer| match answer {
            Answer::Owner(reply) => reply,
            _ => OwnerReply::Gone,
        });
        match &mut op.machine {
            Machine::Acquire(acquire) => {
                let reply = match (command, answer) {
                    (_, Ok(Answer::Acquire(reply))) => {
                        self.proposals[op.client].on_reply(&self.names[op.name], &reply);
                        Reply::Acquire(Ok(reply))
                    }
                    (_, Ok(Answer::Promote(reply))) => Reply::Promote(Ok(reply)),
                    (Command::Acquire { .. }, Err(failure)) => Reply::Acquire(Err(failure)),
                    (Command::Promote { .. }, Err(failure)) => Reply::Promote(Err(failure)),
                    _ => Reply::Release(owner),
                };
                let step = acquire.on_reply(node, reply, now);
                self.acquire_step(at, step)
            }
            Machine::Extend(extend) => {
                let step = extend.on_reply(node, owner, now);
                self.plain_step(at, step);
                Ok(())
            }
            Machine::Release(release) => {
                let step = release.on_reply(node, owner, now);
                self.plain_step(at, step);
                Ok(())
            }
        }
    }

    pub(super) fn acquire_step(
        &mut self,
        at: usize,
        step: Step<Command, AcquireOutcome>,
    ) -> Checked {
        let op = &mut self.ops[at];
        op.promoted |= matches!(step.send, Some((Command::Promote { .. }, _)));
        let Op { client, name, .. } = *op;
        let (asked, promoted) = (op.asked, op.promoted);
        self.send(Sender::Op(at), step.send);
        let Some(outcome) = step.outcome else {
            return Ok(());
        };
        self.log.line(format_args!("op {at} {outcome:?}"));
        if self.busy[client] == Some(at) {
            self.busy[client] = None;
        }
        if let AcquireOutcome::Granted { token, .. } = outcome {
            self.grants += 1;
            self.at_once += u64::from(!promoted);
            self.leases[client] = Some(at);
            self.proposals[client].note(&self.names[name], token);
            self.tokens[name].granted(asked, self.step, token)?;
        }
        Ok(())
    }

    pub(super) fn plain_step<O: std::fmt::Debug>(&mut self, at: usize, step: Step<Command, O>) {
        self.send(Sender::Op(at), step.send);
        if let Some(outcome) = step.outcome {
            self.log.line(format_args!("op {at} {outcome:?}"));
            let client = self.ops[at].client;
            if self.busy[client] == Some(at) {
                self.busy[client] = None;
            }
        }
    }

    pub(super) fn send(&mut self, sender: Sender, send: Option<(Command, NodeSet)>) {
        let (Some((command, to)), Sender::Op(at)) = (send, sender) else {
            return;
        };
        let request = Request::Lock {
            name: self.names[self.ops[at].name].clone(),
            nonce: self.ops[at].nonce,
            command,
        };
        self.post(sender, request, to);
    }

    /// One client does something.
    pub(super) fn client(&mut self) -> Checked {
        let client = self.rng.usize(0..self.setup.clients);
        if let Some(at) = self.busy[client] {
            return match self.rng.u8(0..8) {
                0 => self.give_up(at),
                1 => self.cancel(at),
                _ => Ok(()),
            };
        }
        match (self.leases[client], self.rng.u8(0..4)) {
            (Some(lease), 0) => self.release(client, lease),
            (Some(lease), 1) => self.extend(client, lease),
            // Still believes in its lease, and asks for another.
            _ => return self.acquire(client),
        }
        Ok(())
    }

    pub(super) fn acquire(&mut self, client: usize) -> Checked {
        let name = self.rng.usize(0..self.setup.names);
        let all = self.quorum.all();
        let first = match self.rng.bool() {
            true => all,
            false => NodeSet::first(self.quorum.size()),
        };
        let plan = Plan {
            quorum: self.quorum,
            ttl: Ttl::MAX,
            hold: Ttl::MAX.get(),
            proposal: self.proposals[client].propose(&self.names[name]),
            first,
            hedge_after: Duration::from_millis(1),
            skip: NodeSet::EMPTY,
            patience: Duration::from_secs(1),
        };
        let (acquire, step) = Acquire::start(plan, start());
        self.log.line(format_args!(
            "client {client} wants {name}: {:?}",
            step.send
        ));
        let at = self.begin(client, name, None, Machine::Acquire(acquire));
        self.acquire_step(at, step)
    }

    pub(super) fn release(&mut self, client: usize, lease: usize) {
        self.leases[client] = None;
        let (name, nonce) = (self.ops[lease].name, self.ops[lease].nonce);
        let patience = Duration::from_secs(1);
        let hold = Ttl::MAX.get();
        let (release, step) =
            Release::start(self.quorum, self.quorum.all(), hold, patience, start());
        let at = self.begin(client, name, Some(nonce), Machine::Release(release));
        self.plain_step(at, step);
    }

    pub(super) fn extend(&mut self, client: usize, lease: usize) {
        let (name, nonce) = (self.ops[lease].name, self.ops[lease].nonce);
        let deadline = Deadline::of(start(), Ttl::MAX);
        let (extend, step) = Extend::start(
            self.quorum,
            self.quorum.all(),
            Ttl::MAX,
            Ttl::MAX.get(),
            deadline,
            Duration::from_secs(1),
            start(),
        );
        let at = self.begin(client, name, Some(nonce), Machine::Extend(extend));
        self.plain_step(at, step);
    }

    pub(super) fn begin(
        &mut self,
        client: usize,
        name: usize,
        nonce: Option<Nonce>,
        m: Machine,
    ) -> usize {
        let nonce = nonce.unwrap_or_else(|| Nonce::from_bytes(self.id()));
        self.ops.push(Op {
            client,
            name,
            nonce,
            asked: self.step,
            promoted: false,
            machine: m,
        });
        let at = self.ops.len() - 1;
        self.busy[client] = Some(at);
        at
    }

    /// The client's patience ends, or an answer is late: its clock says so.
    pub(super) fn give_up(&mut self, at: usize) -> Checked {
        let late = start().saturating_add(match self.rng.bool() {
            true => Duration::from_secs(1),
            false => Duration::from_millis(1),
        });
        match &mut self.ops[at].machine {
            Machine::Acquire(acquire) => {
                let step = acquire.on_tick(late);
                self.acquire_step(at, step)
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

    pub(super) fn cancel(&mut self, at: usize) -> Checked {
        match &mut self.ops[at].machine {
            Machine::Acquire(acquire) => {
                let step = acquire.cancel(start());
                self.acquire_step(at, step)
            }
            _ => Ok(()),
        }
    }
}
