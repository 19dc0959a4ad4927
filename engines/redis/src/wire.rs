//! Between a machine of the protocol and the connections.

use std::future::poll_fn;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use leasehold_core::quorum::{
    Acquire, AcquireOutcome, Command, Extend, ExtendOutcome, Failure, NodeId, NodeSet, Release,
    ReleaseOutcome, Reply, Step,
};
use leasehold_core::{Error, Instant, LockName, Nonce, Owner};
use tokio::select;

use crate::clock;
use crate::fail::Trouble;
use crate::grant::{Grant, tidy};
use crate::hub::Hub;
use crate::scripts::View;
use crate::talk::{Heard, Talk};

/// A machine, as the wire drives it.
pub(crate) trait Machine {
    type Outcome;

    fn on_reply(
        &mut self,
        node: NodeId,
        reply: Reply,
        now: Instant,
    ) -> Step<Command, Self::Outcome>;
    fn on_tick(&mut self, now: Instant) -> Step<Command, Self::Outcome>;
    fn wake_at(&self) -> Option<Instant>;
}

/// A machine that goes on after its outcome, until it has given back what it owes.
pub(crate) trait CleansUp: Machine {
    fn is_done(&self) -> bool;
}

impl CleansUp for Acquire {
    fn is_done(&self) -> bool {
        Self::is_done(self)
    }
}

impl CleansUp for Release {
    fn is_done(&self) -> bool {
        Self::is_done(self)
    }
}

/// One operation on one lock: what it sends goes to each node in order.
pub(crate) struct Wire {
    pub(crate) talk: Rc<Talk>,
    /// Nodes that this operation owes a release.
    owes: NodeSet,
    /// Which nodes refused, and why.
    pub(crate) troubles: Vec<(NodeId, Trouble)>,
    /// The lock as nodes had it that found it busy.
    pub(crate) views: Vec<(NodeId, View)>,
}

impl Deref for Wire {
    type Target = Talk;

    fn deref(&self) -> &Talk {
        &self.talk
    }
}

impl Wire {
    /// The owner and grace matter to an acquire only.
    pub(crate) fn new(
        hub: &Rc<Hub>,
        grant: &Rc<Grant>,
        name: &LockName,
        nonce: Nonce,
        owner: Owner,
        grace: Duration,
    ) -> Result<Self, Error> {
        let keys = hub.keys(name)?;
        let talk = Talk::new((hub, grant), (name, nonce), keys, owner, grace);
        Ok(Self {
            talk: Rc::new(talk),
            owes: NodeSet::EMPTY,
            troubles: Vec::new(),
            views: Vec::new(),
        })
    }

    /// Sends what a step says.
    pub(crate) fn carry_out(&mut self, send: Option<(Command, NodeSet)>) {
        let Some((command, nodes)) = send else {
            return;
        };
        if let Command::Acquire(ask) = command {
            self.sent.set(clock::now());
            self.grant
                .ask(nodes, ask.hold.max(ask.line.unwrap_or_default()));
        }
        match command {
            Command::Yield { up_to, .. } => self.hub.waiters.on_yield(self.nonce, nodes, up_to),
            Command::Release => self.hub.waiters.on_release(self.nonce, nodes),
            _ => {}
        }
        if command == Command::Release {
            let releases = &self.grant.releases;
            releases.set(releases.get().wrapping_add(1));
        }
        for id in nodes.iter() {
            if command == Command::Release && !self.owes.contains(id) {
                self.owes = self.owes.with(id);
                self.grant.owe(id);
            }
            self.talk.send(command, id);
        }
    }

    /// Waits for the next answer, or for the machine's time, and tells it.
    ///
    /// Cancel-safe: an answer is taken only when it is told.
    pub(crate) async fn next<M: Machine>(&mut self, machine: &mut M) -> Step<Command, M::Outcome> {
        select! {
            biased;
            heard = poll_fn(|cx| self.talk.poll_next(cx)) => {
                let (node, reply) = (heard.node, heard.reply);
                self.note(heard);
                machine.on_reply(node, reply, clock::now())
            }
            () = clock::sleep_until(machine.wake_at()) => machine.on_tick(clock::now()),
        }
    }

    /// Goes on listening for the rest of a waiter's answers, so that all servers
    /// have the same line.
    pub(crate) async fn linger(mut self, mut acquire: Acquire, limit: Instant) {
        while acquire.waits() && clock::now() < limit {
            let step = select! {
                biased;
                step = self.next(&mut acquire) => step,
                () = clock::sleep_until(Some(limit)) => break,
            };
            self.carry_out(step.send);
        }
    }

    /// Drives a machine on until it owes nothing, however long that takes.
    pub(crate) async fn finish(mut self, mut machine: impl CleansUp) {
        while !machine.is_done() {
            let step = self.next(&mut machine).await;
            self.carry_out(step.send);
        }
        let (hub, name, nonce) = (Rc::clone(&self.hub), self.name.clone(), self.nonce);
        // It holds the grant.
        drop(self);
        tidy(&hub, &name, nonce);
    }

    /// Keeps what came with an answer.
    pub(crate) fn note(&mut self, heard: Heard) {
        let node = heard.node;
        self.troubles
            .extend(heard.trouble.map(|trouble| (node, trouble)));
        self.views.extend(heard.view.map(|view| (node, view)));
        if let Reply::Acquire(Ok(reply)) = &heard.reply {
            self.hub
                .waiters
                .on_answer(self.nonce, node, heard.sent, reply);
        }
        if heard.to != Command::Release {
            return;
        }
        match heard.reply {
            Reply::Release(Ok(_)) if self.owes.contains(node) => {
                self.owes = self.owes.without(NodeSet::only(node));
                self.grant.pay(node);
            }
            Reply::Release(Err(Failure::Lost)) => {
                self.grant.astray.set(self.grant.astray.get().with(node));
            }
            _ => {}
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // What was not answered by now has run out.
        self.owes.iter().for_each(|node| self.grant.pay(node));
    }
}

macro_rules! machine {
    ($machine:ty, $outcome:ty, |$own:ident, $node:ident, $reply:ident, $now:ident| $on_reply:expr) => {
        impl Machine for $machine {
            type Outcome = $outcome;

            fn on_reply(
                &mut self,
                $node: NodeId,
                $reply: Reply,
                $now: Instant,
            ) -> Step<Command, $outcome> {
                let $own = self;
                $on_reply
            }

            fn on_tick(&mut self, now: Instant) -> Step<Command, $outcome> {
                <$machine>::on_tick(self, now)
            }

            fn wake_at(&self) -> Option<Instant> {
                <$machine>::wake_at(self)
            }
        }
    };
}

/// Answers to an extend and a release are of one kind.
fn owner(reply: Reply) -> Result<leasehold_core::quorum::OwnerReply, Failure> {
    match reply {
        Reply::Release(reply) => reply,
        _ => Err(Failure::Refused),
    }
}

machine!(Acquire, AcquireOutcome, |own, node, reply, now| {
    Acquire::on_reply(own, node, reply, now)
});
machine!(Extend, ExtendOutcome, |own, node, reply, now| {
    Extend::on_reply(own, node, owner(reply), now)
});
machine!(Release, ReleaseOutcome, |own, node, reply, now| {
    Release::on_reply(own, node, owner(reply), now)
});
