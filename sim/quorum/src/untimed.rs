//! No clock at all: the adversary of C1.
//!
//! Events are drawn from a bag: deliver any message, lose it, double it; let any
//! key or counter run out; crash, flush or set back any node; let any client ask,
//! give up, go away, extend, release. No client's clock ever moves, so each
//! believes in whatever it was granted for ever. Only a node's own date moves, and
//! only forwards, as a new era demands.

use std::time::Duration;

use fastrand::Rng;
use leasehold_core::quorum::{
    Acquire, AcquireOutcome, Command, DEFAULT_RETENTION, Data, Extend, Failure, Join, JoinCommand,
    JoinEvent, JoinPlan, Node, NodeId, NodeSet, Plan, Proposals, Quorum, Release, Reply, RunId,
    Step,
};
use leasehold_core::{Deadline, Instant, LockName, Nonce, StoreTime, Ttl};

use crate::Run;
use crate::invariants::tokens::Tokens;
use crate::log::Log;
use crate::server::{Answer, Request, execute};

/// A date that no key reaches, and that satisfies every quarantine.
const LATER: Duration = Duration::from_secs(40 * 24 * 60 * 60);

/// How large a world, and how long a run.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Nodes.
    pub nodes: usize,
    /// Clients.
    pub clients: usize,
    /// Locks.
    pub names: usize,
    /// Events.
    pub events: usize,
}

impl Setup {
    /// A small world, in which everything happens soon.
    #[must_use]
    pub const fn of(nodes: usize) -> Self {
        Self {
            nodes,
            clients: 4,
            names: 1,
            events: 300,
        }
    }
}

