//! The record lease, driven by the shipped driver, on a store whose swaps conflict,
//! get lost, are carried out late, or are not known to have been.
//!
//! Each operation is the future of
//! [`RegisterEngine`](leasehold_core::record::RegisterEngine), polled by hand when
//! the store has answered it. The store is one record with a version and a clock.

mod clients;
mod store;

use std::collections::BTreeMap;
use std::task::Poll;

use fastrand::Rng;
use leasehold_core::record::{Reading, Record, Swap};
use leasehold_core::{Error, LockName, Nonce, StoreTime, Token};

use crate::faults::Fault;
use crate::invariants::exclusion::Leases;
use crate::invariants::fencing::{Fenced, Writer};
use crate::invariants::liveness::Served;
use crate::invariants::tokens::Tokens;
use crate::invariants::{outcomes, ownership};
use crate::log::Log;
use crate::network::Clock;
use crate::timed::Clocks;
use crate::wish::Kind;
use crate::{Run, Script, Tally};
use clients::{Client, Op};
use store::{Answer, Ask, SharedDesk, at, made, refused, unknown};

pub use store::{Flaw, flaw};

/// How large a world, and how long a run.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Clients.
    pub clients: usize,
    /// How long things go wrong, in microseconds.
    pub trouble: u64,
    /// How long they then go right, at most.
    pub peace: u64,
    /// What clocks do.
    pub clocks: Clocks,
}

impl Setup {
    /// A small world, in which everything happens soon.
    #[must_use]
    pub const fn of(clocks: Clocks) -> Self {
        Self {
            clients: 3,
            trouble: 600_000,
            peace: 9_000_000,
            clocks,
        }
    }
}

/// Plays one run. Its choices are what becomes of each call, and what each client
/// sets about.
#[must_use]
pub fn run(setup: Setup, script: &Script) -> Run {
    let mut world = World::new(setup, script);
    let broken = world.play().err();
    let (digest, lines) = world.log.finish();
    let mut tally = world.tally;
    tally.longest_wait = world.served.longest;
    Run {
        broken,
        digest,
        lines,
        choices: world.choices,
        tally,
    }
}

#[derive(Debug)]
enum Event {
    /// A call reaches the store, or does so late.
    Arrive(u64),
    Late(u64),
    /// Its answer reaches the client.
    Answer(u64, Answer),
    /// An operation is to be repeated.
    Again(usize),
    Act(usize),
    Leave(usize),
    Use(usize, Nonce),
    Write(Writer),
    Clock,
}

struct World<'a> {
    script: &'a Script,
    setup: Setup,
    rng: Rng,
    log: Log,
    now: u64,
    seq: u64,
    events: BTreeMap<(u64, u64), Event>,
    desk: SharedDesk,
    name: LockName,
    kind: Kind,
    record: Record,
    version: u64,
    floor: Token,
    clock: Clock,
    clients: Vec<Client>,
    ops: Vec<Op>,
    /// When each token was written.
    granted: BTreeMap<Token, u64>,
    /// Requests that were told that they came to nothing.
    refused: BTreeMap<Nonce, String>,
    tokens: Tokens,
    leases: Leases,
    resource: Fenced,
    peace: u64,
    served: Served,
    slowness: u64,
    /// How many calls of 100 go wrong.
    trouble: u8,
    ids: u64,
    choices: Vec<u32>,
    tally: Tally,
}

type Checked = Result<(), String>;

/// Where the numbers of clients' choices begin; below are those of calls.
const ACTS: u32 = 1_000_000;

impl<'a> World<'a> {
    fn new(setup: Setup, script: &'a Script) -> Self {
        let mut rng = script.bits(u32::MAX);
        let desk = SharedDesk::default();
        let mut world = Self {
            script,
            setup,
            log: Log::new(script.keep),
            now: 1_000_000,
            seq: 0,
            events: BTreeMap::new(),
            name: LockName::new("lock").unwrap_or_else(|_| unreachable!("a valid name")),
            kind: Kind::draw(&mut rng),
            record: Record::new(),
            version: 0,
            floor: Token::NONE,
            clock: Clock::of_node(&mut rng),
            clients: Vec::new(),
            ops: Vec::new(),
            granted: BTreeMap::new(),
            refused: BTreeMap::new(),
            tokens: Tokens::default(),
            leases: Leases::default(),
            resource: Fenced::default(),
            peace: 0,
            served: Served::none_of(setup.clients),
            slowness: [300, 2_000, 10_000][rng.usize(0..3)],
            trouble: [3, 10, 25][rng.usize(0..3)],
            ids: 0,
            choices: Vec::new(),
            tally: Tally::default(),
            desk,
            rng,
        };
        for _ in 0..setup.clients {
            let client = world.client();
            world.clients.push(client);
        }
        world
    }

