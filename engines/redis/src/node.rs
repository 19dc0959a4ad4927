//! One server, as this client has it: its connection and how it fares.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use leasehold_core::Instant;
use leasehold_core::quorum::{Health, JoinEvent, NodeId, RunId};
use redis::{ErrorKind, PushInfo, RedisError, ServerErrorKind, Value};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_local;

use crate::bond::{Bond, Live, Pulse};
use crate::clock;
use crate::fail::{Kind, Trouble};
use crate::link::{self, Answers, Awaits, Link, Told, Wired};
use crate::outbox::{self, Outbox};
use crate::scripts::Packed;

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

/// One server; or one slot of a Redis Cluster, on whichever server it is.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    /// Where it is, for people.
    pub(crate) name: String,
    pulse: RefCell<Rc<Pulse>>,
    live: RefCell<Option<Live>>,
    /// Its connection is another's, whose server answers it only while it serves it.
    shares: Cell<bool>,
    standing: RefCell<Standing>,
    generations: Cell<u64>,
    pub(crate) outbox: Outbox,
    /// The node must join again.
    pub(crate) must_join: Notify,
    /// The slot is served elsewhere, or not at present.
    pub(crate) displaced: Notify,
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
            pulse: RefCell::new(Rc::new(Pulse::new(health))),
            live: RefCell::new(None),
            shares: Cell::new(false),
            standing: RefCell::new(Standing::Unknown),
            generations: Cell::new(0),
            outbox: Outbox::default(),
            must_join: Notify::new(),
            displaced: Notify::new(),
            changed,
        }
    }

    /// How its connection fares.
    pub(crate) fn pulse(&self) -> Rc<Pulse> {
        Rc::clone(&self.pulse.borrow())
    }

    /// When an answer of it is late.
    pub(crate) fn hedge_after(&self) -> Duration {
        self.pulse.borrow().health.borrow().hedge_after()
    }

    /// When the server last showed that it serves slots; `None` also if it has told
    /// that it does not serve one.
    pub(crate) fn heard(&self) -> Option<Instant> {
        self.pulse.borrow().heard.get()
    }

    fn is_healthy(&self) -> bool {
        self.pulse.borrow().health.borrow().is_usable()
    }

    /// The connection, if one stands.
    pub(crate) fn live(&self) -> Option<Live> {
        self.live.borrow().clone()
    }

    /// Whether operations should count on it.
    pub(crate) fn is_usable(&self) -> bool {
        self.is_healthy() && matches!(*self.standing.borrow(), Standing::Joined)
    }

    /// Whether a connection stands that answers.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_healthy() && self.live.borrow().is_some()
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

    /// A connection stands. What the server says unasked goes to `pushed`, and what it
    /// tells waiters there goes to `channel`.
    pub(crate) fn install(
        self: &Rc<Self>,
        (wired, run_id): (Wired, RunId),
        generation: u64,
        channel: String,
        pushed: impl Fn(PushInfo) + 'static,
    ) {
        let (pulse, now) = (self.pulse(), clock::now());
        pulse.serial.set(generation);
        let bond = Rc::new(Bond {
            link: Link::new(),
            serial: generation,
            run: run_id.into(),
            channel,
            loaded: Cell::new(false),
        });
        *self.live.borrow_mut() = Some(Live {
            bond: Rc::clone(&bond),
            generation,
        });
        pulse.health.borrow_mut().on_connected(now);
        pulse.heard.set(Some(now));
        self.set_standing(Standing::Joining(None));
        let node = Rc::clone(self);
        spawn_local(async move {
            let broke = |why| node.broke(generation, why);
            let gather = || outbox::gather(&node);
            link::drive(&bond.link, wired, clock::now, gather, pushed, broke).await;
        });
    }

    /// Shares the connection of another, if that has one.
    pub(crate) fn attach(&self, to: &Self) -> Option<Live> {
        let bond = to.live()?.bond;
        let generation = self.next_generation();
        let live = Live { bond, generation };
        self.pulse.replace(to.pulse());
        self.shares.set(true);
        self.live.replace(Some(live.clone()));
        self.set_standing(Standing::Joining(None));
        Some(live)
    }

    /// Leaves a connection that is shared. What is under way there is still answered.
    pub(crate) fn detach(&self, standing: Standing) {
        self.live.take();
        self.set_standing(standing);
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
            let pulse = self.pulse();
            pulse.health.borrow_mut().on_disconnected(clock::now());
            pulse.poked.notify_one();
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

    /// Subscribes to the channel of its connection.
    pub(crate) fn subscribe(self: &Rc<Self>) {
        let Some(live) = self.live() else {
            return;
        };
        let channel = &live.channel;
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
        let (pulse, serial) = (self.pulse(), live.serial);
        pulse.health.borrow_mut().on_sent(sent);
        if pulse.idle.replace(false) {
            pulse.poked.notify_one();
        }
        let (node, generation) = (Rc::clone(self), live.generation);
        let then = Box::new(move |told: Told, now| {
            let answer = match told {
                None => Err(Miss::Lost),
                Some(answers) => {
                    pulse.answered(sent, now, serial, node.shares.get());
                    read(answers).map_err(|error| node.refused(&error, generation))
                }
            };
            then(answer, generation);
        });
        live.link.send(commands, awaits, then);
    }

    fn refused(&self, error: &RedisError, generation: u64) -> Miss {
        let trouble = Trouble::of(error);
        match trouble.kind {
            Kind::NoScript => {
                if let Some(live) = self.live.borrow().as_ref() {
                    live.loaded.set(false);
                }
                self.lapse(generation);
            }
            Kind::Elsewhere | Kind::Down if self.is_current(generation) => {
                match trouble.kind {
                    Kind::Down => self.set_standing(Standing::Failed(trouble.clone())),
                    _ => self.lapse(generation),
                }
                // Whether it is still the server it was must be asked anew.
                self.pulse.borrow().heard.set(None);
                self.displaced.notify_one();
            }
            _ => {}
        }
        if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) {
            // A master no more: whoever connects anew may find the one that is.
            self.broke(generation, trouble.clone());
        }
        Miss::Refused(trouble)
    }

    /// Whether the connection of this generation stands.
    pub(crate) fn is_current(&self, generation: u64) -> bool {
        let live = self.live.borrow();
        live.as_ref().map(|live| live.generation) == Some(generation)
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
