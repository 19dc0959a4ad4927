//! What each grant was, and when its holder could rely on it.

use std::collections::{BTreeMap, HashMap};

use crate::history::{Call, Record, WriteTo};
use crate::protocol::{Answer, Event, Happening, Kind, Outcome, What};

/// What a node may keep of a grant beyond what its holder believes: the margin that
/// a client takes off, 1 % of the TTL and 2 ms, and a little for clean-ups.
const fn margin_us(ttl_us: u64) -> u64 {
    ttl_us / 50 + 5_000
}

/// The grants of a history and the attempts to get them, by lock.
#[derive(Debug, Default)]
pub struct Leases {
    /// Whatever has been granted, in the order in which the answers came.
    pub all: Vec<Lease>,
    /// Every attempt to take a lock, granted or not.
    pub attempts: Vec<Attempt>,
    /// Every write that reached the resource, with the place of its lease in `all`.
    pub writes: Vec<(usize, WriteTo)>,
    by_name: BTreeMap<String, Vec<usize>>,
    by_id: HashMap<u64, usize>,
}

/// One grant.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The id of the acquire.
    pub id: u64,
    /// Who has it, among all clients.
    pub client: u32,
    /// The worker process its holder is in.
    pub process: u32,
    /// The lock.
    pub name: String,
    /// How it was taken.
    pub kind: Kind,
    /// Its fencing token.
    pub token: Option<u64>,
    /// The TTL.
    pub ttl_us: u64,
    /// When the acquire was called.
    pub sent: u64,
    /// When the grant was known to its holder.
    pub got: u64,
    /// When its holder could rely on it; more than one only if a client went on
    /// after its own deadline.
    pub spans: Vec<Span>,
    /// When the store has it no longer, at the latest.
    pub gone: u64,
    /// The calls on it, in order.
    pub uses: Vec<Use>,
    /// Where the holder was paused between looking at its lease and writing.
    pub pauses: Vec<Span>,
}

/// A stretch of time, its end not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from: u64,
    /// Its end.
    pub to: u64,
}

/// A call on a lease that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// What came of it.
    pub outcome: Outcome,
    /// When it was called.
    pub sent: u64,
    /// When it had returned.
    pub got: u64,
    /// What the deadline was when it was called.
    pub deadline: u64,
    /// Whether its holder was paused in it.
    pub paused: bool,
}

/// An attempt to take a lock.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Who made it.
    pub client: u32,
    /// The worker process it was made in.
    pub process: u32,
    /// The lock.
    pub name: String,
    /// From the call to its end.
    pub span: Span,
    /// Its outcome; `None` if nothing came.
    pub outcome: Option<Outcome>,
    /// Whether it waited, or would have had the lock but for a failure.
    pub waits: bool,
    /// Until when it may hold the lock although nobody was told so.
    pub may_hold: u64,
}

impl Lease {
    /// When its holder could rely on it last.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.spans.last().map_or(self.got, |span| span.to)
    }

    /// Whether its holder could rely on it then.
    #[must_use]
    pub fn covers(&self, at: u64) -> bool {
        self.spans
            .iter()
            .any(|span| span.from <= at && at < span.to)
    }

    /// Whether it and `other` exclude each other, as far as two can.
    #[must_use]
    pub const fn excludes(&self, other: &Self) -> bool {
        self.kind.is_exclusive() || other.kind.is_exclusive()
    }

    fn new(call: &Call, name: &str, kind: Kind, ttl_us: u64, answer: &Answer) -> Self {
        let deadline = deadline(answer, ttl_us);
        Self {
            id: call.id,
            client: call.client,
            process: call.process,
            name: name.to_owned(),
            kind,
            token: answer.token,
            ttl_us,
            sent: answer.sent_us,
            got: answer.got_us,
            spans: vec![Span {
                from: answer.got_us,
                to: deadline,
            }],
            gone: deadline + margin_us(ttl_us),
            uses: Vec::new(),
            pauses: Vec::new(),
        }
    }

    /// The holder stopped relying on it, if it had not before.
    fn ends(&mut self, at: u64) {
        if let Some(last) = self.spans.last_mut() {
            last.to = last.to.min(at.max(last.from));
        }
    }

    /// The holder relies on it until `to`, and knew so at `from`.
    fn goes_on(&mut self, from: u64, to: u64) {
        match self.spans.last_mut() {
            Some(last) if from <= last.to => last.to = to,
            _ => self.spans.push(Span { from, to }),
        }
        self.gone = self.gone.max(to + margin_us(self.ttl_us));
    }

    /// A call on it.
    fn used(&mut self, call: &Call) {
        let asked = call.answer.as_ref().map_or(call.asked_us, |a| a.sent_us);
        if let What::Release { .. } | What::Drop { .. } = call.what {
            // From here on nothing is done under it, whatever the answer is.
            self.ends(asked);
        }
        let Some(answer) = &call.answer else {
            return;
        };
        let paused = matches!(call.what, What::Use { pause_ms: 1.., .. });
        self.uses.push(Use {
            outcome: answer.ok,
            sent: answer.sent_us,
            got: answer.got_us,
            deadline: self.end(),
            paused,
        });
        match answer.ok {
            Outcome::Extended => {
                let ttl_us = match call.what {
                    What::Extend { ttl_ms, .. } => ttl_ms * 1_000,
                    _ => self.ttl_us,
                };
                self.goes_on(answer.got_us, deadline(answer, ttl_us));
            }
            Outcome::Released => self.gone = answer.got_us,
            Outcome::Lost => {
                self.ends(answer.got_us);
                self.gone = self.gone.min(answer.got_us + margin_us(self.ttl_us));
            }
            Outcome::Used if paused => self.pauses.push(Span {
                from: answer.sent_us,
                to: answer.got_us,
            }),
            _ => {}
        }
    }
}