    fn play(&mut self) -> Checked {
        self.peace = self.now + self.setup.trouble;
        let beyond = self.setup.clocks == Clocks::Beyond;
        let end = self.peace + if beyond { 0 } else { self.setup.peace };
        for client in 0..self.setup.clients {
            let after = self.rng.u64(0..20_000);
            self.at(after, Event::Act(client));
        }
        if beyond {
            self.at(1, Event::Clock);
        }
        while let Some(((at, _), event)) = self.events.pop_first() {
            if at > end || self.served.all() {
                break;
            }
            self.now = at;
            self.handle(event)?;
        }
        if beyond {
            return Ok(());
        }
        let (until, peace) = (if self.served.all() { self.now } else { end }, self.peace);
        let waiting = self.clients.iter().filter_map(|client| client.waits_since);
        self.served
            .judge(waiting.map(|since| until.saturating_sub(since.max(peace))))
    }

    fn handle(&mut self, event: Event) -> Checked {
        if let Some(client) = self.whose(&event) {
            let until = self.clients[client].paused_until;
            if until > self.now {
                self.at(until - self.now, event);
                return Ok(());
            }
        }
        match event {
            Event::Arrive(call) => self.arrive(call),
            Event::Late(call) => {
                // One whose client went away is carried out in order or never.
                let (heard, ask) = {
                    let mut desk = at(&self.desk);
                    (desk.heard.contains(&call), desk.calls.remove(&call))
                };
                match ask.filter(|_| heard) {
                    Some(ask) => self.carry_out(ask.op, ask.ask, call).map(|_| ()),
                    None => Ok(()),
                }
            }
            Event::Answer(call, answer) => {
                {
                    let mut desk = at(&self.desk);
                    if desk.dropped.contains(&call) {
                        return Ok(());
                    }
                    desk.answers.insert(call, answer);
                }
                self.poll_waiting(call)
            }
            Event::Again(op) => self.again(op),
            Event::Act(client) => self.act(client),
            Event::Leave(op) => self.leave(op),
            Event::Use(client, nonce) => {
                self.uses(client, nonce);
                Ok(())
            }
            Event::Write(writer) => self.written(writer),
            Event::Clock => {
                self.bad_clock();
                Ok(())
            }
        }
    }

