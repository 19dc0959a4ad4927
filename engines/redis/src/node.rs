//! One server, as this client has it: its connection and how it fares.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use leasehold_core::Instant;
use leasehold_core::quorum::{Health, JoinEvent, NodeId, RunId};
use redis::{ErrorKind, PushInfo, RedisError, ServerErrorKind, Value};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_local;

use crate::clock;
use crate::fail::{Kind, Trouble};
use crate::link::{self, Answers, Awaits, Link, Told, Wired};
use crate::outbox::{self, Outbox};
use crate::scripts::{Packed, RunText};

/// Why a command has no answer of the script's.
#[derive(Clone, Debug)]
pub(crate) enum Miss {
    /// No connection stands: it was not sent.
    NotSent,
    /// The connection broke after it was sent.
    Lost,
    /// The server refused it.
    Refused(Trouble),
}

/// How far a node is from voting.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// Not heard of yet.
    Unknown,
    /// It cannot be reached or used.
    Failed(Trouble),
    /// Connected; the join is under way, and this is what it said last.
    Joining(Option<JoinEvent>),
    /// It votes.
    Joined,
}

/// One connection, bound to one server process.
#[derive(Clone)]
pub(crate) struct Live {
    link: Rc<Link>,
    pub(crate) run: Rc<RunText>,
    pub(crate) generation: u64,
}

/// One server.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    /// Where it is, for people.
    pub(crate) name: String,
    pub(crate) health: RefCell<Health>,
    live: RefCell<Option<Live>>,
    standing: RefCell<Standing>,
    generations: Cell<u64>,
    pub(crate) outbox: Outbox,
    /// The supervisor has something to look at.
    pub(crate) poked: Notify,
    /// The supervisor sleeps without a time to wake up.
    pub(crate) idle: Cell<bool>,
    /// The node must join again.
    pub(crate) must_join: Notify,
    /// Some node's standing has changed.
    pub(crate) changed: Rc<watch::Sender<u64>>,
}

impl Node {
    pub(crate) fn new(
        id: NodeId,
        name: String,
        health: Health,
        changed: Rc<watch::Sender<u64>>,
    ) -> Self {
        Self {
            id,
            name,
            health: RefCell::new(health),
            live: RefCell::new(None),
            standing: RefCell::new(Standing::Unknown),
            generations: Cell::new(0),
            outbox: Outbox::default(),
            poked: Notify::new(),
            idle: Cell::new(false),
            must_join: Notify::new(),
            changed,
        }
    }

    /// The connection, if one stands.
    pub(crate) fn live(&self) -> Option<Live> {
        self.live.borrow().clone()
    }

    /// Whether operations should count on it.
    pub(crate) fn is_usable(&self) -> bool {
        self.health.borrow().is_usable() && matches!(*self.standing.borrow(), Standing::Joined)
    }

