//! What clients of the record world do: what the library does around an engine.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::record::RegisterEngine;
use leasehold_core::{
    AcquireRequest, Acquired, Deadline, Engine, Error, ExtendRequest, Extended, Granted, Instant,
    Lifetime, Mode, Nonce, Released, SessionId, Ttl,
};

use super::store::{Sight, at};
use super::{ACTS, Checked, Event, World, told};
use crate::faults::Fault;
use crate::invariants::fencing::Writer;
use crate::invariants::{deadline, leftovers};
use crate::network::Clock;
use crate::timed::Clocks;

type Future_ = Pin<Box<dyn Future<Output = Said> + Send>>;

/// A client.
pub(super) struct Client {
    pub(super) clock: Clock,
    /// How far its wall clock is from the store's, in microseconds.
    pub(super) skew: i64,
    pub(super) paused_until: u64,
    pub(super) last_there: u64,
    pub(super) waits_since: Option<u64>,
    engine: Arc<RegisterEngine<Sight>>,
    session: SessionId,
    /// The operation that it waits for.
    op: Option<usize>,
    lease: Option<Lease>,
    acts: u32,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    nonce: Nonce,
    mode: Mode,
    ttl: Ttl,
    deadline: Deadline,
    writer: Writer,
}

/// What an operation came to.
#[derive(Debug)]
pub(super) enum Said {
    Acquire(Result<Acquired, Error>),
    Extend(Result<Extended, Error>),
    Release(Result<Released, Error>),
}

/// An operation.
pub(super) struct Op {
    pub(super) client: usize,
    pub(super) nonce: Nonce,
    /// The call that it waits for.
    pub(super) call: Option<u64>,
    /// It has a place in the line, and waits to ask again.
    pub(super) waits: bool,
    pub(super) future: Option<Future_>,
    /// What to ask again with.
    request: Option<AcquireRequest>,
    ttl: Ttl,
    asked: Instant,
    attempt: u32,
}