    /// Whose event it is: a paused client does nothing.
    fn whose(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Answer(call, _) => {
                let op = self.ops.iter().rposition(|op| op.call == Some(*call));
                op.map(|op| self.ops[op].client)
            }
            Event::Again(op) | Event::Leave(op) => Some(self.ops[*op].client),
            Event::Act(client) | Event::Use(client, _) => Some(*client),
            _ => None,
        }
    }

    /// A call reaches the store, and something becomes of it.
    fn arrive(&mut self, call: u64) -> Checked {
        let Some(asked) = at(&self.desk).calls.get(&call).cloned() else {
            return Ok(());
        };
        let mut bits = self.script.bits(call as u32);
        let bad = self.now < self.peace && bits.u8(0..100) < self.trouble;
        let kind = bits.u8(0..4);
        let bad = bad && self.chooses(call as u32);
        let swap = matches!(asked.ask, Ask::Swap { .. });
        let answer = match kind {
            0 if bad => {
                self.tally.faults.count(Fault::Refused);
                match swap {
                    true => Answer::Swap(Err(refused("out of reach"))),
                    false => Answer::Read(Err(refused("out of reach"))),
                }
            }
            _ if bad && swap => {
                self.tally.faults.count(Fault::Unknown);
                match kind {
                    1 => self.tally.faults.count(Fault::Loss),
                    2 => _ = self.carry_out(asked.op, asked.ask, call)?,
                    _ => {
                        let after = bits.u64(1_000..200_000);
                        self.tally.faults.count(Fault::Delay);
                        self.at(after, Event::Late(call));
                    }
                }
                Answer::Swap(Err(unknown("no answer")))
            }
            _ => self.carry_out(asked.op, asked.ask, call)?,
        };
        if !(bad && swap && kind == 3) {
            at(&self.desk).calls.remove(&call);
        }
        let after = self.delay();
        self.at(after, Event::Answer(call, answer));
        Ok(())
    }

    fn carry_out(&mut self, op: usize, ask: Ask, call: u64) -> Result<Answer, String> {
        let date = self.clock.date(self.now);
        let (expected, record) = match ask {
            Ask::Read => return Ok(Answer::Read(Ok(self.reading(op, date)))),
            Ask::Swap { expected, record } => (expected, record),
        };
        if expected != self.version && !made(Flaw::SwapWithoutVersion) {
            self.tally.faults.count(Fault::Conflict);
            return Ok(Answer::Swap(Ok(Swap::Conflict)));
        }
        let nonce = self.ops[op].nonce;
        let is_dead = |session| at(&self.desk).dead.contains(&session);
        // A flawed date is not the store's; what it ends is then for C3 to notice.
        if self.setup.clocks == Clocks::Within && !made(Flaw::AgeFromWallClock) {
            ownership::of_swap(nonce, &self.record, &record, date, &is_dead)?;
        }
        for grant in &record.grants {
            self.granted.entry(grant.token).or_insert(self.now);
            outcomes::not_applied(grant.nonce, self.refused.get(&grant.nonce))?;
        }
        for waiter in &record.waiters {
            outcomes::not_applied(waiter.nonce, self.refused.get(&waiter.nonce))?;
        }
        self.log
            .line(format_args!("{} call {call} wrote {record:?}", self.now));
        self.version += 1;
        self.record = match made(Flaw::TokenReset) && record.is_idle() {
            true => Record::new(),
            false => record,
        };
        if self.record.is_idle() && self.rng.u8(0..8) == 0 {
            // The store collects it.
            self.floor = self.record.folded_into(self.floor);
            if made(Flaw::TokenReset) {
                self.floor = Token::NONE;
            }
            self.record = Record::new();
            self.version += 1;
        }
        Ok(Answer::Swap(Ok(Swap::Swapped)))
    }

    fn reading(&self, op: usize, date: StoreTime) -> Reading<u64> {
        let skew = self.clients[self.ops[op].client].skew;
        let wall = StoreTime::from_micros(date.as_micros().saturating_add_signed(skew));
        Reading {
            record: self.record.clone(),
            version: self.version,
            now: match made(Flaw::AgeFromWallClock) {
                true => wall,
                false => date,
            },
            floor: self.floor,
        }
    }

    fn bad_clock(&mut self) {
        let client = self.rng.usize(0..self.setup.clients);
        let rate = self.rng.u64(300_000..3_000_000);
        let step = self.rng.i64(-400_000..400_000);
        match self.rng.u8(0..4) {
            0 => self.clients[client].clock.run_at(rate, self.now),
            1 => self.clock.run_at(rate, self.now),
            2 => self.clients[client].clock.step(step.abs()),
            _ => self.clock.step(step),
        }
        self.tally.faults.count(Fault::Rate);
        self.tally.faults.count(Fault::Step);
        let after = self.rng.u64(1..120_000);
        self.at(after, Event::Clock);
    }

    /// Sends the calls that were made while an operation was polled.
    fn send(&mut self, op: usize) {
        let asked = std::mem::take(&mut at(&self.desk).asked);
        for call in asked {
            self.ops[op].call = Some(call);
            let client = self.ops[op].client;
            let delay = self.delay();
            // One connection, which keeps the order.
            let due = self.clients[client].last_there.max(self.now + delay);
            self.clients[client].last_there = due;
            self.at(due - self.now, Event::Arrive(call));
        }
    }

    fn poll_waiting(&mut self, call: u64) -> Checked {
        let op = self.ops.iter().rposition(|op| op.call == Some(call));
        op.map_or(Ok(()), |op| self.poll(op))
    }

    fn poll(&mut self, op: usize) -> Checked {
        let Some(mut future) = self.ops[op].future.take() else {
            return Ok(());
        };
        at(&self.desk).op = op;
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let polled = future.as_mut().poll(&mut context);
        self.send(op);
        self.wake();
        match polled {
            Poll::Ready(said) => self.said(op, said),
            Poll::Pending => {
                self.ops[op].future = Some(future);
                Ok(())
            }
        }
    }

    /// Wakes waiters; a hint may get lost.
    fn wake(&mut self) {
        let woken = std::mem::take(&mut at(&self.desk).woken);
        for nonce in woken {
            let waits = |op: &Op| op.nonce == nonce && op.waits;
            if let Some(op) = self.ops.iter().position(waits) {
                if self.rng.u8(0..5) == 0 {
                    self.tally.faults.count(Fault::Loss);
                    continue;
                }
                let after = self.delay();
                self.at(after, Event::Again(op));
            }
        }
    }

    fn delay(&mut self) -> u64 {
        match self.rng.u8(0..50) {
            0 => {
                self.tally.faults.count(Fault::Delay);
                self.rng.u64(self.slowness..self.slowness * 20)
            }
            _ => self.rng.u64(50..=self.slowness),
        }
    }

    /// Whether a choice happens; all do once nothing goes wrong any more.
    fn chooses(&mut self, choice: u32) -> bool {
        if self.now > self.peace {
            return true;
        }
        let happens = self.script.has(choice);
        if happens {
            self.choices.push(choice);
        }
        happens
    }

    fn at(&mut self, after: u64, event: Event) {
        self.seq += 1;
        self.events.insert((self.now + after, self.seq), event);
    }

    fn id(&mut self) -> [u8; 16] {
        self.ids += 1;
        u128::from(self.ids).to_be_bytes()
    }
}

/// What an error says of its effect.
fn told(error: &Error) -> Option<String> {
    (!error.may_be_held()).then(|| error.to_string())
}
