//! What clients do, and what comes of it.

use std::time::Duration;

use leasehold_core::quorum::{AcquireOutcome, Ask, ExtendOutcome, NodeId, NodeSet, Plan, Push};
use leasehold_core::{Instant, Mode, Nonce, Token, Ttl};

use super::{Checked, Clocks, Event, Sender, World};
use crate::client::{Client, Heard, Lease, Op, Said};
use crate::faults::Fault;
use crate::invariants::fencing::Writer;
use crate::invariants::{deadline, leftovers, outcomes};
use crate::server::{Pushes, Request};
use crate::wish::{Won, slot};

impl World<'_> {
    /// One input for one operation, and what follows from it.
    pub(super) fn drive(&mut self, at: usize, heard: Heard, now: Instant) -> Checked {
        let op = &mut self.ops[at];
        if op.dead {
            return Ok(());
        }
        let said = op.drive(heard, now, &mut self.clients[op.client].proposals);
        self.said(at, said)
    }

    fn said(&mut self, at: usize, said: Said) -> Checked {
        let (client, name) = (self.ops[at].client, self.ops[at].name);
        if let Some((command, to)) = said.send {
            let attempt = self.ops[at].as_wish().map_or(0, |wish| wish.attempt);
            let request = Request::Lock {
                name: self.names[name].clone(),
                nonce: self.ops[at].nonce,
                command,
            };
            let sender = Sender::Op(at, attempt);
            for node in to.iter() {
                self.post(sender, client, node.index(), request.clone());
            }
        }
        if let Some(wake) = said.wake {
            let due = self.clients[client].clock.truly(wake).max(self.now + 1);
            self.at(due - self.now, Event::Wake(at));
        }
        if let Some(outcome) = said.outcome {
            self.log
                .line(format_args!("{} op {at} {outcome:?}", self.now));
            self.asked(at, outcome)?;
        }
        if let Some(won) = said.won {
            self.log.line(format_args!("{} op {at} {won:?}", self.now));
            self.won(at, won)?;
        }
        if said.stir {
            let soon = self.rng.u64(500..5_000);
            self.plan_again(at, soon);
        }
        if let Some(outcome) = said.extended {
            self.log
                .line(format_args!("{} op {at} {outcome:?}", self.now));
            self.extended(at, outcome)?;
        }
        if said.released && self.clients[client].op == Some(at) {
            self.clients[client].op = None;
            let after = self.rng.u64(0..60_000);
            self.at(after, Event::Act(client));
        }
        if said.clean {
            self.left_behind(at)?;
        }
        Ok(())
    }

    /// An attempt came to something other than a lease, or to one.
    fn asked(&mut self, at: usize, outcome: AcquireOutcome) -> Checked {
        let client = self.ops[at].client;
        // Whoever has a place in the line may be handed the lock while it hears "busy".
        let alone = |wish: &crate::wish::Wish| wish.attempt == 0 && wish.line().is_zero();
        if self.ops[at].as_wish().is_some_and(alone) {
            let Op { name, nonce, .. } = self.ops[at];
            let has = |node: usize| self.knows(node, name).held.iter().any(|g| g.0 == nonce);
            let held = (0..self.setup.nodes).filter(|&node| has(node)).count();
            outcomes::of_acquire(outcome, held, self.quorum.size())?;
        }
        match outcome {
            AcquireOutcome::Granted { .. } => Ok(()),
            AcquireOutcome::Queued { free_in, split, .. } => {
                let line = self.ops[at].as_wish().map(|wish| wish.line());
                let line = line.unwrap_or_default().as_micros() as u64;
                let pause = match split {
                    true => self.rng.u64(500..20_000),
                    false => (free_in.as_micros() as u64 + 500).min(line / 3),
                };
                self.ops[at].again_at = u64::MAX;
                self.plan_again(at, pause);
                Ok(())
            }
            _ => {
                let earlier = self.ops[at].as_wish().is_some_and(|wish| wish.attempt > 0);
                self.clients[client].op = None;
                let after = self.rng.u64(1_000..40_000);
                self.at(after, Event::Act(client));
                match earlier {
                    true => self.give_back(client, at),
                    false => Ok(()),
                }
            }
        }
    }

    /// It asks again then, or sooner if that was planned already.
    fn plan_again(&mut self, at: usize, after: u64) {
        let due = self.now + after.max(1);
        if due < self.ops[at].again_at {
            self.ops[at].again_at = due;
            self.at(due - self.now, Event::Again(at));
        }
    }

    pub(super) fn again(&mut self, at: usize) -> Checked {
        let op = &self.ops[at];
        let Some(wish) = op.as_wish().filter(|wish| wish.in_line()) else {
            return Ok(());
        };
        if op.dead || op.again_at > self.now {
            return Ok(());
        }
        let slot = match wish.called {
            Some(slot) => slot,
            None if self.rng.bool() => slot(wish.mode(), &mut self.rng),
            None => wish.slot(),
        };
        let now = self.clients[op.client].clock.instant(self.now);
        self.ops[at].again_at = u64::MAX;
        self.drive(at, Heard::Again(slot), now)
    }

    fn won(&mut self, at: usize, won: Won) -> Checked {
        let Op {
            client,
            name,
            nonce,
            asked,
            ttl,
            ..
        } = self.ops[at];
        deadline::check(asked, ttl, won.deadline, None)?;
        let Some(wish) = self.ops[at].as_wish() else {
            return Ok(());
        };
        let (mode, slot, at_once) = (wish.mode(), wish.slot(), !wish.promoted);
        let this = &mut self.clients[client];
        this.op = None;
        this.proposals.note(&self.names[name], won.token);
        this.lease = Some(Lease {
            name,
            nonce,
            mode,
            slot,
            deadline: won.deadline,
            token: won.token,
            granted: (self.now, self.now),
        });
        let since = this.waits_since.take();
        if let Some(since) = since.filter(|_| self.now > self.peace) {
            self.served.serve(client, self.now - since.max(self.peace));
        }
        self.tally.grants += 1;
        self.tally.handed += u64::from(won.handed);
        self.tally.at_once += u64::from(at_once);
        let began = match mode {
            // Its deadline is judged, so whatever was granted before is over.
            Mode::Exclusive if self.setup.clocks == Clocks::Within => self.now,
            _ => self.began(at, won.token, won.on),
        };
        if let Some(lease) = &mut self.clients[client].lease {
            lease.granted.0 = began;
        }
        self.tokens[name].granted(began, self.now, won.token)?;
        self.believe(client)?;
        let ends = self.clients[client].clock.ends(won.deadline);
        let left = ends.saturating_sub(self.now).min(10_000_000);
        let after = self.rng.u64(0..=left);
        self.at(after, Event::Use(client, nonce));
        let after = self.rng.u64(0..=left * 5 / 4);
        self.at(after, Event::Act(client));
        Ok(())
    }

    /// When the first of these nodes came to have this counter.
    fn began(&self, at: usize, token: Token, on: NodeSet) -> u64 {
        let op = &self.ops[at];
        let counted = |node: NodeId| self.counted.get(&(op.name, node.index(), op.nonce, token));
        let began = on.iter().filter_map(|node| counted(node).copied());
        began.min().unwrap_or(self.now)
    }

    pub(super) fn extended(&mut self, at: usize, outcome: ExtendOutcome) -> Checked {
        let client = self.ops[at].client;
        self.clients[client].op = None;
        let after = self.rng.u64(0..100_000);
        self.at(after, Event::Act(client));
        let Op { asked, ttl, .. } = self.ops[at];
        match (outcome, &mut self.clients[client].lease) {
            (ExtendOutcome::Extended { deadline }, Some(lease)) => {
                deadline::check(asked, ttl, deadline, Some(lease.deadline))?;
                lease.deadline = deadline;
                self.believe(client)
            }
            (ExtendOutcome::Lost | ExtendOutcome::TooLate, Some(lease)) => {
                self.leases[lease.name].over(lease.nonce);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// This client believes in its lease from now until its deadline.
    fn believe(&mut self, client: usize) -> Checked {
        let Client { clock, lease, .. } = &self.clients[client];
        let Some(lease) = lease else {
            return Ok(());
        };
        let until = clock.ends(lease.deadline);
        let fits = self.leases[lease.name].valid(lease.nonce, lease.mode, self.now, until);
        match self.setup.clocks {
            Clocks::Within => fits,
            Clocks::Beyond => {
                self.tally.overlaps += u64::from(fits.is_err());
                Ok(())
            }
        }
    }

    /// Looks at its lease, finds it valid, and writes. Whatever happens between the
    /// two, only the resource can still tell.
    pub(super) fn uses(&mut self, client: usize, nonce: Nonce) {
        let Client { clock, lease, .. } = &self.clients[client];
        let now = clock.instant(self.now);
        let valid = lease.filter(|l| l.nonce == nonce && !l.deadline.has_passed(now));
        let Some(lease) = valid else {
            return;
        };
        let pauses = self.rng.u8(0..5) == 0;
        let after = match pauses {
            true => self.rng.u64(50_000..600_000),
            false => self.rng.u64(50..3_000),
        };
        if pauses {
            self.tally.faults.count(Fault::PauseBeforeUse);
        }
        let writer = Writer {
            granted: lease.granted,
            token: lease.token,
        };
        self.at(after, Event::Write(lease.name, writer));
        let again = self.rng.u64(5_000..80_000);
        self.at(again, Event::Use(client, nonce));
    }

    pub(super) fn written(&mut self, name: usize, writer: Writer) -> Checked {
        let taken = self.resources[name].write(writer)?;
        self.log
            .line(format_args!("{} write {writer:?}: {taken}", self.now));
        match taken {
            true => self.tally.writes += 1,
            false => self.tally.refused += 1,
        }
        Ok(())
    }

    fn knows(&self, node: usize, name: usize) -> leasehold_core::quorum::NodeStatus {
        let host = &self.hosts[node];
        let date = host.clock.date(self.now);
        host.node.status(&self.names[name], date)
    }

    /// The clean-up says it is done: is it (C7)?
    fn left_behind(&self, at: usize) -> Checked {
        let Op { name, nonce, .. } = self.ops[at];
        // A clean-up ends with the keys, by the client's clock.
        let beyond = self.setup.clocks == Clocks::Beyond;
        if beyond || self.restored || self.undead.contains(&nonce) {
            return Ok(());
        }
        let up = (0..self.setup.nodes).filter(|&node| self.hosts[node].up);
        for node in up {
            leftovers::on_node(node, nonce, &self.knows(node, name))?;
        }
        Ok(())
    }

    /// Tells waiters what a node has for them, as far as it can reach them.
    pub(super) fn push(&mut self, node: usize, pushes: Pushes) {
        for (_, nonce, push) in pushes {
            let Some(&at) = self.wishes.get(&nonce) else {
                continue;
            };
            let (party, name) = (self.ops[at].client, self.ops[at].name);
            if let Push::Handed { counter } = push {
                let key = (name, node, nonce, counter);
                self.counted.entry(key).or_insert(self.now);
            }
            self.log.line(format_args!(
                "{} node {node} tells op {at} {push:?}",
                self.now
            ));
            if let Some(connection) = self.network.connection(party, node) {
                let due = self.network.answer(&mut self.rng, self.now, party, node);
                self.at(due - self.now, Event::Push(at, node, push, connection));
            }
        }
    }

    pub(super) fn act(&mut self, client: usize) -> Checked {
        if self.clients[client].op.is_some() {
            return Ok(());
        }
        let choice = 10_000 * (client as u32 + 1) + self.acts[client];
        self.acts[client] += 1;
        if !self.chooses(choice) {
            self.at(20_000, Event::Act(client));
            return Ok(());
        }
        let now = self.clients[client].clock.instant(self.now);
        let plan = self.plan();
        let at = self.ops.len();
        let hastier = self.now > self.peace;
        let this = &mut self.clients[client];
        let (op, said) = match this.lease {
            Some(lease)
                if lease.deadline.has_passed(now)
                    || self.rng.u8(0..if hastier { 2 } else { 4 }) == 0 =>
            {
                this.lease = None;
                self.leases[lease.name].over(lease.nonce);
                let of = (lease.name, lease.nonce);
                Op::release(client, of, self.quorum, plan.patience, now)
            }
            Some(lease) if self.rng.u8(0..12) == 0 => {
                // Dies; another starts in its place.
                self.tally.faults.count(Fault::Death);
                self.log
                    .line(format_args!("{} client {client} dies", self.now));
                this.lease = None;
                self.leases[lease.name].over(lease.nonce);
                let mine = self.ops.iter_mut().filter(|op| op.client == client);
                mine.for_each(|op| op.dead = true);
                self.at(1_000, Event::Act(client));
                return Ok(());
            }
            Some(lease) => Op::extend(client, lease, plan, now),
            None => return self.want(client, plan),
        };
        self.ops.push(op);
        self.clients[client].op = Some(at);
        self.said(at, said)
    }

    /// How a client goes about what it does next.
    fn plan(&mut self) -> Plan {
        let skip = (0..self.setup.nodes)
            .filter(|&node| !self.hosts[node].up)
            .filter_map(NodeId::new)
            .collect();
        let ttl = Duration::from_millis(self.rng.u64(30..=270));
        let grace = Duration::from_millis([0, 30][self.rng.usize(0..2)]);
        let nonce = Nonce::from_bytes(self.id());
        Plan {
            quorum: self.quorum,
            ttl: Ttl::new(ttl).expect("a valid TTL"),
            nonce,
            ask: Ask {
                mode: leasehold_core::Mode::Exclusive,
                slot: 0,
                hold: ttl + grace,
                line: None,
                proposal: Token::NONE,
            },
            first: self.quorum.all(),
            hedge_after: Duration::from_millis(self.rng.u64(1..30)),
            skip,
            patience: Duration::from_millis(self.rng.u64(20..200)),
        }
    }

    fn want(&mut self, client: usize, mut plan: Plan) -> Checked {
        let name = self.rng.usize(0..self.setup.names);
        plan.ask.mode = self.kinds[name].mode(&mut self.rng);
        plan.ask.slot = slot(plan.ask.mode, &mut self.rng);
        if self.now > self.peace || self.rng.u8(0..4) > 0 {
            let line = Duration::from_millis(self.rng.u64(60..=300));
            plan.ask.line = Some(line);
        }
        if self.rng.bool() {
            plan.skip = NodeSet::EMPTY;
        }
        if self.rng.bool() {
            plan.first = NodeSet::first(self.quorum.size());
        }
        let at = self.ops.len();
        let leaves = match self.now > self.peace {
            true => 20,
            false => 8,
        };
        if self.rng.u8(0..leaves) == 0 {
            let after = self.rng.u64(0..100_000);
            self.at(after, Event::Leave(at));
        }
        self.wishes.insert(plan.nonce, at);
        let this = &mut self.clients[client];
        let now = this.clock.instant(self.now);
        this.waits_since.get_or_insert(self.now);
        this.op = Some(at);
        let (op, said) = Op::wish(client, name, plan, &self.names[name], &this.proposals, now);
        self.ops.push(op);
        self.said(at, said)
    }

    /// The caller goes away.
    pub(super) fn leave(&mut self, at: usize) -> Checked {
        let client = self.ops[at].client;
        if self.ops[at].dead || self.clients[client].op != Some(at) {
            return Ok(());
        }
        self.clients[client].waits_since = None;
        self.tally.faults.count(Fault::Cancel);
        let now = self.clients[client].clock.instant(self.now);
        match self.ops[at].as_wish().is_some_and(|wish| wish.in_line()) {
            true => {
                self.ops[at].end();
                self.clients[client].op = None;
                self.at(1_000, Event::Act(client));
                self.give_back(client, at)
            }
            false => self.drive(at, Heard::Cancel, now),
        }
    }

    /// Releases whatever this operation has or may have.
    fn give_back(&mut self, client: usize, at: usize) -> Checked {
        let now = self.clients[client].clock.instant(self.now);
        let of = (self.ops[at].name, self.ops[at].nonce);
        let (op, said) = Op::release(client, of, self.quorum, Duration::from_millis(50), now);
        self.ops.push(op);
        self.said(self.ops.len() - 1, said)
    }
}
