//! Clocks within the margin, connections that keep the order and break, nodes
//! that crash, freeze, forget and rejoin, clients that pause and die.

mod care;
mod clients;
mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use leasehold_core::quorum::{
    AcquireReply, Data, Failure, Join, Node, NodeId, PromoteReply, Proposals, Push, Quorum, RunId,
};
use leasehold_core::{LockName, Nonce, Token};

use crate::Run;
use crate::client::{Client, Heard, Op};
use crate::invariants::{exclusion::Leases, tokens::Tokens};
use crate::log::Log;
use crate::network::{Clock, Host, Network, Pending};
use crate::server::{Answer, Request, execute};
use crate::wish::Kind;

/// The longest hold in these worlds.
const MAX_TTL: Duration = Duration::from_millis(300);
/// The longest that anybody may wait for a lock when nothing goes wrong any more,
/// in microseconds.
const PATIENCE: u64 = 4_000_000;
/// How often somebody looks after each node, in microseconds.
const CARE_EVERY: u64 = 60_000;

/// How large a world, and how long a run.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Nodes.
    pub nodes: usize,
    /// Clients.
    pub clients: usize,
    /// Locks.
    pub names: usize,
    /// How long things go wrong, in microseconds.
    pub trouble: u64,
    /// How long they then go right.
    pub peace: u64,
}

impl Setup {
    /// A small world, in which everything happens soon.
    #[must_use]
    pub const fn of(nodes: usize) -> Self {
        Self {
            nodes,
            clients: 4,
            names: 1,
            trouble: 3_000_000,
            peace: 4_000_000,
        }
    }
}

