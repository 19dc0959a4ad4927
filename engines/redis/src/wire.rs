//! Between a machine of the protocol and the connections.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leasehold_core::quorum::{
    Acquire, AcquireOutcome, AcquireReply, Command, Extend, ExtendOutcome, Failure, NodeId,
    NodeSet, PromoteReply, Release, ReleaseOutcome, Reply, Step,
};
use leasehold_core::{Error, Instant, LockName, Nonce, Owner};
use redis::Value;
use tokio::select;

use crate::clock;
use crate::fail::{Kind, Trouble};
use crate::grant::{Grant, tidy};
use crate::hub::Hub;
use crate::node::Miss;
use crate::outbox::{self, Item};
use crate::scripts::{
    BadReply, Keys, Packed, View, decode_acquire, decode_extend, decode_promote, decode_release,
};

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
    pub(crate) hub: Rc<Hub>,
    pub(crate) grant: Rc<Grant>,
    pub(crate) name: LockName,
    pub(crate) nonce: Nonce,
    pub(crate) keys: Rc<Keys>,
    owner: Owner,
    grace: Duration,
    /// When the acquire was sent.
    sent: Instant,
    replies: Rc<Replies>,
    /// Nodes that this operation owes a release.
    owes: NodeSet,
    /// Which nodes refused, and why.
    pub(crate) troubles: Vec<(NodeId, Trouble)>,
    /// The lock as nodes had it that found it busy.
    pub(crate) views: Vec<(NodeId, View)>,
}

/// An answer, and what came with it.
struct Heard {
    node: NodeId,
    reply: Reply,
    to: Command,
    sent: Instant,
    view: Option<View>,
    trouble: Option<Trouble>,
}

/// Answers that the operation has not looked at yet.
#[derive(Default)]
struct Replies {
    heard: RefCell<VecDeque<Heard>>,
    /// The operation, if it waits.
    waiter: RefCell<Option<Waker>>,
}

