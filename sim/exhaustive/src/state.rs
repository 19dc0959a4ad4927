//! One state, and what happens in it.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use leasehold_core::quorum::{
    AcquireReply, Command, Data, Failure, Join, JoinCommand, JoinPlan, JoinReply, Node, NodeId,
    NodeSet, OwnerReply, PromoteReply, Push, Quorum, RunId,
};
use leasehold_core::{Instant, LockName, Nonce, StoreTime, Token, Ttl};

use crate::client::Client;

/// How many nodes there are.
pub(crate) const NODES: usize = 3;

/// The nodes' date when clients ask; none of it passes.
const NOW: u64 = 1_000_000_000;
/// The date that satisfies every quarantine, which no grant reaches.
const LATER: Duration = Duration::from_secs(40 * 24 * 60 * 60);

/// What travels one way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    Lock(Command),
    Join(JoinCommand),
}

/// And the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Acquire(AcquireReply),
    Promote(PromoteReply),
    Owner(OwnerReply),
    Noted,
    Join(JoinReply),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Back {
    Answer(Request, Result<Answer, Failure>),
    Push(Push),
}

/// One party's connection to one node: each way keeps its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire {
    pub(crate) there: VecDeque<(RunId, Request)>,
    pub(crate) back: VecDeque<Back>,
}

/// A state.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) nodes: Vec<Node>,
    pub(crate) joins: Vec<Option<Join>>,
    pub(crate) clients: Vec<Client>,
    /// By party (the clients, then the nodes' joins), then by node.
    pub(crate) wires: Vec<Vec<Wire>>,
    /// How much may still happen.
    pub(crate) losses: u8,
    pub(crate) expiries: u8,
    pub(crate) ticks: u8,
    /// How often a node forgot.
    pub(crate) forgotten: u8,
    pub(crate) rejoined: u8,
    pub(crate) promoted: bool,
    /// The tokens granted, in order.
    pub(crate) granted: Vec<Token>,
    pub(crate) broken: Option<String>,
}

/// Feeds text to a hasher.
struct Text<'a, H>(&'a mut H);

impl<H: Hasher> Write for Text<'_, H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, to: &mut H) {
        // Hashing cannot fail. The machines show all that they hold.
        _ = write!(Text(to), "{self:?}");
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

pub(crate) fn quorum() -> Quorum {
    Quorum::of(NODES).unwrap_or_else(|_| unreachable!("three nodes"))
}

pub(crate) fn lock() -> LockName {
    LockName::new("lock").unwrap_or_else(|_| unreachable!("a valid name"))
}

pub(crate) fn start() -> Instant {
    Instant::from_start(Duration::ZERO)
}

pub(crate) fn node_id(place: usize) -> NodeId {
    NodeId::new(place).unwrap_or_else(|| unreachable!("three nodes"))
}

pub(crate) const fn nonce(id: u8) -> Nonce {
    Nonce::from_bytes([id; 16])
}

const fn run_id(node: usize, start: u8) -> RunId {
    let mut bytes = [start; 20];
    bytes[0] = node as u8;
    RunId::from_bytes(bytes)
}

impl State {
    /// Three nodes that vote, and clients that have asked nothing yet.
    pub(crate) fn new(scope: crate::scope::Scope) -> Self {
        let node = |at| Node::start(run_id(at, 0), Data::default(), StoreTime::from_micros(0));
        let mut state = Self {
            nodes: (0..NODES).map(node).collect(),
            joins: vec![None; NODES],
            clients: vec![Client::default(); scope.clients],
            wires: vec![vec![Wire::default(); NODES]; scope.clients + NODES],
            losses: scope.losses,
            expiries: scope.expiries,
            ticks: scope.ticks,
            forgotten: 0,
            rejoined: 0,
            promoted: false,
            granted: Vec::new(),
            broken: None,
        };
        for at in 0..NODES {
            while !state.votes(at) {
                state.join(at);
                state.drain();
            }
        }
        state.rejoined = 0;
        state
    }

    /// Delivers whatever is under way, in order.
    fn drain(&mut self) {
        while let Some((party, node, there)) = self.under_way().first().copied() {
            self.deliver(party, node, there);
        }
    }

    /// What can be delivered next: by party, node, and whether it is on its way there.
    pub(crate) fn under_way(&self) -> Vec<(usize, usize, bool)> {
        let mut found = Vec::new();
        for (party, wires) in self.wires.iter().enumerate() {
            for (node, wire) in wires.iter().enumerate() {
                if !wire.there.is_empty() {
                    found.push((party, node, true));
                }
                if !wire.back.is_empty() {
                    found.push((party, node, false));
                }
            }
        }
        found
    }

    pub(crate) fn votes(&self, node: usize) -> bool {
        let said = self.nodes[node].inspect(self.date(false));
        matches!(said, JoinReply::Inspected(s) if s.joined == Some(s.run_id))
    }

    /// Each loss moves the nodes' dates on, as a new era demands.
    fn date(&self, later: bool) -> StoreTime {
        let now = NOW + u64::from(self.forgotten) * 1_000_000_000;
        let now = StoreTime::from_micros(now);
        match later {
            true => now.saturating_add(LATER),
            false => now,
        }
    }

    pub(crate) fn post(&mut self, party: usize, request: Request, to: NodeSet) {
        if let Request::Lock(Command::Promote { .. }) = request {
            self.promoted = true;
        }
        for node in to.iter() {
            let at = node.index();
            let run_id = self.nodes[at].run_id();
            self.wires[party][at].there.push_back((run_id, request));
        }
    }