/// Plays one run.
#[must_use]
pub fn run(setup: Setup, seed: u64, keep_log: bool) -> Run {
    let mut world = World::new(setup, seed, keep_log);
    let mut broken = world.found().err();
    for _ in 0..setup.events {
        if broken.is_some() {
            break;
        }
        broken = world.event().err();
    }
    let (digest, lines) = world.log.finish();
    Run {
        broken,
        digest,
        grants: world.grants,
        at_once: world.at_once,
        rejoined: world.rejoined,
        lines,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Op(usize),
    /// The node it is for, and which join of it.
    Join(usize, u64),
}

#[derive(Clone, Debug)]
struct Message {
    sender: Sender,
    node: usize,
    /// What the connection read when it was made.
    run_id: RunId,
    request: Request,
    /// On its way back, if there.
    answer: Option<Result<Answer, Failure>>,
}

#[derive(Debug)]
enum Machine {
    Acquire(Acquire),
    Extend(Extend),
    Release(Release),
}

#[derive(Debug)]
struct Op {
    client: usize,
    name: usize,
    nonce: Nonce,
    asked: u64,
    promoted: bool,
    machine: Machine,
}

/// How likely each kind of event is in this run.
#[derive(Clone, Copy, Debug)]
struct Weights {
    deliver: u32,
    lose: u32,
    double: u32,
    expire: u32,
    forget: u32,
    crash: u32,
    join: u32,
    client: u32,
}

struct World {
    rng: Rng,
    log: Log,
    setup: Setup,
    weights: Weights,
    /// Nodes keep all they have answered across a restart, and are declared to.
    durable: bool,
    quorum: Quorum,
    names: Vec<LockName>,
    nodes: Vec<Node>,
    snapshots: Vec<Data>,
    joins: Vec<Option<(u64, Join)>>,
    messages: Vec<Message>,
    ops: Vec<Op>,
    /// The operation a client is at, and the lease it has.
    busy: Vec<Option<usize>>,
    leases: Vec<Option<usize>>,
    proposals: Vec<Proposals>,
    tokens: Vec<Tokens>,
    ids: u64,
    step: u64,
    grants: u64,
    at_once: u64,
    rejoined: u64,
}

type Checked = Result<(), String>;

impl World {
    fn new(setup: Setup, seed: u64, keep_log: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let weights = Weights {
            deliver: 150,
            lose: [0, 1, 4][rng.usize(0..3)],
            double: [0, 0, 2][rng.usize(0..3)],
            expire: [1, 4, 10][rng.usize(0..3)],
            forget: [0, 1][rng.usize(0..2)],
            crash: [0, 1, 2, 4][rng.usize(0..4)],
            join: 20,
            client: 12,
        };
        let names: Vec<_> = (0..setup.names)
            .filter_map(|i| LockName::new(format!("lock-{i}")).ok())
            .collect();
        let durable = rng.u8(0..5) == 0;
        let mut world = Self {
            rng,
            log: Log::new(keep_log),
            setup,
            weights,
            durable,
            quorum: Quorum::of(setup.nodes).expect("1 to 9 nodes"),
            names,
            nodes: Vec::new(),
            snapshots: vec![Data::default(); setup.nodes],
            joins: vec![None; setup.nodes],
            messages: Vec::new(),
            ops: Vec::new(),
            busy: vec![None; setup.clients],
            leases: vec![None; setup.clients],
            proposals: vec![Proposals::new(4); setup.clients],
            tokens: (0..setup.names).map(|_| Tokens::default()).collect(),
            ids: 0,
            step: 0,
            grants: 0,
            at_once: 0,
            rejoined: 0,
        };
        for _ in 0..setup.nodes {
            let run_id = world.run_id();
            let node = Node::start(run_id, Data::default(), DEFAULT_RETENTION, world.now());
            world.nodes.push(node);
        }
        world
    }

    /// Brings all nodes to vote, with nothing going wrong.
    fn found(&mut self) -> Checked {
        for node in 0..self.setup.nodes {
            while !self.votes(node) {
                self.join(node)?;
                while !self.messages.is_empty() {
                    self.step += 1;
                    let message = self.messages.remove(0);
                    self.deliver(message)?;
                }
            }
        }
        self.rejoined = 0;
        Ok(())
    }

    fn event(&mut self) -> Checked {
        self.step += 1;
        let w = self.weights;
        let kinds = [
            w.deliver, w.lose, w.double, w.expire, w.forget, w.crash, w.join, w.client,
        ];
        let mut drawn = self.rng.u32(0..kinds.iter().sum());
        let kind = kinds.iter().position(|&weight| {
            let hit = drawn < weight;
            drawn = drawn.wrapping_sub(weight);
            hit
        });
        let node = self.rng.usize(0..self.setup.nodes);
        let name = self.rng.usize(0..self.setup.names);
        match kind {
            Some(0) => match self.draw_message() {
                Some(at) => {
                    let message = self.messages.swap_remove(at);
                    self.deliver(message)
                }
                None => self.client(),
            },
            Some(1) => {
                if let Some(at) = self.draw_message() {
                    self.lose(at);
                }
                Ok(())
            }
            Some(2) => {
                if let Some(at) = self.draw_message() {
                    let copy = self.messages[at].clone();
                    self.log.line(format_args!("double {:?}", copy.sender));
                    self.messages.push(copy);
                }
                Ok(())
            }
            Some(3) => {
                self.log.line(format_args!("expire {node} {name}"));
                self.nodes[node].expire_key(&self.names[name]);
                Ok(())
            }
            Some(4) => {
                self.log.line(format_args!("evict {node} {name}"));
                self.nodes[node].expire_fence(&self.names[name]);
                Ok(())
            }
            Some(5) => {
                self.crash(node);
                Ok(())
            }
            Some(6) => self.join(node),
            _ => self.client(),
        }
    }

    fn draw_message(&mut self) -> Option<usize> {
        (!self.messages.is_empty()).then(|| self.rng.usize(0..self.messages.len()))
    }

    /// The message does not arrive. Its sender may hear that the connection broke.
    fn lose(&mut self, at: usize) {
        self.log
            .line(format_args!("lose {:?}", self.messages[at].sender));
        if self.rng.bool() {
            self.messages[at].answer = Some(Err(Failure::Lost));
        } else {
            self.messages.swap_remove(at);
        }
    }

    fn crash(&mut self, node: usize) {
        let now = self.now();
        let how = self.rng.u8(0..4);
        self.log.line(format_args!("crash {node} {how}"));
        match how {
            0 => self.nodes[node].flush(),
            1 => self.snapshots[node] = self.nodes[node].snapshot(),
            _ => {
                let data = match how {
                    _ if self.durable => self.nodes[node].snapshot(),
                    2 => self.snapshots[node].clone(),
                    _ => Data::default(),
                };
                let run_id = self.run_id();
                self.nodes[node] = Node::start(run_id, data, DEFAULT_RETENTION, now);
            }
        }
    }

    /// A request is carried out, or an answer arrives.
    fn deliver(&mut self, mut message: Message) -> Checked {
        match message.answer {
            Some(answer) => self.answered(&message, answer),
            None => {
                let now = match message.request {
                    Request::Join(_) => self.now().saturating_add(LATER),
                    Request::Lock { .. } => self.now(),
                };
                let node = &mut self.nodes[message.node];
                // A connection dies with the process at its other end.
                let answer = if node.run_id() == message.run_id {
                    Ok(execute(node, message.run_id, &message.request, now)?)
                } else {
                    Err(Failure::Lost)
                };
                self.log.line(format_args!(
                    "{} {:?} {answer:?}",
                    message.node, message.request
                ));
                message.answer = Some(answer);
                self.messages.push(message);
                Ok(())
            }
        }
    }

    fn answered(&mut self, message: &Message, answer: Result<Answer, Failure>) -> Checked {
        let node = NodeId::new(message.node).expect("a node");
        self.log.line(format_args!(
            "{:?} hears {node}: {answer:?}",
            message.sender
        ));
        match message.sender {
            Sender::Join(joining, id) => {
                let reply = answer.map(|answer| match answer {
                    Answer::Join(reply) => reply,
                    other => unreachable!("{other:?}"),
                });
                let start = start();
                let Some((_, join)) = self.joins[joining].as_mut().filter(|j| j.0 == id) else {
                    return Ok(());
                };
                let step = join.on_reply(node, reply, start);
                self.joined(joining, id, step);
                Ok(())
            }
            Sender::Op(op) => {
                let Request::Lock { command, .. } = message.request else {
                    return Ok(());
                };
                self.op_answered(op, node, command, answer)
            }
        }
    }

    fn op_answered(
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
            _ => leasehold_core::quorum::OwnerReply::Gone,
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

    fn acquire_step(&mut self, at: usize, step: Step<Command, AcquireOutcome>) -> Checked {
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

    fn plain_step<O: std::fmt::Debug>(&mut self, at: usize, step: Step<Command, O>) {
        self.send(Sender::Op(at), step.send);
        if let Some(outcome) = step.outcome {
            self.log.line(format_args!("op {at} {outcome:?}"));
            let client = self.ops[at].client;
            if self.busy[client] == Some(at) {
                self.busy[client] = None;
            }
        }
    }

    fn send(&mut self, sender: Sender, send: Option<(Command, NodeSet)>) {
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

    fn post(&mut self, sender: Sender, request: Request, to: NodeSet) {
        for node in to.iter() {
            self.messages.push(Message {
                sender,
                node: node.index(),
                run_id: self.nodes[node.index()].run_id(),
                request: request.clone(),
                answer: None,
            });
        }
    }

    /// One client does something.
    fn client(&mut self) -> Checked {
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

    fn acquire(&mut self, client: usize) -> Checked {
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

    fn release(&mut self, client: usize, lease: usize) {
        self.leases[client] = None;
        let (name, nonce) = (self.ops[lease].name, self.ops[lease].nonce);
        let patience = Duration::from_secs(1);
        let hold = Ttl::MAX.get();
        let (release, step) =
            Release::start(self.quorum, self.quorum.all(), hold, patience, start());
        let at = self.begin(client, name, Some(nonce), Machine::Release(release));
        self.plain_step(at, step);
    }

    fn extend(&mut self, client: usize, lease: usize) {
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

    fn begin(&mut self, client: usize, name: usize, nonce: Option<Nonce>, m: Machine) -> usize {
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
    fn give_up(&mut self, at: usize) -> Checked {
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

    fn cancel(&mut self, at: usize) -> Checked {
        match &mut self.ops[at].machine {
            Machine::Acquire(acquire) => {
                let step = acquire.cancel(start());
                self.acquire_step(at, step)
            }
            _ => Ok(()),
        }
    }

    /// Somebody looks after a node that does not vote: begins its join, begins it
    /// anew, or lets its time pass.
    fn join(&mut self, node: usize) -> Checked {
        if self.votes(node) {
            return Ok(());
        }
        let late = start().saturating_add(LATER);
        if let Some((id, join)) = &mut self.joins[node]
            && self.rng.u8(0..8) > 0
        {
            let (id, step) = (*id, join.on_tick(late));
            self.joined(node, id, step);
            return Ok(());
        }
        let plan = JoinPlan {
            quorum: self.quorum,
            node: NodeId::new(node).expect("a node"),
            max_ttl: Ttl::MAX.get(),
            durable: self.durable,
            fresh: false,
            era: true,
            ticket: Nonce::from_bytes(self.id()),
        };
        let (join, step) = Join::start(plan, Duration::from_secs(1));
        let id = self.ids;
        self.joins[node] = Some((id, join));
        self.joined(node, id, step);
        Ok(())
    }

    fn joined(&mut self, node: usize, id: u64, step: Step<JoinCommand, JoinEvent>) {
        if let Some((command, to)) = step.send {
            self.post(Sender::Join(node, id), Request::Join(command), to);
        }
        if let Some(event) = step.outcome {
            self.log.line(format_args!("join of {node}: {event:?}"));
        }
        if self.joins[node].as_ref().is_some_and(|(_, j)| j.is_done()) {
            self.joins[node] = None;
            self.rejoined += 1;
        }
    }

    fn votes(&self, node: usize) -> bool {
        use leasehold_core::quorum::JoinReply::Inspected;
        let node = &self.nodes[node];
        match node.inspect(self.now()) {
            Inspected(said) => said.joined == Some(said.run_id),
            _ => false,
        }
    }

    /// A node's date: one second later with each event.
    fn now(&self) -> StoreTime {
        StoreTime::from_micros(self.step * 1_000_000)
    }

    fn run_id(&mut self) -> RunId {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(&self.id());
        RunId::from_bytes(bytes)
    }

    fn id(&mut self) -> [u8; 16] {
        self.ids += 1;
        u128::from(self.ids).to_be_bytes()
    }
}

/// The moment at which every client's clock stands.
fn start() -> Instant {
    Instant::from_start(Duration::ZERO)
}
