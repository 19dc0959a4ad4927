//! Time and connections of the timed world.

use std::collections::BTreeMap;

use fastrand::Rng;
use leasehold_core::quorum::{Node, RunId};
use leasehold_core::{Deadline, Instant, StoreTime};

use crate::server::Request;

/// How far a clock's rate may be off, in parts per million: two of them together
/// stay within the margin of 1 %.
const DRIFT: u64 = 4_500;
const MILLION: u64 = 1_000_000;

/// A clock, in microseconds of true time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    rate: u64,
    offset: i64,
}

impl Clock {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            rate: MILLION - DRIFT + rng.u64(0..=2 * DRIFT),
            offset: rng.i64(0..1_000_000_000_000),
        }
    }

    /// A clock whose date is as good as a time service makes it. A new era goes
    /// by the date of the nodes that are there.
    pub(crate) fn of_node(rng: &mut Rng) -> Self {
        Self {
            offset: 1_000_000_000_000 + rng.i64(0..100_000),
            ..Self::new(rng)
        }
    }

    /// A clock that is right.
    pub(crate) const fn right() -> Self {
        Self {
            rate: MILLION,
            offset: 0,
        }
    }

    fn shows(self, truly: u64) -> u64 {
        (truly * self.rate / MILLION).saturating_add_signed(self.offset)
    }

    /// Runs at this rate from now on, in parts per million.
    pub(crate) fn run_at(&mut self, rate: u64, truly: u64) {
        let shown = self.shows(truly);
        self.rate = rate;
        self.offset = shown as i64 - (truly * rate / MILLION) as i64;
    }

    /// Jumps by so many microseconds.
    pub(crate) fn step(&mut self, by: i64) {
        self.offset += by;
    }

    pub(crate) fn instant(self, truly: u64) -> Instant {
        Instant::from_start(std::time::Duration::from_micros(self.shows(truly)))
    }

    pub(crate) fn date(self, truly: u64) -> StoreTime {
        StoreTime::from_micros(self.shows(truly))
    }

    /// The first true microsecond at which the clock shows this.
    pub(crate) fn truly(self, at: Instant) -> u64 {
        let shown = at.since_start().as_micros() as i64;
        let since = u64::try_from(shown - self.offset).unwrap_or_default();
        // Further off than any run is long.
        since
            .min(u64::MAX / MILLION / 2)
            .saturating_mul(MILLION)
            .div_ceil(self.rate)
    }

    /// Until when, truly, its owner believes in this deadline.
    pub(crate) fn ends(self, deadline: Deadline) -> u64 {
        self.truly(deadline.at())
    }
}

/// A server and what is around it.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) node: Node,
    pub(crate) clock: Clock,
    pub(crate) up: bool,
    pub(crate) frozen_until: u64,
}

/// One party's connection to one node. It keeps the order.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    /// Which connection it is.
    number: u64,
    last_there: u64,
    last_back: u64,
    /// Nothing gets through any more, and neither end knows.
    mute: bool,
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub(crate) struct Pending<S> {
    pub(crate) sender: S,
    pub(crate) party: usize,
    pub(crate) node: usize,
    /// When it was sent, by the party's clock as it was then.
    pub(crate) sent: Instant,
    pub(crate) run_id: RunId,
    pub(crate) request: Request,
}

/// All connections, and what is under way on them.
#[derive(Debug)]
pub(crate) struct Network<S> {
    links: BTreeMap<(usize, usize), Link>,
    pub(crate) pending: BTreeMap<u64, Pending<S>>,
    next: u64,
    /// The longest usual delay, one way.
    slowness: u64,
    /// How many messages took longer.
    pub(crate) delayed: usize,
}

impl<S: Clone> Network<S> {
    pub(crate) fn new(slowness: u64) -> Self {
        Self {
            links: BTreeMap::new(),
            pending: BTreeMap::new(),
            next: 0,
            slowness,
            delayed: 0,
        }
    }

    /// Sends; the answer is its number and when it arrives, if it ever does.
    pub(crate) fn send(
        &mut self,
        rng: &mut Rng,
        now: u64,
        request: Pending<S>,
    ) -> (u64, Option<u64>) {
        let delay = self.delay(rng);
        self.next += 1;
        let new = Link {
            number: self.next,
            ..Link::default()
        };
        let link = self.links.entry((request.party, request.node));
        let link = link.or_insert(new);
        link.last_there = link.last_there.max(now + delay);
        let arrives = (!link.mute).then_some(link.last_there);
        self.pending.insert(self.next, request);
        (self.next, arrives)
    }

    /// A connection goes mute. Whether there is one.
    pub(crate) fn mute(&mut self, party: usize, node: usize) -> bool {
        let link = self.links.get_mut(&(party, node));
        link.map(|link| link.mute = true).is_some()
    }

    pub(crate) fn is_mute(&self, party: usize, node: usize) -> bool {
        let link = self.links.get(&(party, node));
        link.is_some_and(|link| link.mute)
    }

    /// The connection of a party to a node that stands now.
    pub(crate) fn connection(&self, party: usize, node: usize) -> Option<u64> {
        self.links.get(&(party, node)).map(|link| link.number)
    }

    /// When the answer to this request arrives.
    pub(crate) fn answer(&mut self, rng: &mut Rng, now: u64, party: usize, node: usize) -> u64 {
        let delay = self.delay(rng);
        let link = self.links.entry((party, node)).or_default();
        link.last_back = link.last_back.max(now + delay);
        link.last_back
    }

    /// Breaks connections to a node, of one party or of all: what was under way.
    pub(crate) fn cut(&mut self, party: Option<usize>, node: usize) -> Vec<(u64, Pending<S>)> {
        self.links
            .retain(|&(p, n), _| n != node || party.is_some_and(|party| party != p));
        let cut = |p: &Pending<S>| p.node == node && party.is_none_or(|party| party == p.party);
        let numbers: Vec<_> = self.pending.iter().filter(|(_, p)| cut(p)).collect();
        let numbers: Vec<u64> = numbers.into_iter().map(|(&number, _)| number).collect();
        numbers
            .into_iter()
            .filter_map(|number| Some((number, self.pending.remove(&number)?)))
            .collect()
    }

    fn delay(&mut self, rng: &mut Rng) -> u64 {
        let slow = rng.u8(0..50) == 0;
        self.delayed += usize::from(slow);
        match slow {
            true => rng.u64(self.slowness..self.slowness * 20),
            false => rng.u64(50..=self.slowness),
        }
    }
}