    /// The oldest message of a connection arrives.
    pub(crate) fn deliver(&mut self, party: usize, node: usize, there: bool) {
        let wire = &mut self.wires[party][node];
        if there {
            let Some((run_id, request)) = wire.there.pop_front() else {
                return;
            };
            // A connection dies with the process at its other end.
            let answer = match self.nodes[node].run_id() == run_id {
                true => Ok(self.execute(party, node, run_id, request)),
                false => Err(Failure::Lost),
            };
            let back = Back::Answer(request, answer);
            self.wires[party][node].back.push_back(back);
            self.push(node);
            return;
        }
        let Some(back) = wire.back.pop_front() else {
            return;
        };
        match party.checked_sub(self.clients.len()) {
            None => self.client_hears(party, node_id(node), back),
            Some(joining) => self.join_hears(joining, node_id(node), back),
        }
    }

    fn execute(&mut self, party: usize, node: usize, run_id: RunId, request: Request) -> Answer {
        let (now, later) = (self.date(false), self.date(true));
        let (name, nonce) = (lock(), nonce(party as u8 + 1));
        let node = &mut self.nodes[node];
        match request {
            Request::Lock(command) => match command {
                Command::Acquire(ask) => {
                    Answer::Acquire(node.acquire(run_id, &name, nonce, ask, now))
                }
                Command::Promote { to } => {
                    Answer::Promote(node.promote(run_id, &name, nonce, to, now))
                }
                Command::Release => Answer::Owner(node.release(run_id, &name, nonce, now)),
                Command::Extend { slot, hold } => {
                    Answer::Owner(node.extend(&name, nonce, (slot, hold), now))
                }
                Command::Place { to } => {
                    node.place(&name, nonce, to, now);
                    Answer::Noted
                }
                Command::Yield {
                    to,
                    up_to,
                    place,
                    line,
                } => {
                    node.step_back(run_id, &name, nonce, (to, up_to, place, line), now);
                    Answer::Noted
                }
            },
            Request::Join(command) => Answer::Join(match command {
                JoinCommand::Inspect => node.inspect(later),
                JoinCommand::Notice { ticket } => node.notice(run_id, ticket, later),
                JoinCommand::Recall => node.recall(run_id, later),
                JoinCommand::Raise { to } => node.raise(run_id, to),
                JoinCommand::Install {
                    ticket,
                    floor,
                    max_ttl,
                } => node.install(run_id, ticket, floor, max_ttl, later),
                JoinCommand::Adopt { max_ttl } => node.adopt(run_id, max_ttl),
                JoinCommand::Keep { max_ttl } => node.keep(run_id, max_ttl),
            }),
        }
    }

    /// What a node tells waiters unasked goes over their connections.
    fn push(&mut self, node: usize) {
        for (_, nonce, push) in self.nodes[node].take_pushes() {
            let client = usize::from(nonce.as_bytes()[0]).saturating_sub(1);
            if let Some(wires) = self.wires.get_mut(client) {
                wires[node].back.push_back(Back::Push(push));
            }
        }
    }

    /// A node forgets everything, in place or by a restart.
    pub(crate) fn forget(&mut self, node: usize, restart: bool) {
        self.losses -= 1;
        self.forgotten += 1;
        match restart {
            false => self.nodes[node].flush(),
            true => {
                let id = run_id(node, self.forgotten);
                let now = self.date(false);
                self.nodes[node] = Node::start(id, Data::default(), now);
                self.joins[node] = None;
                let party = self.clients.len() + node;
                self.wires[party] = vec![Wire::default(); NODES];
            }
        }
    }

    /// Somebody looks after a node that does not vote.
    pub(crate) fn join(&mut self, node: usize) {
        let plan = JoinPlan {
            quorum: quorum(),
            node: node_id(node),
            max_ttl: Ttl::MAX.get(),
            durable: false,
            fresh: false,
            era: true,
            ticket: nonce(100 + self.forgotten),
        };
        match &mut self.joins[node] {
            Some(join) => {
                let step = join.on_tick(start().saturating_add(LATER));
                self.join_step(node, step.send);
            }
            None => {
                let (join, step) = Join::start(plan, Duration::from_secs(1));
                self.joins[node] = Some(join);
                self.join_step(node, step.send);
            }
        }
    }

    /// Whether a node needs looking after, and no step of its join is under way.
    pub(crate) fn may_join(&self, node: usize) -> bool {
        let wires = &self.wires[self.clients.len() + node];
        let idle = wires
            .iter()
            .all(|wire| wire.there.is_empty() && wire.back.is_empty());
        idle && !self.votes(node)
    }

    fn join_step(&mut self, node: usize, send: Option<(JoinCommand, NodeSet)>) {
        if let Some((command, to)) = send {
            self.post(self.clients.len() + node, Request::Join(command), to);
        }
        if self.joins[node].as_ref().is_some_and(Join::is_done) {
            self.joins[node] = None;
            self.rejoined += 1;
        }
    }

    fn join_hears(&mut self, joining: usize, from: NodeId, back: Back) {
        let (Some(join), Back::Answer(_, answer)) = (&mut self.joins[joining], back) else {
            return;
        };
        let reply = answer.and_then(|answer| match answer {
            Answer::Join(reply) => Ok(reply),
            _ => Err(Failure::Refused),
        });
        let step = join.on_reply(from, reply, start());
        self.join_step(joining, step.send);
    }
}
