//! The judge: reads a history and says which promises it breaks.
//!
//! Pure. Times come from one clock (see [`clock`](crate::clock)), so "before" means
//! what it says. An outcome that is not known counts for whatever excuses the
//! client most.
//!
//! * `leases`: what each grant was, and when its holder could rely on it.
//! * `tokens` (C1), `exclusion` (C3), `ownership` (C2, C4), `writes`, `waiting` (C6):
//!   one promise each.
//! * `spans`: sets of stretches of time. `verdict`: what is told.

mod exclusion;
mod leases;
mod ownership;
#[cfg(test)]
pub(crate) mod samples;
mod spans;
#[cfg(test)]
mod tests;
mod tokens;
mod verdict;
mod waiting;
mod writes;

pub use leases::{Attempt, Lease, Leases, Span, Use};
pub use verdict::{Class, Figures, Promise, Spread, Verdict, Violation};

use crate::history::{Band, Record};

/// Judges a history, in the order in which it was recorded.
#[must_use]
pub fn check(records: &[Record]) -> Verdict {
    let leases = Leases::of(records);
    let bands = bands(records);
    let mut verdict = Verdict::new(records, &bands);
    verdict.count(&leases);
    tokens::check(&leases, &mut verdict);
    exclusion::check(&leases, &mut verdict);
    ownership::check(&leases, &mut verdict);
    writes::check(&leases, &mut verdict);
    waiting::check(&leases, &mut verdict);
    verdict.finish()
}

/// What was done in the course of it.
pub(crate) fn bands(records: &[Record]) -> Vec<Band> {
    let band = |record: &Record| match record {
        Record::Fault(band) => Some(band.clone()),
        _ => None,
    };
    records.iter().filter_map(band).collect()
}