    /// Whether a connection stands that answers.
    pub(crate) fn is_connected(&self) -> bool {
        self.health.borrow().is_usable() && self.live.borrow().is_some()
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    pub(crate) fn set_standing(&self, standing: Standing) {
        *self.standing.borrow_mut() = standing;
        self.changed.send_modify(|count| *count += 1);
    }

    /// A number for the next connection.
    pub(crate) fn next_generation(&self) -> u64 {
        self.generations.set(self.generations.get() + 1);
        self.generations.get()
    }

    /// A connection stands. What the server says unasked goes to `pushed`.
    pub(crate) fn install(
        self: &Rc<Self>,
        wired: Wired,
        run_id: RunId,
        generation: u64,
        pushed: impl Fn(PushInfo) + 'static,
    ) {
        let link = Rc::new(Link::new());
        *self.live.borrow_mut() = Some(Live {
            link: Rc::clone(&link),
            run: Rc::new(run_id.into()),
            generation,
        });
        self.health.borrow_mut().on_connected(clock::now());
        self.set_standing(Standing::Joining(None));
        let node = Rc::clone(self);
        spawn_local(async move {
            let broke = |why| node.broke(generation, why);
            let gather = || outbox::flush(&node);
            link::drive(&link, wired, clock::now, gather, pushed, broke).await;
        });
    }

    /// Gives the connection up: whatever is under way on it is lost.
    pub(crate) fn give_up(&self, why: Trouble) {
        let live = self.live.borrow_mut().take();
        if let Some(live) = live {
            live.link.end();
        }
        self.outbox.give_up();
        self.set_standing(Standing::Failed(why));
    }

    /// The connection of this generation broke.
    pub(crate) fn broke(&self, generation: u64, why: Trouble) {
        if self.is_current(generation) {
            tracing::warn!(node = %self.name, why = %why.detail, "the connection to a Redis server broke");
            self.give_up(why);
            self.health.borrow_mut().on_disconnected(clock::now());
            self.poked.notify_one();
        }
    }

    /// The node said that it must join, or has no scripts, on this connection.
    pub(crate) fn lapse(&self, generation: u64) {
        let joined = matches!(*self.standing.borrow(), Standing::Joined);
        if joined && self.is_current(generation) {
            self.set_standing(Standing::Joining(None));
            self.must_join.notify_one();
        }
    }

    /// Sends a command; `then` is told what came of it and on which connection,
    /// exactly once unless the engine is closed. Commands leave in the order of
    /// these calls.
    pub(crate) fn send(
        self: &Rc<Self>,
        command: Packed,
        then: impl FnOnce(Result<Value, Miss>, u64) + 'static,
    ) {
        outbox::flush(self);
        self.ask(&command, Awaits::Answers(1), last, then);
    }

    /// Sends several commands, and is told all their answers, or the first error
    /// among them.
    pub(crate) fn send_all(
        self: &Rc<Self>,
        commands: Packed,
        then: impl FnOnce(Result<Vec<Value>, Miss>, u64) + 'static,
    ) {
        outbox::flush(self);
        let awaits = Awaits::Answers(commands.commands());
        self.ask(&commands, awaits, all, then);
    }

    /// Subscribes to a channel.
    pub(crate) fn subscribe(self: &Rc<Self>, channel: &str) {
        let node = Rc::clone(self);
        self.subscription("SUBSCRIBE", channel, move |done| {
            if let Err(Miss::Refused(why)) = done {
                tracing::debug!(node = %node.name, why = %why.detail, "no wake-ups from a Redis server; waiters poll");
            }
        });
    }

    fn subscription(
        self: &Rc<Self>,
        command: &str,
        channel: &str,
        then: impl FnOnce(Result<Value, Miss>) + 'static,
    ) {
        let command = Packed::of(&[command, channel]);
        let then = |done, _| then(done);
        self.ask(&command, Awaits::Confirmation, last, then);
    }

    fn ask<T: 'static>(
        self: &Rc<Self>,
        commands: &Packed,
        awaits: Awaits,
        read: fn(Answers) -> Result<T, RedisError>,
        then: impl FnOnce(Result<T, Miss>, u64) + 'static,
    ) {
        let Some(live) = self.live() else {
            then(Err(Miss::NotSent), 0);
            return;
        };
        let sent = clock::now();
        self.health.borrow_mut().on_sent(sent);
        if self.idle.replace(false) {
            self.poked.notify_one();
        }
        let (node, generation) = (Rc::clone(self), live.generation);
        let then = Box::new(move |told: Told, now| {
            let answer = match told {
                None => Err(Miss::Lost),
                Some(answers) => {
                    node.answered(sent, now, generation);
                    read(answers).map_err(|error| node.refused(&error, generation))
                }
            };
            then(answer, generation);
        });
        live.link.send(commands, awaits, then);
    }

    fn refused(&self, error: &RedisError, generation: u64) -> Miss {
        let trouble = Trouble::of(error);
        if trouble.kind == Kind::NoScript {
            self.lapse(generation);
        }
        if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) {
            // A master no more: whoever connects anew may find the one that is.
            self.broke(generation, trouble.clone());
        }
        Miss::Refused(trouble)
    }

    fn answered(&self, sent: Instant, now: Instant, generation: u64) {
        if self.is_current(generation) {
            self.health.borrow_mut().on_answer(sent, now);
        }
    }

    /// Whether the connection of this generation stands.
    pub(crate) fn is_current(&self, generation: u64) -> bool {
        let live = self.live.borrow();
        live.as_ref().map(|live| live.generation) == Some(generation)
    }
}

impl Live {
    /// Something was put into the outbox.
    pub(crate) fn wake(&self) {
        self.link.wake();
    }

    /// Resolves when the connection is given up.
    pub(crate) async fn gone(&self) {
        self.link.gone().await;
    }
}

/// The last answer, unless it is an error.
fn last(answers: Answers) -> Result<Value, RedisError> {
    let value = match answers {
        Answers::One(value) => value,
        Answers::All(values) => values.into_iter().next_back().unwrap_or_default(),
    };
    match value {
        Value::ServerError(error) => Err(error.into()),
        value => Ok(value),
    }
}

/// All answers, unless one is an error.
fn all(answers: Answers) -> Result<Vec<Value>, RedisError> {
    let values = match answers {
        Answers::One(value) => vec![value],
        Answers::All(values) => values,
    };
    values.into_iter().map(Value::extract_error).collect()
}
