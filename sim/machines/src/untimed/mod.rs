//! No clock at all: the adversary of C1.
//!
//! Events are drawn from a bag: deliver any message, lose it, double it; let any
//! key or place run out; crash, flush or set back any node; let any client ask,
//! wait, ask again, give up, go away, extend, release. No client's clock ever moves, so each
//! believes in whatever it was granted for ever. Only a node's own date moves, and
//! only forwards, as a new era demands.

mod clients;
mod messages;
mod nodes;

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use leasehold_core::quorum::{
    Data, Extend, Failure, Join, JoinCommand, Node, Proposals, Push, Quorum, Release, RunId,
};
use leasehold_core::{Instant, LockName, Nonce, StoreTime, Token};

use crate::faults::Fault;
use crate::invariants::fencing::{Fenced, Writer};
use crate::invariants::tokens::Tokens;
use crate::log::Log;
use crate::server::{Answer, Request};
use crate::wish::{Kind, Wish};
use crate::{Run, Script, Tally};

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
    pub events: u32,
    /// What goes wrong most.
    pub mix: Mix,
}

/// What goes wrong most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Everything.
    Usual,
    /// One node forgets again and again, joins come late or twice, and clients are
    /// new and know no tokens. For mistakes that take two losses to show.
    Amnesia,
    /// One node goes back to older data again and again, and everybody waits in line.
    Stale,
}

impl Setup {
    /// A small world, in which everything happens soon.
    #[must_use]
    pub const fn of(nodes: usize, mix: Mix) -> Self {
        Self {
            nodes,
            clients: match mix {
                Mix::Usual => 4,
                Mix::Amnesia => 2,
                Mix::Stale => 3,
            },
            names: 1,
            events: 300,
            mix,
        }
    }
}

/// Plays one run. Its choices are its events, by number.
#[must_use]
pub fn run(setup: Setup, script: &Script) -> Run {
    let mut world = World::new(setup, script);
    let mut broken = world.found().err();
    let mut choices = Vec::new();
    for event in (0..setup.events).filter(|&event| script.has(event)) {
        if broken.is_some() {
            break;
        }
        choices.push(event);
        world.rng = script.bits(event);
        broken = world.event().err();
    }
    let (digest, lines) = world.log.finish();
    Run {
        broken,
        digest,
        lines,
        choices,
        tally: world.tally,
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

impl Message {
    /// Whether it is the last step of a join.
    fn is_install(&self) -> bool {
        matches!(
            self.what,
            What::Ask(Request::Join(JoinCommand::Install { .. }))
        )
    }
}

#[derive(Clone, Debug)]
enum What {
    Ask(Request),
    Answer(Request, Result<Answer, Failure>),
    /// What a waiter is told unasked.
    Push(Push),
    /// A write to the resource.
    Write(Writer),
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
    /// As the resource knows it, once it has a lease.
    writer: Option<Writer>,
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
    /// The last step of every join does.
    slow_joins: bool,
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
    resources: Vec<Fenced>,
    ids: u64,
    step: u64,
    /// Who waits, by nonce.
    wishes: BTreeMap<Nonce, usize>,
    /// When a node came to have a counter for a grant.
    counted: BTreeMap<(usize, usize, Nonce, Token), u64>,
    tally: Tally,
}

type Checked = Result<(), String>;

impl World {
    fn new(setup: Setup, script: &Script) -> Self {
        let mut rng = script.bits(u32::MAX);
        let mut weights = Weights {
            deliver: 150,
            lose: [0, 1, 4][rng.usize(0..3)],
            double: [0, 0, 2][rng.usize(0..3)],
            expire: [1, 4, 10][rng.usize(0..3)],
            drop_out: [0, 1, 4][rng.usize(0..3)],
            crash: [0, 1, 2, 4][rng.usize(0..4)],
            join: 20,
            client: 16,
        };
        let mut slow = rng.bool().then(|| rng.usize(0..setup.clients));
        let mut slow_joins = false;
        let mut victim = (rng.u8(0..3) == 0).then(|| rng.usize(0..setup.nodes));
        let mut durable = rng.u8(0..5) == 0;
        if setup.mix != Mix::Usual {
            durable = false;
            victim.get_or_insert(rng.usize(0..setup.nodes));
            weights.crash = 6;
            slow.get_or_insert(rng.usize(0..setup.clients));
        }
        if setup.mix == Mix::Amnesia {
            weights.join = 40;
            weights.double = [0, 6][rng.usize(0..2)];
            slow_joins = rng.bool();
        }
        let names: Vec<_> = (0..setup.names)
            .filter_map(|i| LockName::new(format!("lock-{i}")).ok())
            .collect();
        let kind = |_| match setup.mix {
            Mix::Usual => Kind::draw(&mut rng),
            Mix::Amnesia | Mix::Stale => Kind::Exclusive,
        };
        let mut world = Self {
            kinds: names.iter().map(kind).collect(),
            log: Log::new(script.keep),
            setup,
            weights,
            durable,
            victim,
            slow,
            slow_joins,
            quorum: Quorum::of(setup.nodes).expect("1 to 9 nodes"),
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
            resources: vec![Fenced::default(); setup.names],
            ids: 0,
            step: 0,
            wishes: BTreeMap::new(),
            counted: BTreeMap::new(),
            tally: Tally::default(),
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
        self.tally = Tally::default();
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
                    if at > 0 {
                        self.tally.faults.count(Fault::Reorder);
                    }
                    let message = self.messages.remove(at);
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
                    self.tally.faults.count(Fault::Duplicate);
                    let copy = self.messages[at].clone();
                    self.log.line(format_args!("double {:?}", copy.sender));
                    self.messages.push(copy);
                }
                Ok(())
            }
            Some(3) => {
                self.log.line(format_args!("expire {node} {name}"));
                self.tally.faults.count(Fault::Expiry);
                self.nodes[node].expire_key(&self.names[name]);
                Ok(())
            }
            Some(4) => {
                self.drop_out(node, name);
                Ok(())
            }
            Some(5) => {
                let node = self.victim.unwrap_or(node);
                // To forget once more, it has to know something.
                if self.setup.mix == Mix::Amnesia && !self.votes(node) {
                    return self.join(node);
                }
                self.crash(node);
                Ok(())
            }
            Some(6) => self.join(self.victim.unwrap_or(node)),
            _ => self.client(),
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
