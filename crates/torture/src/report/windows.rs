//! Which stretches of a run are worth drawing.

use crate::check::{Verdict, Violation};
use crate::history::{Band, Record};

/// A run no longer than this is drawn whole.
const WHOLE_US: u64 = 8_000_000;
/// No stretch is longer than this.
const LONGEST_US: u64 = 8_000_000;
/// What is shown before and after what matters.
const AROUND_US: u64 = 400_000;
/// At most so many are drawn for broken promises, and as many for faults.
const MOST: usize = 16;

/// A stretch of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where it begins, in microseconds of [`clock`](crate::clock).
    pub from: u64,
    /// Where it ends.
    pub to: u64,
    /// Why it is shown.
    pub title: String,
}

/// The stretches that matter: around broken promises, around the first fault of each
/// kind, and the beginning; all of a short run.
#[must_use]
pub fn windows(verdict: &Verdict, records: &[Record]) -> Vec<Window> {
    let Some(run) = &verdict.run else {
        return Vec::new();
    };
    let (begun, end) = (run.at_us, run.at_us + verdict.lasted_us);
    if verdict.lasted_us <= WHOLE_US {
        let title = "The whole run".into();
        return vec![Window {
            from: begun,
            to: end,
            title,
        }];
    }
    let mut chosen: Vec<Window> = Vec::new();
    for violation in &verdict.violations {
        let shown =
            |window: &Window| window.from <= violation.from_us && violation.from_us <= window.to;
        if chosen.len() < MOST && !chosen.iter().any(shown) {
            chosen.push(Window::around(violation));
        }
    }
    let mut kinds = Vec::new();
    for band in crate::check::bands(records) {
        let kind = (band.kind.clone(), band.scope);
        if kinds.len() < MOST && !kinds.contains(&kind) {
            chosen.push(around_band(&band));
            kinds.push(kind);
        }
    }
    let refused = records.iter().find_map(|record| match record {
        Record::Write(write) if write.accepted == Some(false) => Some(write.at_us),
        _ => None,
    });
    if let Some(at) = refused {
        chosen.push(Window {
            from: at.saturating_sub(LONGEST_US / 2),
            to: at + AROUND_US,
            title: "The first write that the fence refused".into(),
        });
    }
    chosen.push(Window {
        from: begun,
        to: begun + LONGEST_US / 2,
        title: "The beginning".into(),
    });
    for window in &mut chosen {
        window.from = window.from.max(begun);
        window.to = window.to.min(end).min(window.from + LONGEST_US);
    }
    chosen
}

impl Window {
    /// What is worth drawing around a broken promise.
    #[must_use]
    pub fn around(violation: &Violation) -> Self {
        let outside = if violation.inside {
            ""
        } else {
            " (beyond what it assumes)"
        };
        Self {
            from: violation.from_us.saturating_sub(AROUND_US),
            to: (violation.to_us + AROUND_US).min(violation.from_us + LONGEST_US),
            title: format!("{}{outside}: {}", violation.promise.title(), violation.said),
        }
    }
}

fn around_band(band: &Band) -> Window {
    Window {
        from: band.from_us.saturating_sub(AROUND_US),
        to: band.to_us + band.tail_us + AROUND_US,
        title: format!("{}: {}", band.kind, band.target),
    }
}
