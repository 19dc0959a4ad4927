//! The few choices of a failing schedule that matter.

use std::collections::BTreeSet;

use crate::log::Keep;
use crate::schedule::Schedule;

/// How many runs it may take.
const RUNS: usize = 3_000;

/// A schedule that breaks the same promise with fewer choices: none of those that
/// are left can be taken out alone, unless `RUNS` runs were not enough to find out.
///
/// Delta debugging (Zeller and Hildebrandt, 2002) on the choices: halves first, then
/// ever smaller pieces. `None` if the schedule breaks nothing.
#[must_use]
pub fn shrink(schedule: &Schedule) -> Option<Schedule> {
    let run = schedule.play(Keep::Nothing);
    let promise = run.promise()?.to_owned();
    let mut kept: Vec<u32> = run.choices;
    let mut runs = 0;
    let mut fails = |choices: &[u32]| {
        runs += 1;
        let only: BTreeSet<u32> = choices.iter().copied().collect();
        let tried = Schedule {
            only: Some(only),
            ..schedule.clone()
        };
        let run = tried.play(Keep::Nothing);
        let same = run.promise() == Some(&promise);
        (same && runs <= RUNS).then_some(run.choices)
    };
    let mut piece = kept.len().div_ceil(2);
    while piece > 0 {
        let mut at = 0;
        let mut shorter = false;
        while at < kept.len() {
            let end = (at + piece).min(kept.len());
            let rest = [&kept[..at], &kept[end..]].concat();
            match fails(&rest) {
                Some(made) if made.len() < kept.len() => {
                    kept = made;
                    shorter = true;
                }
                _ => at = end,
            }
        }
        if !shorter || piece > 1 {
            piece /= 2;
        }
    }
    Some(Schedule {
        only: Some(kept.into_iter().collect()),
        ..schedule.clone()
    })
}
