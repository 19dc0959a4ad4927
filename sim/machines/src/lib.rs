//! Runs the quorum and the record protocol, as shipped, against faults at random.
//!
//! The clients' machines, the nodes' model, the record and its driver are those of
//! `leasehold-core`. Everything between them is played here, from a seed: the same
//! seed twice gives the same log to the byte.
//!
//! # Layout
//!
//! * [`untimed`]: the quorum with no clock at all. Any message may be delayed, lost,
//!   doubled or overtaken, any key may run out at any moment, no client ever thinks
//!   its lease is over. Tokens must hold out against that (C1).
//! * [`timed`]: the quorum with clocks within the margin or far beyond it,
//!   connections that keep the order and break or go mute, nodes that crash and
//!   rejoin, clients that pause and die.
//! * [`record`]: the record lease and its driver on a store whose swaps conflict,
//!   get lost or are carried out late.
//! * [`invariants`]: one file per promise.
//! * [`schedule`]: which run it is, as a line of text that reproduces it.
//! * [`campaign`]: many schedules on several cores. [`mistakes`]: deliberate
//!   mistakes, and how soon each is noticed. [`shrink`]: the few choices of a failing
//!   schedule that matter.
//! * [`server`]: what a server does with a request. `wish`: what a client does around
//!   the machines while it waits.
//! * [`faults`]: what went wrong, counted. [`log`]: the log and its digest.

pub mod campaign;
mod client;
pub mod faults;
pub mod invariants;
pub mod log;
pub mod mistakes;
mod network;
pub mod record;
pub mod schedule;
pub mod server;
pub mod shrink;
pub mod timed;
pub mod untimed;
mod wish;

use faults::Faults;
use log::Keep;

/// What to run besides the world itself.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The seed.
    pub seed: u64,
    /// What to keep of the log.
    pub keep: Keep,
    /// Only these of the run's choices happen; `None` for all of them.
    pub only: Option<std::collections::BTreeSet<u32>>,
}

impl Script {
    /// All choices of this seed.
    #[must_use]
    pub fn of(seed: u64, keep: Keep) -> Self {
        Self {
            seed,
            keep,
            only: None,
        }
    }

    /// Whether this choice happens.
    #[must_use]
    pub fn has(&self, choice: u32) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&choice))
    }

    /// The random bits of one choice. They depend on nothing that other choices draw,
    /// so that leaving some out does not change the rest.
    #[must_use]
    pub fn bits(&self, choice: u32) -> fastrand::Rng {
        // SplitMix64's finalizer (Steele, Lea and Flood, 2014).
        let mut z = self.seed ^ u64::from(choice).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        fastrand::Rng::with_seed(z ^ (z >> 31))
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    /// The first broken promise, if one was: its name, a colon, and how.
    pub broken: Option<String>,
    /// The digest of the log, if one was kept.
    pub digest: u64,
    /// The log, if it was asked for.
    pub lines: Vec<String>,
    /// The choices that were made.
    pub choices: Vec<u32>,
    /// What happened.
    pub tally: Tally,
}

impl Run {
    /// The promise that was broken.
    #[must_use]
    pub fn promise(&self) -> Option<&str> {
        self.broken.as_deref().map(promise)
    }
}

/// The promise that this error is about.
#[must_use]
pub fn promise(broken: &str) -> &str {
    broken.split(':').next().unwrap_or(broken)
}

/// What happened in one run or in many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Leases granted.
    pub grants: u64,
    /// Of these, handed over.
    pub handed: u64,
    /// Of these, with no second round.
    pub at_once: u64,
    /// Nodes that forgot and came to vote again.
    pub rejoined: u64,
    /// The longest that a client has waited in peace, in microseconds.
    pub longest_wait: u64,
    /// Leases valid beside each other, beyond the margin.
    pub overlaps: u64,
    /// Writes that a fenced resource took.
    pub writes: u64,
    /// Writes that it refused.
    pub refused: u64,
    /// What went wrong.
    pub faults: Faults,
}

impl Tally {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.grants += other.grants;
        self.handed += other.handed;
        self.at_once += other.at_once;
        self.rejoined += other.rejoined;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.overlaps += other.overlaps;
        self.writes += other.writes;
        self.refused += other.refused;
        self.faults.add(&other.faults);
    }
}