impl Leases {
    /// What a history says.
    #[must_use]
    pub fn of(records: &[Record]) -> Self {
        let mut leases = Self::default();
        for record in records {
            match record {
                Record::Call(call) => leases.call(call),
                Record::Event { event, .. } => leases.event(event),
                Record::Write(write) => {
                    if let Some(&place) = leases.by_id.get(&write.lease) {
                        leases.writes.push((place, write.clone()));
                    }
                }
                Record::Died { process, at_us } => leases.died(*process, *at_us),
                _ => {}
            }
        }
        leases
    }

    /// The grants of each lock.
    pub fn by_name(&self) -> impl Iterator<Item = (&str, Vec<&Lease>)> {
        self.by_name.iter().map(|(name, places)| {
            let leases = places.iter().map(|&place| &self.all[place]);
            (name.as_str(), leases.collect())
        })
    }

    fn call(&mut self, call: &Call) {
        match &call.what {
            What::Acquire {
                name, ttl_ms, mode, ..
            } => self.attempt(call, name, ttl_ms * 1_000, *mode),
            What::Use { lease, .. }
            | What::Extend { lease, .. }
            | What::Release { lease }
            | What::Drop { lease } => {
                if let Some(&place) = self.by_id.get(lease) {
                    self.all[place].used(call);
                }
            }
            What::Quit => {}
        }
    }

    fn attempt(&mut self, call: &Call, name: &str, ttl_us: u64, kind: Kind) {
        let answer = call.answer.as_ref();
        let outcome = answer.map(|answer| answer.ok);
        let span = Span {
            from: answer.map_or(call.asked_us, |answer| answer.sent_us),
            to: answer.map_or(call.ended_us, |answer| answer.got_us),
        };
        self.attempts.push(Attempt {
            client: call.client,
            process: call.process,
            name: name.to_owned(),
            span,
            outcome,
            waits: matches!(call.what, What::Acquire { wait_ms: 1.., .. })
                || matches!(outcome, Some(Outcome::Unknown | Outcome::Error) | None),
            may_hold: match outcome {
                Some(Outcome::Unknown | Outcome::Cancelled) | None => {
                    span.to + ttl_us + margin_us(ttl_us)
                }
                _ => span.to,
            },
        });
        if let Some(answer) = answer.filter(|answer| answer.ok == Outcome::Granted) {
            let place = self.all.len();
            self.by_id.insert(call.id, place);
            self.by_name.entry(name.to_owned()).or_default().push(place);
            self.all.push(Lease::new(call, name, kind, ttl_us, answer));
        }
    }

    fn event(&mut self, event: &Event) {
        let Some(&place) = self.by_id.get(&event.lease) else {
            return;
        };
        let lease = &mut self.all[place];
        match (event.event, event.valid_ms) {
            (Happening::Lost, _) => lease.ends(event.at_us),
            (Happening::Renewed, Some(valid)) => {
                lease.goes_on(event.at_us, event.at_us + micros(valid));
            }
            (Happening::Renewed, None) => {
                lease.goes_on(event.at_us, event.at_us + lease.ttl_us);
            }
        }
    }

    /// Nobody relies on what a dead process had.
    fn died(&mut self, process: u32, at: u64) {
        for lease in &mut self.all {
            if lease.process == process && lease.end() > at {
                lease.ends(at);
            }
        }
    }
}

/// Until when the client says that a lease is valid.
fn deadline(answer: &Answer, ttl_us: u64) -> u64 {
    match answer.valid_ms {
        Some(valid) => answer.got_us + micros(valid),
        None => answer.sent_us + ttl_us,
    }
}

/// Nothing for what is no length of time.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates
fn micros(millis: f64) -> u64 {
    (millis * 1_000.0).max(0.0) as u64
}