impl Replies {
    fn push(&self, heard: Heard) {
        self.heard.borrow_mut().push_back(heard);
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Heard> {
        match self.heard.borrow_mut().pop_front() {
            Some(heard) => Poll::Ready(heard),
            None => {
                self.waiter.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
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
        Ok(Self {
            hub: Rc::clone(hub),
            grant: Rc::clone(grant),
            keys: Rc::new(hub.keys(name)?),
            name: name.clone(),
            nonce,
            owner,
            grace,
            sent: clock::now(),
            replies: Rc::default(),
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
            self.sent = clock::now();
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
            self.send(command, id);
        }
    }

    fn send(&self, command: Command, id: NodeId) {
        let node = self.hub.node(id);
        let replies = Rc::clone(&self.replies);
        let (sent, nonce) = (self.sent, self.nonce);
        if node.live().is_none() {
            replies.push(Heard {
                node: id,
                reply: of(command, Failure::NotSent),
                to: command,
                sent,
                view: None,
                trouble: None,
            });
            return;
        }
        let (hub, name) = (Rc::clone(&self.hub), self.name.clone());
        let keys = Rc::clone(&self.keys);
        let then = move |answer: Result<Value, Miss>, generation| {
            let missing = matches!(&answer, Err(Miss::Refused(why)) if why.kind == Kind::NoScript);
            if missing && let Some(commands) = with_script(&hub, id, &keys, nonce, command) {
                let node = Rc::clone(hub.node(id));
                return node.send_all(commands, move |answer, generation| {
                    let answer = answer.map(|mut all| all.pop().unwrap_or_default());
                    let heard = read(&hub, &name, id, generation, command, answer);
                    replies.push(Heard { sent, ..heard });
                });
            }
            let heard = read(&hub, &name, id, generation, command, answer);
            replies.push(Heard { sent, ..heard });
        };
        let item = Item {
            hub: Rc::clone(&self.hub),
            command,
            keys: Rc::clone(&self.keys),
            nonce,
            owner: self.owner.clone(),
            grace: self.grace,
            grant: Rc::clone(&self.grant),
            releases: self.grant.releases.get(),
            then: Box::new(then),
        };
        outbox::send(node, item);
    }

    /// Waits for the next answer, or for the machine's time, and tells it.
    ///
    /// Cancel-safe: an answer is taken only when it is told.
    pub(crate) async fn next<M: Machine>(&mut self, machine: &mut M) -> Step<Command, M::Outcome> {
        select! {
            biased;
            heard = poll_fn(|cx| self.replies.poll_next(cx)) => {
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

    fn note(&mut self, heard: Heard) {
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

/// An extend or a release for a node without scripts, which has to join: it brings
/// its script along. Neither votes, so they are harmless there; scripts that do
/// vote are loaded by joins alone.
fn with_script(
    hub: &Hub,
    node: NodeId,
    keys: &Keys,
    nonce: Nonce,
    command: Command,
) -> Option<Packed> {
    let live = hub.node(node).live()?;
    let scripts = &hub.scripts;
    let (code, call) = match command {
        Command::Extend { slot, hold } => {
            let call = scripts.extend(keys, nonce, slot, hold);
            (scripts.extend_code(), call)
        }
        Command::Release => (
            scripts.release_code(),
            scripts.release(keys, &live.run, nonce),
        ),
        _ => return None,
    };
    let mut commands = Packed::of(&["SCRIPT", "LOAD", code]);
    commands.append(&call);
    Some(commands)
}

impl Drop for Wire {
    fn drop(&mut self) {
        // What was not answered by now has run out.
        self.owes.iter().for_each(|node| self.grant.pay(node));
    }
}

/// The reply to a command that has no answer.
const fn of(command: Command, failure: Failure) -> Reply {
    match command {
        Command::Acquire(_) => Reply::Acquire(Err(failure)),
        Command::Promote { .. } => Reply::Promote(Err(failure)),
        Command::Place { .. } | Command::Yield { .. } => Reply::Noted,
        Command::Extend { .. } | Command::Release => Reply::Release(Err(failure)),
    }
}

/// Reads an answer, and lets everybody learn from it.
fn read(
    hub: &Hub,
    name: &LockName,
    id: NodeId,
    generation: u64,
    command: Command,
    answer: Result<Value, Miss>,
) -> Heard {
    let mut heard = Heard {
        node: id,
        reply: of(command, Failure::Refused),
        to: command,
        sent: clock::now(),
        view: None,
        trouble: None,
    };
    let value = match answer {
        Ok(value) => value,
        Err(miss) => {
            heard.reply = match miss {
                Miss::NotSent => of(command, Failure::NotSent),
                Miss::Lost => of(command, Failure::Lost),
                Miss::Refused(trouble) => {
                    heard.trouble = Some(trouble);
                    heard.reply
                }
            };
            return heard;
        }
    };
    let reply = decode(command, &value).map(|(reply, view)| {
        heard.view = view;
        reply
    });
    match reply {
        Ok(reply) => heard.reply = reply,
        // It may have done anything.
        Err(bad) => {
            heard.trouble = Some(Trouble::nonsense(bad.to_string()));
            heard.reply = of(command, Failure::Lost);
        }
    }
    match heard.reply {
        Reply::Acquire(Ok(AcquireReply::NotJoined))
        | Reply::Promote(Ok(PromoteReply::NotJoined)) => hub.node(id).lapse(generation),
        Reply::Acquire(Ok(granted)) => hub.proposals.borrow_mut().on_reply(name, &granted),
        Reply::Promote(Ok(PromoteReply::At(counter))) => {
            hub.proposals.borrow_mut().note(name, counter);
        }
        _ => {}
    }
    heard
}

fn decode(command: Command, value: &Value) -> Result<(Reply, Option<View>), BadReply> {
    Ok(match command {
        Command::Acquire(_) => {
            let (reply, view) = decode_acquire(value)?;
            (Reply::Acquire(Ok(reply)), view)
        }
        Command::Promote { .. } => (Reply::Promote(Ok(decode_promote(value)?)), None),
        Command::Place { .. } | Command::Yield { .. } => (Reply::Noted, None),
        Command::Extend { .. } => (Reply::Release(Ok(decode_extend(value)?)), None),
        Command::Release => (Reply::Release(Ok(decode_release(value)?)), None),
    })
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
