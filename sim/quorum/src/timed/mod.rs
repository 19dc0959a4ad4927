//! Clocks within the margin, connections that keep the order and break, nodes
//! that crash, freeze, forget and rejoin, clients that pause and die.

mod care;
mod clients;
mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use leasehold_core::quorum::{
    DEFAULT_RETENTION, Data, Failure, Join, Node, NodeId, Proposals, Quorum, RunId,
};
use leasehold_core::{LockName, Nonce};

use crate::Run;
use crate::client::{Client, Heard, Op};
use crate::invariants::{exclusion::Leases, tokens::Tokens};
use crate::log::Log;
use crate::network::{Clock, Host, Network, Pending};
use crate::server::{Answer, Request, execute};

/// The longest hold in these worlds.
const MAX_TTL: Duration = Duration::from_millis(300);
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
            clients: 3,
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
        at_once: world.at_once,
        rejoined: world.rejoined,
        lines,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Op(usize),
    Join(u64),
}

#[derive(Debug)]
enum Event {
    /// A request reaches its node. If its connection broke meanwhile, it has no
    /// sender any more and gets no answer.
    Arrive(u64, Option<Pending<Sender>>),
    Answer(u64, Result<Answer, Failure>),
    Failed(Pending<Sender>, Failure),
    Wake(usize),
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
    clients: Vec<Client>,
    ops: Vec<Op>,
    tokens: Vec<Tokens>,
    leases: Vec<Leases>,
    /// When each lock was last granted or extended.
    last_held: Vec<u64>,
    /// Grants that something outside the protocol may have brought back.
    undead: BTreeSet<Nonce>,
    restored: bool,
    /// Nodes keep all they have answered across a restart, and are declared to.
    durable: bool,
    trouble: u64,
    ids: u64,
    grants: u64,
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
                lease: None,
                proposals: Proposals::new(8),
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
            clients,
            ops: Vec::new(),
            tokens: (0..setup.names).map(|_| Tokens::default()).collect(),
            leases: (0..setup.names).map(|_| Leases::default()).collect(),
            last_held: vec![0; setup.names],
            undead: BTreeSet::new(),
            restored: false,
            durable: rng.u8(0..5) == 0,
            trouble,
            ids: 0,
            grants: 0,
            at_once: 0,
            rejoined: 0,
            rng,
        };
        for node in 0..setup.nodes {
            let run_id = world.run_id();
            let clock = Clock::of_node(&mut world.rng);
            world.hosts.push(Host {
                // Long up: nothing can be under way that it forgot.
                node: Node::start(run_id, Data::default(), DEFAULT_RETENTION, clock.date(0)),
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
        let peace = start + self.setup.trouble;
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
        let idle = self.last_held.iter().position(|&at| at < end - 1_500_000);
        match idle {
            Some(name) => Err(format!("C6: lock {name} could not be had again")),
            None => Ok(()),
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
                host.node = Node::start(run_id, data, DEFAULT_RETENTION, date);
                host.up = true;
                self.log.line(format_args!("{} start {node}", self.now));
                Ok(())
            }
        }
    }

    /// A paused client and a frozen node do nothing; it waits for them.
    fn held_up(&self, event: &Event) -> Option<u64> {
        let client_of = |sender: &Sender| match sender {
            Sender::Op(op) => Some(self.ops[*op].client),
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
            Event::Wake(op) => Some(self.ops[*op].client),
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
        let answer = execute(&mut host.node, pending.run_id, &pending.request, date)?;
        self.log.line(format_args!(
            "{} node {} {:?} {answer:?}",
            self.now, pending.node, pending.request
        ));
        if answered {
            let (party, node) = (pending.party, pending.node);
            let at = self.network.answer(&mut self.rng, self.now, party, node);
            self.at(at - self.now, Event::Answer(number, Ok(answer)));
        }
        Ok(())
    }

    fn answered(&mut self, pending: Pending<Sender>, answer: Result<Answer, Failure>) -> Checked {
        let node = NodeId::new(pending.node).expect("a node");
        match (pending.sender, pending.request) {
            (Sender::Op(op), Request::Lock { command, .. }) => {
                let now = self.clients[self.ops[op].client].clock.instant(self.now);
                self.drive(op, Heard::Answer(node, command, answer), now)
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
