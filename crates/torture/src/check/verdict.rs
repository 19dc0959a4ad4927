//! What the judge tells: promises broken, and figures.

use serde::{Deserialize, Serialize};

use super::leases::Leases;
use crate::history::{Band, Record, Run, Scope, WriteTo};
use crate::protocol::Outcome;

/// A promise that a history can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Promise {
    /// C1: tokens are unique and grow.
    Tokens,
    /// C2: nobody relies on a lease beyond its deadline.
    Deadline,
    /// C3: no two leases at once.
    Exclusion,
    /// C4: extend and release act on one's own grant only.
    Ownership,
    /// C6: nobody waits for a free lock.
    Liveness,
    /// The fenced register took a write that was overtaken.
    Fence,
}

impl Promise {
    /// As the contract names it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Tokens => "C1 token",
            Self::Deadline => "C2 deadline",
            Self::Exclusion => "C3 exclusion",
            Self::Ownership => "C4 ownership",
            Self::Liveness => "C6 liveness",
            Self::Fence => "fence",
        }
    }
}

/// A promise was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// When it began, in microseconds of [`clock`](crate::clock).
    pub from_us: u64,
    /// When it was over.
    pub to_us: u64,
    /// Whether what the promise assumes held then. C3 is only promised then; an
    /// overlap outside it is told, and is no violation.
    pub inside: bool,
    /// The kind of fault it fell into; empty for none.
    pub during: String,
    /// What happened, in a line.
    pub said: String,
}

/// What was counted, in all or for one kind of fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Locks granted.
    pub grants: u64,
    /// Attempts that found the lock busy until their wait was over.
    pub busy: u64,
    /// Attempts given up by dropping them.
    pub cancelled: u64,
    /// Calls whose outcome is not known, those of workers that died included.
    pub unknown: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Writes that reached the resource.
    pub writes: u64,
    /// Of those, writes after somebody else had been granted the lock: what an
    /// unfenced resource suffers.
    pub stale_writes: u64,
    /// Writes that the fenced register refused.
    pub refused_writes: u64,
    /// Fenced writes that were accepted after a later holder's. Must be 0.
    pub wrongly_accepted: u64,
    /// Breaches of C1. Must be 0.
    pub token_violations: u64,
    /// Overlaps of leases (C3). Must be 0.
    pub overlaps: u64,
    /// Overlaps where clocks or state had been broken beyond what C3 assumes.
    pub overlaps_outside: u64,
    /// Breaches of C2. Must be 0.
    pub deadline_violations: u64,
    /// Breaches of C4. Must be 0.
    pub ownership_violations: u64,
    /// Waiters left beside a free lock. Must be 0.
    pub stuck_waiters: u64,
    /// The longest time in which somebody wanted the lock and nobody had it, in
    /// microseconds.
    pub longest_without_grant_us: u64,
}

/// The figures of one kind of fault, or of the time without any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// The kind of fault; empty for none.
    pub kind: String,
    /// How much it hits; `None` for no fault.
    pub scope: Option<Scope>,
    /// Whether C3 is not promised in it.
    pub voids: bool,
    /// How many times it was injected.
    pub windows: u64,
    /// What was counted in them and their tails.
    pub figures: Figures,
}

/// How long something took, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// How many there were.
    pub count: u64,
    /// Half took no longer.
    pub median: u64,
    /// Nine in ten took no longer.
    pub p90: u64,
    /// 99 in 100 took no longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl Spread {
    /// The spread of these lengths.
    #[must_use]
    pub fn of(mut lengths: Vec<u64>) -> Self {
        lengths.sort_unstable();
        let at = |part: usize| {
            let place = (lengths.len() * part).div_ceil(100).saturating_sub(1);
            lengths.get(place).copied().unwrap_or_default()
        };
        Self {
            count: lengths.len() as u64,
            median: at(50),
            p90: at(90),
            p99: at(99),
            max: at(100),
        }
    }
}

/// The judgement on a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was run.
    pub run: Option<Run>,
    /// How long, in microseconds.
    pub lasted_us: u64,
    /// Everything counted.
    pub totals: Figures,
    /// The same by kind of fault, calm first.
    pub classes: Vec<Class>,
    /// From asking for a lock to having it, of those granted.
    pub waits: Spread,
    /// From having it to no longer relying on it.
    pub holds: Spread,
    /// What was broken, in order of time within each promise.
    pub violations: Vec<Violation>,
    #[serde(skip)]
    bands: Vec<Band>,
}