impl World<'_> {
    pub(super) fn client(&mut self) -> Client {
        let session = SessionId::from_bytes(self.id());
        let register = Sight {
            desk: Arc::clone(&self.desk),
            session,
        };
        Client {
            clock: Clock::new(&mut self.rng),
            skew: self.rng.i64(-150_000..150_000),
            paused_until: 0,
            last_there: 0,
            waits_since: None,
            engine: Arc::new(RegisterEngine::new(register)),
            session,
            op: None,
            lease: None,
            acts: 0,
        }
    }

    pub(super) fn act(&mut self, client: usize) -> Checked {
        if self.clients[client].op.is_some() {
            return Ok(());
        }
        let choice = ACTS * (client as u32 + 1) + self.clients[client].acts;
        self.clients[client].acts += 1;
        if !self.chooses(choice) {
            self.at(20_000, Event::Act(client));
            return Ok(());
        }
        let troubled = self.now < self.peace;
        if troubled && self.rng.u8(0..10) == 0 {
            self.tally.faults.count(Fault::Pause);
            self.clients[client].paused_until = self.now + self.rng.u64(1_000..400_000);
            self.at(0, Event::Act(client));
            return Ok(());
        }
        let now = self.clients[client].clock.instant(self.now);
        match self.clients[client].lease {
            Some(lease) if lease.deadline.has_passed(now) || self.rng.u8(0..3) == 0 => {
                self.clients[client].lease = None;
                self.leases.over(lease.nonce);
                self.release(client, lease.nonce, true)
            }
            Some(_) if troubled && self.rng.u8(0..12) == 0 => {
                self.die(client);
                Ok(())
            }
            Some(lease) => self.extend(client, lease),
            None => self.want(client),
        }
    }

    /// Dies; another starts in its place.
    fn die(&mut self, client: usize) {
        self.tally.faults.count(Fault::Death);
        let session = self.clients[client].session;
        if let Some(lease) = self.clients[client].lease {
            self.leases.over(lease.nonce);
        }
        for op in self.ops.iter_mut().filter(|op| op.client == client) {
            (op.future, op.waits) = (None, false);
        }
        at(&self.desk).dead.insert(session);
        let acts = self.clients[client].acts;
        self.clients[client] = Client {
            acts,
            ..self.client()
        };
        self.at(1_000, Event::Act(client));
    }

    fn want(&mut self, client: usize) -> Checked {
        let mode = self.kind.mode(&mut self.rng);
        let ttl = Ttl::new(Duration::from_millis(self.rng.u64(30..=270))).unwrap_or(Ttl::MIN);
        let waits = self.now > self.peace || self.rng.u8(0..4) > 0;
        // A place is kept for three of them, which a slow store's conflicts must not outlast.
        let interval = Duration::from_millis(self.rng.u64(100..500));
        let request = AcquireRequest {
            name: self.name.clone(),
            nonce: Nonce::from_bytes(self.id()),
            owner: "client".into(),
            mode,
            ttl,
            grace: Duration::from_millis([0, 30][self.rng.usize(0..2)]),
            lifetime: match self.rng.u8(0..3) {
                0 => Lifetime::Detached,
                _ => Lifetime::Process,
            },
            queue: waits.then_some(interval),
        };
        let now = self.now;
        self.clients[client].waits_since.get_or_insert(now);
        let op = self.begin(client, request.nonce, ttl);
        self.ops[op].request = Some(request);
        if self.now < self.peace && self.rng.u8(0..8) == 0 {
            let after = self.rng.u64(0..100_000);
            self.at(after, Event::Leave(op));
        }
        self.ask(op)
    }

    fn begin(&mut self, client: usize, nonce: Nonce, ttl: Ttl) -> usize {
        let asked = self.clients[client].clock.instant(self.now);
        self.ops.push(Op {
            client,
            nonce,
            call: None,
            waits: false,
            future: None,
            request: None,
            ttl,
            asked,
            attempt: 0,
        });
        let op = self.ops.len() - 1;
        self.clients[client].op = Some(op);
        op
    }

    /// Asks, or asks again.
    fn ask(&mut self, op: usize) -> Checked {
        let client = &self.clients[self.ops[op].client];
        let Some(request) = self.ops[op].request.clone() else {
            return Ok(());
        };
        let engine = Arc::clone(&client.engine);
        let asked = client.clock.instant(self.now);
        self.log.line(format_args!(
            "{} op {op} asks as {} ({})",
            self.now, request.nonce, request.mode
        ));
        let this = &mut self.ops[op];
        this.asked = asked;
        this.waits = false;
        this.future = Some(Box::pin(async move {
            Said::Acquire(engine.acquire(&request).await)
        }));
        self.poll(op)
    }

    pub(super) fn again(&mut self, op: usize) -> Checked {
        if !self.ops[op].waits {
            return Ok(());
        }
        self.ops[op].attempt += 1;
        self.ask(op)
    }

    fn extend(&mut self, client: usize, lease: Lease) -> Checked {
        let op = self.begin(client, lease.nonce, lease.ttl);
        let engine = Arc::clone(&self.clients[client].engine);
        let request = ExtendRequest {
            name: self.name.clone(),
            nonce: lease.nonce,
            ttl: lease.ttl,
        };
        self.ops[op].future = Some(Box::pin(async move {
            Said::Extend(engine.extend(&request).await)
        }));
        self.poll(op)
    }

    /// Gives a nonce back; the caller waits for it, or nobody does.
    fn release(&mut self, client: usize, nonce: Nonce, waits: bool) -> Checked {
        let busy = self.clients[client].op;
        let op = self.begin(client, nonce, Ttl::MIN);
        if !waits {
            self.clients[client].op = busy;
        }
        self.release_again(op)
    }

    fn release_again(&mut self, op: usize) -> Checked {
        let (name, nonce) = (self.name.clone(), self.ops[op].nonce);
        let engine = Arc::clone(&self.clients[self.ops[op].client].engine);
        self.ops[op].future = Some(Box::pin(async move {
            Said::Release(engine.release(&name, nonce).await)
        }));
        self.poll(op)
    }

    /// The caller goes away, in the line or in the middle of a question.
    pub(super) fn leave(&mut self, op: usize) -> Checked {
        let client = self.ops[op].client;
        if self.clients[client].op != Some(op) || self.ops[op].request.is_none() {
            return Ok(());
        }
        self.tally.faults.count(Fault::Cancel);
        self.log.line(format_args!("{} op {op} leaves", self.now));
        self.ops[op].future = None;
        self.clients[client].waits_since = None;
        self.come_to_nothing(op)
    }

    /// Releases whatever an acquire left, and does something else.
    fn come_to_nothing(&mut self, op: usize) -> Checked {
        let (client, nonce) = (self.ops[op].client, self.ops[op].nonce);
        self.ops[op].waits = false;
        self.idle(client);
        self.release(client, nonce, false)
    }

    fn idle(&mut self, client: usize) {
        self.clients[client].op = None;
        let after = self.rng.u64(0..50_000);
        self.at(after, Event::Act(client));
    }

    pub(super) fn said(&mut self, op: usize, said: Said) -> Checked {
        self.log
            .line(format_args!("{} op {op} hears {said:?}", self.now));
        let client = self.ops[op].client;
        match said {
            Said::Acquire(Ok(Acquired::Granted(granted))) => self.won(op, granted),
            Said::Acquire(Ok(Acquired::Queued(queued))) => {
                self.ops[op].waits = true;
                let now = self.clients[client].clock.instant(self.now);
                let due = now.saturating_add(queued.recheck_after);
                let due = self.clients[client].clock.truly(due).max(self.now + 1);
                let after = (due - self.now).min(1_000_000);
                self.at(after, Event::Again(op));
                Ok(())
            }
            Said::Acquire(Ok(Acquired::Busy(_))) => {
                self.idle(client);
                Ok(())
            }
            Said::Acquire(Err(error)) => {
                if let Some(told) = told(&error).filter(|_| self.ops[op].attempt == 0) {
                    let nonce = self.ops[op].nonce;
                    leftovers::in_record(nonce, &self.record)
                        .map_err(|how| how.replace("C7", "C5"))?;
                    self.refused.insert(nonce, told);
                }
                self.come_to_nothing(op)
            }
            Said::Extend(extended) => {
                self.idle(client);
                self.extended(op, extended)
            }
            Said::Release(Ok(_)) => {
                if self.clients[client].op == Some(op) {
                    self.idle(client);
                }
                leftovers::in_record(self.ops[op].nonce, &self.record)
            }
            Said::Release(Err(_)) => {
                // For as long as it takes.
                self.release_again(op)
            }
        }
    }

    fn won(&mut self, op: usize, granted: Granted) -> Checked {
        let Op {
            client,
            nonce,
            asked,
            ttl,
            ref request,
            attempt,
            ..
        } = self.ops[op];
        let mode = request.as_ref().map_or(Mode::Exclusive, |r| r.mode);
        let now = self.clients[client].clock.instant(self.now);
        let until = Deadline::of(asked, ttl);
        let until = granted.until.map_or(until, |given| given.min(until));
        if until.has_passed(now) {
            return self.come_to_nothing(op);
        }
        deadline::check(asked, ttl, until, None)?;
        let began = self.granted.get(&granted.token).copied();
        let began = began.unwrap_or(self.now);
        let this = &mut self.clients[client];
        this.op = None;
        this.lease = Some(Lease {
            nonce,
            mode,
            ttl,
            deadline: until,
            writer: Writer {
                granted: (began, self.now),
                token: granted.token,
            },
        });
        if let Some(since) = this.waits_since.take()
            && self.now > self.peace
        {
            self.served.serve(client, self.now - since.max(self.peace));
        }
        self.tally.grants += 1;
        self.tally.handed += u64::from(attempt > 0);
        self.tally.at_once += u64::from(attempt == 0);
        self.tokens.granted(began, self.now, granted.token)?;
        self.believe(client)?;
        let left = self.clients[client].clock.ends(until);
        let left = left.saturating_sub(self.now).min(10_000_000);
        let after = self.rng.u64(0..=left);
        self.at(after, Event::Use(client, nonce));
        let after = self.rng.u64(0..=left * 5 / 4);
        self.at(after, Event::Act(client));
        Ok(())
    }

    fn extended(&mut self, op: usize, extended: Result<Extended, Error>) -> Checked {
        let Op {
            client, asked, ttl, ..
        } = self.ops[op];
        let now = self.clients[client].clock.instant(self.now);
        let Some(lease) = &mut self.clients[client].lease else {
            return Ok(());
        };
        match extended {
            // An answer that comes after the deadline revives nothing.
            Ok(Extended::Extended) if !lease.deadline.has_passed(now) => {
                let until = Deadline::of(asked, ttl).max(lease.deadline);
                deadline::check(asked, ttl, until, Some(lease.deadline))?;
                lease.deadline = until;
                self.believe(client)
            }
            Ok(_) => {
                self.leases.over(lease.nonce);
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    fn believe(&mut self, client: usize) -> Checked {
        let this = &self.clients[client];
        let Some(lease) = this.lease else {
            return Ok(());
        };
        let until = this.clock.ends(lease.deadline);
        let fits = self.leases.valid(lease.nonce, lease.mode, self.now, until);
        match self.setup.clocks {
            Clocks::Within => fits,
            Clocks::Beyond => {
                self.tally.overlaps += u64::from(fits.is_err());
                Ok(())
            }
        }
    }

    /// Looks at its lease, finds it valid, and writes, perhaps much later.
    pub(super) fn uses(&mut self, client: usize, nonce: Nonce) {
        let this = &self.clients[client];
        let now = this.clock.instant(self.now);
        let valid = |lease: &Lease| lease.nonce == nonce && !lease.deadline.has_passed(now);
        let Some(lease) = this.lease.filter(valid) else {
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
        self.at(after, Event::Write(lease.writer));
        let again = self.rng.u64(5_000..80_000);
        self.at(again, Event::Use(client, nonce));
    }

    pub(super) fn written(&mut self, writer: Writer) -> Checked {
        let taken = self.resource.write(writer)?;
        match taken {
            true => self.tally.writes += 1,
            false => self.tally.refused += 1,
        }
        Ok(())
    }
}
