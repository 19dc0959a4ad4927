//! One server, as this client has it: its connection and how it fares.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use leasehold_core::Instant;
use leasehold_core::quorum::{Health, JoinEvent, NodeId, RunId};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_local;

use crate::clock;
use crate::fail::{Kind, Trouble};
use crate::scripts::RunText;

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
    pub(crate) connection: MultiplexedConnection,
    pub(crate) run: Rc<RunText>,
    pub(crate) generation: u64,
    /// Closed when this connection is given up.
    gone: watch::Receiver<()>,
}

/// One server.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    /// Where it is, for people.
    pub(crate) name: String,
    pub(crate) health: RefCell<Health>,
    live: RefCell<Option<Live>>,
    /// Dropped with the connection.
    keep: RefCell<Option<watch::Sender<()>>>,
    standing: RefCell<Standing>,
    generations: Cell<u64>,
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
            keep: RefCell::new(None),
            standing: RefCell::new(Standing::Unknown),
            generations: Cell::new(0),
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

    /// A connection stands.
    pub(crate) fn install(
        &self,
        connection: MultiplexedConnection,
        run_id: RunId,
        generation: u64,
    ) {
        let (keep, gone) = watch::channel(());
        *self.keep.borrow_mut() = Some(keep);
        *self.live.borrow_mut() = Some(Live {
            connection,
            run: Rc::new(run_id.into()),
            generation,
            gone,
        });
        self.health.borrow_mut().on_connected(clock::now());
        self.set_standing(Standing::Joining(None));
    }

    /// Gives the connection up: whatever is under way on it is lost.
    pub(crate) fn give_up(&self, why: Trouble) {
        let live = self.live.borrow_mut().take();
        self.keep.borrow_mut().take();
        drop(live);
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
    /// exactly once unless the engine is closed.
    ///
    /// Commands leave in the order of these calls: each has a task of its own, and
    /// tasks are first polled, which queues the command on the connection, in the
    /// order they were spawned.
    pub(crate) fn send(
        self: &Rc<Self>,
        command: Cmd,
        then: impl FnOnce(Result<Value, Miss>, u64) + 'static,
    ) {
        let ask = async move |connection: &mut MultiplexedConnection| {
            let answer = connection.send_packed_command(&command).await;
            answer.and_then(Value::extract_error)
        };
        self.ask(ask, then);
    }

    /// Sends several commands, and is told all their answers.
    pub(crate) fn send_all(
        self: &Rc<Self>,
        commands: Pipeline,
        then: impl FnOnce(Result<Vec<Value>, Miss>, u64) + 'static,
    ) {
        let ask = async move |connection: &mut MultiplexedConnection| {
            let count = commands.len();
            let answers = connection.send_packed_commands(&commands, 0, count).await;
            answers.and_then(|all| all.into_iter().map(Value::extract_error).collect())
        };
        self.ask(ask, then);
    }

    fn ask<T>(
        self: &Rc<Self>,
        ask: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T> + 'static,
        then: impl FnOnce(Result<T, Miss>, u64) + 'static,
    ) {
        let Some(live) = self.sending() else {
            then(Err(Miss::NotSent), 0);
            return;
        };
        let (node, sent) = (Rc::clone(self), clock::now());
        spawn_local(async move {
            let Live {
                mut connection,
                generation,
                gone,
                ..
            } = live;
            let answer = unless(gone, ask(&mut connection)).await;
            then(node.heard(sent, generation, answer), generation);
        });
    }

    fn sending(&self) -> Option<Live> {
        let live = self.live()?;
        self.health.borrow_mut().on_sent(clock::now());
        if self.idle.replace(false) {
            self.poked.notify_one();
        }
        Some(live)
    }

    fn heard<T>(
        &self,
        sent: Instant,
        generation: u64,
        answer: Option<RedisResult<T>>,
    ) -> Result<T, Miss> {
        let error = match answer {
            None => return Err(Miss::Lost),
            Some(Ok(value)) => {
                self.answered(sent, generation);
                return Ok(value);
            }
            Some(Err(error)) => error,
        };
        let trouble = Trouble::of(&error);
        if error.code().is_none() {
            // Not an answer: the connection is of no more use.
            self.broke(generation, trouble);
            return Err(Miss::Lost);
        }
        self.answered(sent, generation);
        if trouble.kind == Kind::NoScript {
            self.lapse(generation);
        }
        Err(Miss::Refused(trouble))
    }

    fn answered(&self, sent: Instant, generation: u64) {
        if self.is_current(generation) {
            self.health.borrow_mut().on_answer(sent, clock::now());
        }
    }

    /// Whether the connection of this generation stands.
    pub(crate) fn is_current(&self, generation: u64) -> bool {
        let live = self.live.borrow();
        live.as_ref().map(|live| live.generation) == Some(generation)
    }
}

impl Live {
    /// Resolves when the connection is given up.
    pub(crate) fn gone(&self) -> impl Future<Output = ()> + use<> {
        let mut gone = self.gone.clone();
        async move {
            let _ = gone.changed().await;
        }
    }
}

/// What comes of `answer`, or nothing if the connection is given up first.
async fn unless<T>(mut gone: watch::Receiver<()>, answer: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        answer = answer => Some(answer),
        _ = gone.changed() => None,
    }
}
