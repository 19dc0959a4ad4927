//! Which stretches of a run are worth drawing.

use crate::check::{Leases, Verdict, Violation};
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
    chosen.extend(Window::of_paused_holder(records));
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
    /// The first holder that was paused between looking at its lease and writing, and
    /// was overtaken: somebody else had the lock and wrote before it went on
    /// (Kleppmann, "How to do distributed locking", 2016, his first figure).
    #[must_use]
    pub fn of_paused_holder(records: &[Record]) -> Option<Self> {
        let leases = Leases::of(records);
        leases.writes.iter().find_map(|(place, write)| {
            let lease = &leases.all[*place];
            lease.pauses.last()?;
            let between = leases.writes.iter().find(|(other, earlier)| {
                let other = &leases.all[*other];
                other.name == lease.name
                    && lease.end() < other.got
                    && earlier.at_us < write.at_us
            });
            let by = &leases.all[between?.0];
            let fate = match write.accepted {
                Some(false) => "the fence refuses its write",
                Some(true) => "its write is accepted",
                None => "nothing refuses its write",
            };
            Some(Self {
                from: lease.got.saturating_sub(AROUND_US / 2),
                to: write.at_us + AROUND_US,
                title: format!(
                    "Client {} is paused between looking at its lease of {} and writing; client {} writes meanwhile; then {fate}",
                    lease.client, lease.name, by.client
                ),
            })
        })
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;
    use crate::check::samples::Sample;
    use crate::history::{Run, Scope};
    use crate::plan::tests::hello;
    use crate::report::{page, standalone};

    /// A minute with a paused holder at its third second and an overlap at its 50th.
    fn minute() -> Vec<Record> {
        let mut sample = Sample::default();
        sample.records.push(Record::Run(Run {
            at_us: 0,
            worker: hello(&[]),
            url: "<redis>".into(),
            seed: 1,
            clients: 3,
            processes: 3,
            names: 1,
            ttl_ms: 1_000,
            mode: "exclusive".into(),
        }));
        let paused = sample.grant(0, 1, 3_000, 3_001);
        let next = sample.grant(1, 2, 4_100, 4_101);
        sample.write(next, 2, 4_110, true);
        sample.used(0, paused, 3_002, 4_300);
        sample.write(paused, 1, 4_300, false);
        sample.band(Scope::Minority, false, 20_000, 21_000);
        sample.grant(0, 3, 50_000, 50_001);
        sample.grant(2, 4, 50_100, 50_101);
        sample.records.push(Record::End { at_us: 60_000_000 });
        sample.records
    }

    #[test]
    fn a_long_run_is_drawn_where_it_matters() {
        let records = minute();
        let windows = windows(&check(&records), &records);
        let shows = |millis: u64| {
            let at = millis * 1_000;
            windows
                .iter()
                .any(|window| window.from < at && at < window.to)
        };
        for (millis, shown) in [
            (50_101, true),
            (20_500, true),
            (4_300, true),
            (35_000, false),
        ] {
            assert_eq!(shows(millis), shown, "{millis} ms in {windows:?}");
        }
    }

    #[test]
    fn the_page_has_what_happened_and_nothing_that_is_taken_for_markup() {
        let records = minute();
        let verdict = check(&records);
        let page = page("a < b", &verdict, &records);
        assert!(page.contains("A promise was broken") && page.contains("a &lt; b"));
        assert!(page.contains("write refused by the fence") && page.contains("&lt;redis&gt;"));
        assert!(!page.contains("<redis>") && !page.contains("http"));
        let window = Window::of_paused_holder(&records).expect("one was overtaken");
        assert!(window.title.contains("Client 0") && window.title.contains("client 1"));
        let drawing = standalone(&verdict, &records, &window);
        assert!(drawing.starts_with("<svg xmlns=") && drawing.ends_with("</svg>"));
        assert!(
            drawing.contains("class=\"no\""),
            "the refused write is not drawn"
        );
    }
}