impl Verdict {
    /// Whether all promises were kept. What was outside their assumptions does not
    /// count against them.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.violations.iter().all(|violation| !violation.inside)
    }

    pub(super) fn new(records: &[Record], bands: &[Band]) -> Self {
        let run = records.iter().find_map(|record| match record {
            Record::Run(run) => Some(run.clone()),
            _ => None,
        });
        let end = records.iter().rev().find_map(|record| match record {
            Record::End { at_us } => Some(*at_us),
            _ => None,
        });
        let begun = run.as_ref().map_or(0, |run| run.at_us);
        Self {
            run,
            lasted_us: end.unwrap_or(begun).saturating_sub(begun),
            totals: Figures::default(),
            classes: classes(bands),
            waits: Spread::default(),
            holds: Spread::default(),
            violations: Vec::new(),
            bands: bands.to_vec(),
        }
    }

    pub(super) fn bands(&self) -> &[Band] {
        &self.bands
    }

    /// What needs no judgement.
    pub(super) fn count(&mut self, leases: &Leases) {
        for attempt in &leases.attempts {
            self.add(attempt.span.to, |figures| match attempt.outcome {
                Some(Outcome::Granted) => figures.grants += 1,
                Some(Outcome::Busy) => figures.busy += 1,
                Some(Outcome::Cancelled) => figures.cancelled += 1,
                Some(Outcome::Unknown) | None => figures.unknown += 1,
                _ => figures.errors += 1,
            });
        }
        for call in leases.all.iter().flat_map(|lease| &lease.uses) {
            self.add(call.got, |figures| match call.outcome {
                Outcome::Unknown => figures.unknown += 1,
                Outcome::Error => figures.errors += 1,
                _ => {}
            });
        }
        let all = || leases.all.iter();
        self.waits = Spread::of(all().map(|l| l.got.saturating_sub(l.sent)).collect());
        self.holds = Spread::of(all().map(|l| l.end().saturating_sub(l.got)).collect());
    }

    pub(super) fn wrote(&mut self, write: &WriteTo, stale: bool, refused: bool) {
        self.add(write.at_us, |figures| {
            figures.writes += 1;
            figures.stale_writes += u64::from(stale);
            figures.refused_writes += u64::from(refused);
        });
    }

    /// Nobody had the lock although somebody wanted it.
    pub(super) fn was_free(&mut self, from: u64, to: u64) {
        let class = self.class_within(from, to);
        for figures in [&mut self.totals, &mut self.classes[class].figures] {
            let longest = &mut figures.longest_without_grant_us;
            *longest = (*longest).max(to - from);
        }
    }

    pub(super) fn breaks(&mut self, promise: Promise, from_us: u64, to_us: u64, said: String) {
        let class = match promise {
            Promise::Liveness => self.class_within(from_us, to_us),
            _ => self.class_at(from_us),
        };
        let void = |band: &Band| band.voids && band.covers(from_us);
        let inside = promise != Promise::Exclusion || !self.bands.iter().any(void);
        for figures in [&mut self.totals, &mut self.classes[class].figures] {
            *match promise {
                Promise::Tokens => &mut figures.token_violations,
                Promise::Deadline => &mut figures.deadline_violations,
                Promise::Exclusion if inside => &mut figures.overlaps,
                Promise::Exclusion => &mut figures.overlaps_outside,
                Promise::Ownership => &mut figures.ownership_violations,
                Promise::Liveness => &mut figures.stuck_waiters,
                Promise::Fence => &mut figures.wrongly_accepted,
            } += 1;
        }
        self.violations.push(Violation {
            promise,
            from_us,
            to_us,
            inside,
            during: self.classes[class].kind.clone(),
            said,
        });
    }

    pub(super) fn finish(self) -> Self {
        let mut verdict = self;
        verdict
            .violations
            .sort_by_key(|violation| violation.from_us);
        verdict
    }

    fn add(&mut self, at: u64, count: impl Fn(&mut Figures)) {
        let class = self.class_at(at);
        count(&mut self.totals);
        count(&mut self.classes[class].figures);
    }

    /// The class of a moment: that of the fault that began last among those that
    /// cover it.
    fn class_at(&self, at: u64) -> usize {
        let covering = self.bands.iter().filter(|band| band.covers(at));
        covering
            .max_by_key(|band| band.from_us)
            .map_or(0, |band| self.class_of(band))
    }

    /// The class of a stretch: that of the worst fault that touches it.
    fn class_within(&self, from: u64, to: u64) -> usize {
        let touching = self
            .bands
            .iter()
            .filter(|band| band.from_us <= to && from <= band.to_us + band.tail_us);
        touching
            .max_by_key(|band| (band.scope == Scope::Majority, band.from_us))
            .map_or(0, |band| self.class_of(band))
    }

    fn class_of(&self, band: &Band) -> usize {
        let same = |class: &Class| class.kind == band.kind && class.scope == Some(band.scope);
        self.classes.iter().position(same).unwrap_or(0)
    }
}

fn classes(bands: &[Band]) -> Vec<Class> {
    let calm = Class {
        kind: String::new(),
        scope: None,
        voids: false,
        windows: 0,
        figures: Figures::default(),
    };
    let mut classes = vec![calm];
    for band in bands {
        let scope = Some(band.scope);
        let known = |class: &&mut Class| class.kind == band.kind && class.scope == scope;
        match classes.iter_mut().find(known) {
            Some(class) => class.windows += 1,
            None => classes.push(Class {
                kind: band.kind.clone(),
                scope,
                voids: band.voids,
                windows: 1,
                figures: Figures::default(),
            }),
        }
    }
    classes
}