/// Plays one run.
#[must_use]
pub fn run(setup: Setup, seed: u64, keep_log: bool) -> Run {
    let mut world = World::new(setup, seed, keep_log);
    let broken = world.play().err();
    let (digest, lines) = world.log.finish();
    Run {
        broken,
        digest,
        grants: world.grants,
        handed: world.handed,
        longest_wait: world.longest_wait,
        at_once: world.at_once,
        rejoined: world.rejoined,
        lines,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// An operation, and which attempt of it.
    Op(usize, u32),
    Join(u64),
}

#[derive(Debug)]
enum Event {
    /// A request reaches its node. If its connection broke meanwhile, it has no
    /// sender any more and gets no answer.
    Arrive(u64, Option<Pending<Sender>>),
    Answer(u64, Result<Answer, Failure>),
    Failed(Pending<Sender>, Failure),
    /// What an operation is told unasked, over this connection.
    Push(usize, usize, Push, u64),
    /// A client hears that its connection to a node broke.
    Lost(usize, usize),
    Wake(usize),
    Again(usize),
    Leave(usize),
    Act(usize),
    Care(usize),
    WakeJoin(u64),
    Fault,
    Start(usize, Data),
}

struct World {
    rng: Rng,
    log: Log,
    setup: Setup,
    quorum: Quorum,
    now: u64,
    seq: u64,
    events: BTreeMap<(u64, u64), Event>,
    network: Network<Sender>,
    hosts: Vec<Host>,
    snapshots: Vec<Data>,
    joins: BTreeMap<u64, (usize, Join)>,
    names: Vec<LockName>,
    kinds: Vec<Kind>,
    clients: Vec<Client>,
    ops: Vec<Op>,
    tokens: Vec<Tokens>,
    leases: Vec<Leases>,
    /// Who waits, by nonce.
    wishes: BTreeMap<Nonce, usize>,
    /// When a node came to have a counter for a grant.
    counted: BTreeMap<(usize, usize, Nonce, Token), u64>,
    /// When things stop going wrong.
    peace: u64,
    /// The longest that a client has waited since.
    longest_wait: u64,
    /// Grants that something outside the protocol may have brought back.
    undead: BTreeSet<Nonce>,
    restored: bool,
    /// Nodes keep all they have answered across a restart, and are declared to.
    durable: bool,
    trouble: u64,
    ids: u64,
    grants: u64,
    handed: u64,
    at_once: u64,
    rejoined: u64,
}

type Checked = Result<(), String>;

impl World {
    fn new(setup: Setup, seed: u64, keep_log: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let slowness = [500, 3_000, 15_000][rng.usize(0..3)];
        let trouble = [20_000, 100_000, 400_000][rng.usize(0..3)];
        let clients = (0..setup.clients)
            .map(|_| Client {
                clock: Clock::new(&mut rng),
                paused_until: 0,
                op: None,
                waits_since: None,
                lease: None,
                proposals: Proposals::default(),
            })
            .collect();
        let mut world = Self {
            quorum: Quorum::of(setup.nodes).expect("1 to 9 nodes"),
            log: Log::new(keep_log),
            setup,
            now: 1_000_000,
            seq: 0,
            events: BTreeMap::new(),
            network: Network::new(slowness),
            hosts: Vec::new(),
            snapshots: vec![Data::default(); setup.nodes],
            joins: BTreeMap::new(),
            names: (0..setup.names)
                .filter_map(|i| LockName::new(format!("lock-{i}")).ok())
                .collect(),
            kinds: (0..setup.names).map(|_| Kind::draw(&mut rng)).collect(),
            clients,
            ops: Vec::new(),
            tokens: (0..setup.names).map(|_| Tokens::default()).collect(),
            leases: (0..setup.names).map(|_| Leases::default()).collect(),
            wishes: BTreeMap::new(),
            counted: BTreeMap::new(),
            peace: u64::MAX,
            longest_wait: 0,
            undead: BTreeSet::new(),
            restored: false,
            durable: rng.u8(0..5) == 0,
            trouble,
            ids: 0,
            grants: 0,
            handed: 0,
            at_once: 0,
            rejoined: 0,
            rng,
        };
        for node in 0..setup.nodes {
            let run_id = world.run_id();
            let clock = Clock::of_node(&mut world.rng);
            world.hosts.push(Host {
                // Long up: nothing can be under way that it forgot.
                node: Node::start(run_id, Data::default(), clock.date(0)),
                clock,
                up: true,
                frozen_until: 0,
            });
            world.at(0, Event::Care(node));
        }
        world
    }

    fn play(&mut self) -> Checked {
        let start = self.now + 2_000_000;
        self.peace = start + self.setup.trouble;
        let peace = self.peace;
        let end = peace + self.setup.peace;
        for client in 0..self.setup.clients {
            let after = start - self.now + self.rng.u64(0..20_000);
            self.at(after, Event::Act(client));
        }
        self.at(start - self.now, Event::Fault);
        while let Some(((at, _), event)) = self.events.pop_first() {
            if at > end {
                break;
            }
            self.now = at;
            if matches!(event, Event::Fault) && at > peace {
                continue;
            }
            self.handle(event)?;
        }
        let waiting = self.clients.iter().filter_map(|client| client.waits_since);
        let longest = waiting.map(|since| end - since.max(peace)).max();
        self.longest_wait = self.longest_wait.max(longest.unwrap_or_default());
        match self.longest_wait > PATIENCE {
            true => Err(format!(
                "C6: a client waited {} us in peace",
                self.longest_wait
            )),
            false => Ok(()),
        }
    }

    fn handle(&mut self, event: Event) -> Checked {
        if let Some(until) = self.held_up(&event) {
            let after = until - self.now;
            self.at(after, event);
            return Ok(());
        }
        match event {
            Event::Arrive(number, cut) => self.arrive(number, cut),
            Event::Answer(number, answer) => match self.network.pending.remove(&number) {
                Some(pending) => self.answered(pending, answer),
                None => Ok(()),
            },
            Event::Failed(pending, failure) => self.answered(pending, Err(failure)),
            Event::Wake(op) => {
                let now = self.clients[self.ops[op].client].clock.instant(self.now);
                self.drive(op, Heard::Tick, now)
            }
            Event::Push(op, node, push, connection) => {
                let client = self.ops[op].client;
                if self.network.connection(client, node) != Some(connection) {
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
            Event::Act(client) => Some(*client),
            _ => None,
        };
        let until = self.clients[client?].paused_until;
        (until > self.now).then_some(until)
    }

    fn arrive(&mut self, number: u64, cut: Option<Pending<Sender>>) -> Checked {
        let answered = cut.is_none();
        let Some(pending) = cut.or_else(|| self.network.pending.get(&number).cloned()) else {
            return Ok(());
        };
        let host = &mut self.hosts[pending.node];
        if !host.up || host.node.run_id() != pending.run_id {
            return Ok(());
        }
        let date = host.clock.date(self.now);
        let (answer, pushes) = execute(&mut host.node, pending.run_id, &pending.request, date)?;
        self.log.line(format_args!(
            "{} node {} {:?} {answer:?}",
            self.now, pending.node, pending.request
        ));
        self.count(pending.node, &pending.request, &answer);
        self.push(pending.node, pushes);
        if answered {
            let (party, node) = (pending.party, pending.node);
            let at = self.network.answer(&mut self.rng, self.now, party, node);
            self.at(at - self.now, Event::Answer(number, Ok(answer)));
        }
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
            self.counted.entry(key).or_insert(self.now);
        }
    }

    fn answered(&mut self, pending: Pending<Sender>, answer: Result<Answer, Failure>) -> Checked {
        let node = NodeId::new(pending.node).expect("a node");
        match (pending.sender, pending.request) {
            (Sender::Op(op, attempt), Request::Lock { command, .. }) => {
                let clock = self.clients[self.ops[op].client].clock;
                let sent = clock.instant(pending.sent);
                let heard = Heard::Answer(node, (command, attempt, sent), answer);
                self.drive(op, heard, clock.instant(self.now))
            }
            (Sender::Join(id), _) => {
                let reply = answer.and_then(|answer| match answer {
                    Answer::Join(reply) => Ok(reply),
                    _ => Err(Failure::Refused),
                });
                let now = Clock::right().instant(self.now);
                self.drive_join(id, |join| join.on_reply(node, reply, now));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn post(&mut self, sender: Sender, party: usize, node: usize, request: Request) {
        let pending = Pending {
            sender,
            party,
            node,
            sent: self.now,
            run_id: self.hosts[node].node.run_id(),
            request,
        };
        if self.hosts[node].up {
            let (number, arrives) = self.network.send(&mut self.rng, self.now, pending);
            self.at(arrives - self.now, Event::Arrive(number, None));
        } else {
            self.at(0, Event::Failed(pending, Failure::NotSent));
        }
    }

    fn at(&mut self, after: u64, event: Event) {
        self.seq += 1;
        self.events.insert((self.now + after, self.seq), event);
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
