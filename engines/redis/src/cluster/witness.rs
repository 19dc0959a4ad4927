//! Since when a master has served its slots.
//!
//! A slot that is used for the first time, that has moved, or whose master was just
//! promoted has no record that can be believed, and nothing in it tells when that
//! came to be: a promoted replica may have been up for months, and a slot may have
//! come to it a moment ago from a master that lost its memory. So each master has a
//! *witness*, one key in the last of its slots: its run id, and for each slot the
//! moment from which on some client of ours has known this master, under this run id,
//! to serve it. Whatever was granted in the slot by anybody else is no younger than
//! that, and has run out when that is longer ago than the longest hold.
//!
//! A flush takes the witness along, a failover changes the run id, a slot that goes
//! away is struck out by the next client that sees the map: the time begins anew. It
//! is one time for all slots of a failed-over master, so that they do not wait one
//! after the other as they come to be used.

use std::fmt;
use std::time::Duration;

use leasehold_core::quorum::{Inspection, JoinCommand, JoinReply, RunId};

use super::map::Range;

/// As servers tell their uptime, in whole seconds, the join takes one off.
const UPTIME_STEP: Duration = Duration::from_secs(1);

/// What is known of a master's slots. Times are by its own clock, in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Witness {
    /// When any client first looked at any master that handed this on.
    first: u64,
    run_id: RunId,
    /// In ascending order.
    since: Vec<(Range, u64)>,
}

impl Witness {
    /// What a key holds; `None` for nothing, and for anything else than a witness.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let first = words.next()?.parse().ok()?;
        let run_id = words.next()?.parse().ok()?;
        let piece = |word: &str| {
            let (range, since) = word.split_once('@')?;
            let (from, to) = range.split_once('-')?;
            let range = (from.parse().ok()?, to.parse().ok()?);
            Some((range, since.parse().ok()?))
        };
        Some(Self {
            first,
            run_id,
            since: words.map(piece).collect::<Option<_>>()?,
        })
    }

    /// What is known from now on, when the master of this run id is seen to serve
    /// these slots, in ascending order.
    pub(crate) fn next(old: Option<&Self>, run_id: RunId, ranges: &[Range], now: u64) -> Self {
        let first = old.map_or(now, |old| old.first.min(now));
        let same = old.filter(|old| old.run_id == run_id);
        let known = same.map_or(&[][..], |old| &old.since);
        let mut since: Vec<(Range, u64)> = Vec::new();
        let mut add = |range: Range, at: u64| match since.last_mut() {
            Some((last, then)) if *then == at && last.1.checked_add(1) == Some(range.0) => {
                last.1 = range.1;
            }
            _ => since.push((range, at)),
        };
        for &(from, to) in ranges {
            let mut next = u32::from(from);
            for &((a, b), at) in known {
                let start = next.max(a.into());
                let end = u32::from(to.min(b));
                if start > end {
                    continue;
                }
                if next < start {
                    add((next as u16, (start - 1) as u16), now);
                }
                add((start as u16, end as u16), at.min(now));
                next = end + 1;
            }
            if next <= u32::from(to) {
                add((next as u16, to), now);
            }
        }
        Self {
            first,
            run_id,
            since,
        }
    }

    /// How long this slot is known to have been served under this run id.
    pub(crate) fn age(&self, run_id: RunId, slot: u16, now: u64) -> Duration {
        if self.run_id != run_id {
            return Duration::ZERO;
        }
        let mut pieces = self.since.iter();
        let piece = pieces.find(|((from, to), _)| (*from..=*to).contains(&slot));
        let since = piece.map_or(now, |(_, since)| *since);
        Duration::from_micros(now.saturating_sub(since))
    }

    /// How long ago any client first looked.
    pub(crate) fn known_for(&self, now: u64) -> Duration {
        Duration::from_micros(now.saturating_sub(self.first))
    }

    /// Whether it speaks of this run of the server.
    pub(crate) fn is_of(&self, run_id: RunId) -> bool {
        self.run_id == run_id
    }

    /// How many slots it speaks of.
    pub(crate) fn slots(&self) -> usize {
        self.younger_than(Duration::MAX, self.first)
    }

    /// How many of these slots it has known for less than this.
    pub(crate) fn younger_than(&self, length: Duration, now: u64) -> usize {
        let young = |since: u64| Duration::from_micros(now.saturating_sub(since)) < length;
        let pieces = self.since.iter().filter(|(_, since)| young(*since));
        pieces
            .map(|((from, to), _)| usize::from(to.saturating_sub(*from)) + 1)
            .sum()
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.first, self.run_id)?;
        self.since
            .iter()
            .try_for_each(|((from, to), since)| write!(f, " {from}-{to}@{since}"))
    }
}

