//! No clock at all: the adversary of C1.
//!
//! Events are drawn from a bag: deliver any message, lose it, double it; let any
//! key or place run out; crash, flush or set back any node; let any client ask,
//! wait, ask again, give up, go away, extend, release. No client's clock ever moves, so each
//! believes in whatever it was granted for ever. Only a node's own date moves, and
//! only forwards, as a new era demands.

mod clients;
mod nodes;

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use leasehold_core::quorum::{
    AcquireReply, Data, Extend, Failure, Join, Node, NodeId, NodeSet, PromoteReply, Proposals,
    Push, Quorum, Release, RunId,
};
use leasehold_core::{Instant, LockName, Nonce, StoreTime, Token};

use crate::Run;
use crate::invariants::tokens::Tokens;
use crate::log::Log;
use crate::server::{Answer, Pushes, Request, execute};
use crate::wish::{Kind, Wish};

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
        handed: world.handed,
        longest_wait: 0,
        at_once: world.at_once,
        rejoined: world.rejoined,
        lines,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// An operation, and which attempt of it.
    Op(usize, u32),
    /// The node it is for, and which join of it.
    Join(usize, u64),
}

#[derive(Clone, Debug)]
struct Message {
    sender: Sender,
    node: usize,
    /// What the connection read when it was made.
    run_id: RunId,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Ask(Request),
    Answer(Request, Result<Answer, Failure>),
    /// What a waiter is told unasked.
    Push(Push),
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most are wishes")]
enum Machine {
    Wish(Wish),
    Extend(Extend),
    Release(Release),
}

#[derive(Debug)]
struct Op {
    client: usize,
    name: usize,
    nonce: Nonce,
    asked: u64,
    machine: Machine,
}

/// How likely each kind of event is in this run.
#[derive(Clone, Copy, Debug)]
struct Weights {
    deliver: u32,
    lose: u32,
    double: u32,
    expire: u32,
    drop_out: u32,
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
    /// All that goes wrong with nodes goes wrong with this one.
    victim: Option<usize>,
    /// What this client has to do with takes its time.
    slow: Option<usize>,
    quorum: Quorum,
    names: Vec<LockName>,
    kinds: Vec<Kind>,
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
    /// Who waits, by nonce.
    wishes: BTreeMap<Nonce, usize>,
    /// When a node came to have a counter for a grant.
    counted: BTreeMap<(usize, usize, Nonce, Token), u64>,
    grants: u64,
    handed: u64,
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
            drop_out: [0, 1, 4][rng.usize(0..3)],
            crash: [0, 1, 2, 4][rng.usize(0..4)],
            join: 20,
            client: 16,
        };
        let names: Vec<_> = (0..setup.names)
            .filter_map(|i| LockName::new(format!("lock-{i}")).ok())
            .collect();
        let durable = rng.u8(0..5) == 0;
        let slow = rng.bool().then(|| rng.usize(0..setup.clients));
        let victim = (rng.u8(0..3) == 0).then(|| rng.usize(0..setup.nodes));
        let mut world = Self {
            log: Log::new(keep_log),
            setup,
            weights,
            durable,
            victim,
            slow,
            quorum: Quorum::of(setup.nodes).expect("1 to 9 nodes"),
            kinds: names.iter().map(|_| Kind::draw(&mut rng)).collect(),
            names,
            nodes: Vec::new(),
            snapshots: vec![Data::default(); setup.nodes],
            joins: vec![None; setup.nodes],
            messages: Vec::new(),
            ops: Vec::new(),
            busy: vec![None; setup.clients],
            leases: vec![None; setup.clients],
            proposals: vec![Proposals::default(); setup.clients],
            tokens: (0..setup.names).map(|_| Tokens::default()).collect(),
            ids: 0,
            step: 0,
            wishes: BTreeMap::new(),
            counted: BTreeMap::new(),
            grants: 0,
            handed: 0,
            at_once: 0,
            rejoined: 0,
            rng,
        };
        for _ in 0..setup.nodes {
            let run_id = world.run_id();
            let node = Node::start(run_id, Data::default(), world.now());
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
            w.deliver, w.lose, w.double, w.expire, w.drop_out, w.crash, w.join, w.client,
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
                self.drop_out(node, name);
                Ok(())
            }
            Some(5) => {
                self.crash(self.victim.unwrap_or(node));
                Ok(())
            }
            Some(6) => self.join(self.victim.unwrap_or(node)),
            _ => self.client(),
        }
    }

    fn draw_message(&mut self) -> Option<usize> {
        let mut drawn = None;
        for _ in 0..4 {
            if self.messages.is_empty() {
                return None;
            }
            let at = self.rng.usize(0..self.messages.len());
            drawn = Some(at);
            let is_slow = match self.messages[at].sender {
                Sender::Op(op, _) => self.slow == Some(self.ops[op].client),
                Sender::Join(..) => false,
            };
            if !is_slow {
                break;
            }
        }
        drawn
    }

    /// The message does not arrive. Its sender may hear that the connection broke.
    fn lose(&mut self, at: usize) {
        self.log
            .line(format_args!("lose {:?}", self.messages[at].sender));
        let mut message = self.messages.swap_remove(at);
        if self.rng.bool()
            && let What::Ask(request) | What::Answer(request, _) = message.what
        {
            message.what = What::Answer(request, Err(Failure::Lost));
            self.messages.push(message);
        }
    }

    /// A request is carried out, or an answer arrives.
    fn deliver(&mut self, mut message: Message) -> Checked {
        let request = match message.what {
            What::Answer(ref request, answer) => {
                return self.answered(&message, request, answer);
            }
            What::Push(push) => {
                let Sender::Op(op, _) = message.sender else {
                    return Ok(());
                };
                let node = NodeId::new(message.node).expect("a node");
                self.log
                    .line(format_args!("op {op} hears {node}: {push:?}"));
                return self.pushed(op, node, push);
            }
            What::Ask(request) => request,
        };
        let now = match request {
            Request::Join(_) => self.now().saturating_add(LATER),
            Request::Lock { .. } => self.now(),
        };
        let node = &mut self.nodes[message.node];
        // A connection dies with the process at its other end.
        let answer = if node.run_id() == message.run_id {
            let (answer, pushes) = execute(node, message.run_id, &request, now)?;
            self.count(message.node, &request, &answer);
            self.push(message.node, pushes);
            Ok(answer)
        } else {
            Err(Failure::Lost)
        };
        self.log
            .line(format_args!("{} {request:?} {answer:?}", message.node));
        message.what = What::Answer(request, answer);
        self.messages.push(message);
        Ok(())
    }

    /// Notes when a counter was first had.
    fn count(&mut self, node: usize, request: &Request, answer: &Answer) {
        let counter = match answer {
            Answer::Acquire(AcquireReply::Granted { counter }) => *counter,
            Answer::Promote(PromoteReply::At(counter)) => *counter,
            _ => return,
        };
        if let Request::Lock { nonce, .. } = request
            && let Some(&op) = self.wishes.get(nonce)
        {
            let key = (self.ops[op].name, node, *nonce, counter);
            self.counted.entry(key).or_insert(self.step);
        }
    }

    fn push(&mut self, node: usize, pushes: Pushes) {
        for (_, nonce, push) in pushes {
            let Some(&op) = self.wishes.get(&nonce) else {
                continue;
            };
            if let Push::Handed { counter } = push {
                let key = (self.ops[op].name, node, nonce, counter);
                self.counted.entry(key).or_insert(self.step);
            }
            self.log.line(format_args!("{node} tells op {op} {push:?}"));
            self.messages.push(Message {
                sender: Sender::Op(op, 0),
                node,
                run_id: self.nodes[node].run_id(),
                what: What::Push(push),
            });
        }
    }

    fn answered(
        &mut self,
        message: &Message,
        request: &Request,
        answer: Result<Answer, Failure>,
    ) -> Checked {
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
            Sender::Op(op, attempt) => {
                let Request::Lock { command, .. } = *request else {
                    return Ok(());
                };
                self.op_answered((op, attempt), node, command, answer)
            }
        }
    }

    fn post(&mut self, sender: Sender, request: Request, to: NodeSet) {
        for node in to.iter() {
            self.messages.push(Message {
                sender,
                node: node.index(),
                run_id: self.nodes[node.index()].run_id(),
                what: What::Ask(request.clone()),
            });
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
