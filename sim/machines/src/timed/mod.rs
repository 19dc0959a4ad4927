//! Clocks within the margin or far beyond it, connections that keep the order and
//! break or go mute, nodes that crash, freeze, forget and rejoin, clients that pause
//! and die.

mod care;
mod clients;
mod faults;
mod play;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use leasehold_core::quorum::{
    AcquireReply, Command, Data, Failure, Join, Mutation, Node, NodeId, PromoteReply, Proposals,
    Push, Quorum, RunId, made,
};
use leasehold_core::{LockName, Nonce, Token};

use crate::client::{Client, Heard, Op};
use crate::faults::Fault;
use crate::invariants::fencing::{Fenced, Writer};
use crate::invariants::liveness::Served;
use crate::invariants::{exclusion::Leases, tokens::Tokens};
use crate::log::Log;
use crate::network::{Clock, Host, Network, Pending};
use crate::server::{Answer, Request, execute};
use crate::wish::Kind;
use crate::{Run, Script, Tally};

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
    /// How long they then go right, at most: it ends when everybody was served.
    pub peace: u64,
    /// What clocks do.
    pub clocks: Clocks,
}

/// What clocks do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// They run at rates within the margin.
    Within,
    /// They run at a third or at thrice the rate, and jump. C3 need not hold; C1 must.
    Beyond,
}

impl Setup {
    /// A small world, in which everything happens soon.
    #[must_use]
    pub const fn of(nodes: usize) -> Self {
        Self {
            nodes,
            clients: 4,
            names: 1,
            trouble: 600_000,
            peace: 9_000_000,
            clocks: Clocks::Within,
        }
    }
}

/// Plays one run. Its choices are its faults, and what each client sets about.
#[must_use]
pub fn run(setup: Setup, script: &Script) -> Run {
    let mut world = World::new(setup, script);
    let broken = world.play().err();
    let (digest, lines) = world.log.finish();
    let mut tally = world.tally;
    tally.longest_wait = world.served.longest;
    tally.faults.count_many(Fault::Delay, world.network.delayed);
    Run {
        broken,
        digest,
        lines,
        choices: world.choices,
        tally,
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
    /// A client uses its lease.
    Use(usize, Nonce),
    /// A write reaches the resource.
    Write(usize, Writer),
    /// A mute connection is given up.
    Unmute(usize, usize),
}

struct World<'a> {
    script: &'a Script,
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
    resources: Vec<Fenced>,
    /// Who waits, by nonce.
    wishes: BTreeMap<Nonce, usize>,
    /// When a node came to have a counter for a grant.
    counted: BTreeMap<(usize, usize, Nonce, Token), u64>,
    /// When things stop going wrong.
    peace: u64,
    /// Who has had a lock since.
    served: Served,
    /// Grants that something outside the protocol may have brought back.
    undead: BTreeSet<Nonce>,
    restored: bool,
    /// Nodes keep all they have answered across a restart, and are declared to.
    durable: bool,
    trouble: u64,
    ids: u64,
    /// How many faults there were, and what each client set about.
    faults: u32,
    acts: Vec<u32>,
    choices: Vec<u32>,
    tally: Tally,
}

type Checked = Result<(), String>;

impl<'a> World<'a> {
    fn new(setup: Setup, script: &'a Script) -> Self {
        let mut rng = script.bits(u32::MAX);
        let slowness = [500, 3_000, 15_000][rng.usize(0..3)];
        let trouble = [8_000, 30_000, 90_000][rng.usize(0..3)];
        let clients = (0..setup.clients)
            .map(|_| Client {
                clock: Clock::new(&mut rng),
                skew: rng.i64(-150_000..150_000),
                paused_until: 0,
                op: None,
                waits_since: None,
                lease: None,
                proposals: Proposals::default(),
            })
            .collect();
        let mut world = Self {
            quorum: Quorum::of(setup.nodes).expect("1 to 9 nodes"),
            log: Log::new(script.keep),
            script,
            setup,
            now: 10_000_000,
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
            resources: vec![Fenced::default(); setup.names],
            wishes: BTreeMap::new(),
            counted: BTreeMap::new(),
            peace: u64::MAX,
            served: Served::none_of(setup.clients),
            undead: BTreeSet::new(),
            restored: false,
            durable: rng.u8(0..5) == 0,
            trouble,
            ids: 0,
            faults: 0,
            acts: vec![0; setup.clients],
            choices: Vec::new(),
            tally: Tally::default(),
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

    fn arrive(&mut self, number: u64, cut: Option<Pending<Sender>>) -> Checked {
        let answered = cut.is_none();
        let Some(pending) = cut.or_else(|| self.network.pending.get(&number).cloned()) else {
            return Ok(());
        };
        if answered && self.network.is_mute(pending.party, pending.node) {
            return Ok(());
        }
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
                let heard = Heard::Answer(node, (command, attempt, pending.sent), answer);
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

    fn post(&mut self, sender: Sender, party: usize, node: usize, mut request: Request) {
        if made(Mutation::WallClock)
            && let Request::Lock {
                command: Command::Acquire(ask),
                ..
            } = &mut request
        {
            let skew = self.clients[party].skew;
            let hold = (ask.hold.as_micros() as u64).saturating_add_signed(skew);
            ask.hold = Duration::from_micros(hold.max(1_000)).min(MAX_TTL);
        }
        let clock = self.clients.get(party).map(|client| client.clock);
        let sent = clock.unwrap_or(Clock::right()).instant(self.now);
        let pending = Pending {
            sender,
            party,
            node,
            sent,
            run_id: self.hosts[node].node.run_id(),
            request,
        };
        if self.hosts[node].up {
            let (number, arrives) = self.network.send(&mut self.rng, self.now, pending);
            if let Some(arrives) = arrives {
                self.at(arrives - self.now, Event::Arrive(number, None));
            }
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