/// What a slot said of itself, with the witness in place of the uptime: that tells
/// when the slot's server came to be the slot's server. `evicted`: the server may have
/// dropped some keys and kept the witness.
pub(crate) fn testify(
    reply: JoinReply,
    witness: Option<&Witness>,
    slot: u16,
    evicted: bool,
) -> JoinReply {
    let age = |own: &Inspection| {
        witness.map_or(Duration::ZERO, |w| w.age(own.run_id, slot, own.unix_micros))
    };
    match reply {
        // Another client has joined it since it was inspected: inspected once more, it
        // is found to have forgotten nothing.
        JoinReply::Noticed { inspection, .. } if inspection.joined == Some(inspection.run_id) => {
            JoinReply::Refused
        }
        JoinReply::Noticed {
            ticket,
            ago,
            inspection,
        } => {
            let age = age(&inspection);
            JoinReply::Noticed {
                ticket,
                ago,
                inspection: Inspection {
                    uptime: age.saturating_add(UPTIME_STEP),
                    // Then the ticket tells; nothing was granted since it was written.
                    disturbed: evicted || age < ago,
                    ..inspection
                },
            }
        }
        other => other,
    }
}

/// Whether the answer to this step of a join needs the witness.
pub(crate) const fn needs_witness(command: &JoinCommand) -> bool {
    matches!(command, JoinCommand::Notice { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::{Nonce, Token};

    fn run(digits: &str) -> RunId {
        digits.repeat(20).parse().unwrap()
    }

    fn micros(length: u64) -> Duration {
        Duration::from_micros(length)
    }

    #[test]
    fn what_was_known_stays_known_and_what_is_new_begins_now() {
        let one = Witness::next(None, run("ab"), &[(0, 99)], 1_000);
        assert_eq!(one.age(run("ab"), 7, 1_500), micros(500));
        assert_eq!(one.age(run("cd"), 7, 1_500), Duration::ZERO);
        // Slots 10 to 19 go away, 100 to 109 come.
        let two = Witness::next(Some(&one), run("ab"), &[(0, 9), (20, 109)], 2_000);
        assert_eq!(
            two.since,
            [((0, 9), 1_000), ((20, 99), 1_000), ((100, 109), 2_000)]
        );
        // 10 to 19 come back: nothing is known of the time between.
        let three = Witness::next(Some(&two), run("ab"), &[(0, 109)], 3_000);
        assert_eq!(three.age(run("ab"), 15, 3_000), Duration::ZERO);
        assert_eq!(three.age(run("ab"), 20, 3_000), micros(2_000));
        assert_eq!(three.age(run("ab"), 104, 3_000), micros(1_000));
        assert_eq!(three.younger_than(micros(1_500), 3_000), 20);
        assert_eq!(Witness::read(&three.to_string()), Some(three));
    }

    #[test]
    fn another_run_id_knows_nothing_but_the_first_look() {
        let one = Witness::next(None, run("ab"), &[(0, 16_383)], 1_000);
        let two = Witness::next(Some(&one), run("cd"), &[(0, 16_383)], 9_000);
        assert_eq!(two.age(run("cd"), 0, 9_000), Duration::ZERO);
        assert_eq!(two.known_for(9_000), micros(8_000));
        assert_eq!(two.since, [((0, 16_383), 9_000)]);
    }

    #[test]
    fn a_clock_that_goes_back_makes_nothing_older() {
        let one = Witness::next(None, run("ab"), &[(0, 9)], 9_000);
        let two = Witness::next(Some(&one), run("ab"), &[(0, 9)], 1_000);
        assert_eq!(two.age(run("ab"), 0, 1_000), Duration::ZERO);
    }

    #[test]
    fn garbage_is_no_witness() {
        let id = "ab".repeat(20);
        for text in [
            "",
            "x",
            "1",
            &format!("1 {id} 0-1"),
            &format!("1 {id} 0@1"),
            "1 ab 0-1@2",
        ] {
            assert_eq!(Witness::read(text), None, "{text}");
        }
        assert!(Witness::read(&format!("1 {id}")).is_some());
    }

    #[test]
    fn the_ticket_counts_where_the_witness_knows_less() {
        let noticed = |ago| JoinReply::Noticed {
            ticket: Nonce::from_bytes([0; 16]),
            ago: micros(ago),
            inspection: Inspection {
                run_id: run("ab"),
                joined: None,
                mark: Token::NONE,
                max_ttl: Duration::ZERO,
                uptime: Duration::from_secs(1_000_000),
                disturbed: false,
                unix_micros: 5_000,
            },
        };
        let witness = Witness::next(None, run("ab"), &[(0, 9)], 2_000);
        let judged = |ago, slot, evicted| match testify(noticed(ago), Some(&witness), slot, evicted)
        {
            JoinReply::Noticed { inspection, .. } => (inspection.uptime, inspection.disturbed),
            other => panic!("{other:?}"),
        };
        let second = Duration::from_secs(1);
        assert_eq!(judged(10, 3, false), (second + micros(3_000), false));
        assert!(judged(4_000, 3, false).1);
        assert!(judged(10, 3, true).1);
        assert_eq!(judged(0, 77, false), (second, false));
    }
}
