//! One stretch of a run, drawn: a lane for each client.

use std::fmt::Write as _;

use super::windows::Window;
use super::{escape, length};
use crate::check::{Attempt, Lease, Leases, Promise, Verdict};
use crate::history::{Band, Scope};

const WIDTH: f64 = 1_100.0;
const LABELS: f64 = 92.0;
const TOP: f64 = 40.0;
const LANE: f64 = 24.0;
const BAR: f64 = 15.0;
const BOTTOM: f64 = 26.0;
/// What a drawing that stands alone says of itself.
const CAPTION: f64 = 20.0;
/// A bar narrower than this has no room for its token.
const ROOM: f64 = 38.0;

/// The look of a drawing, light and dark; part of the page, or of a drawing that
/// stands alone.
pub(super) const STYLE: &str = "\
svg{--ink:#1d2733;--faint:#66758a;--line:#d5dce5;--bar:#3b78c3;--barink:#fff;--wait:#9fb0c3;\
--pause:#e2a32b;--good:#23895a;--bad:#cf2f2f;--minor:#8a63c9;--major:#c2417c;--client:#2f9aa5;\
font:11px system-ui,sans-serif;max-width:100%;height:auto}\
@media(prefers-color-scheme:dark){svg{--ink:#e4eaf1;--faint:#94a3b6;--line:#36414e;--bar:#5b9be8;\
--barink:#0d1520;--wait:#5d6d80;--pause:#f0b94a;--good:#4cc38a;--bad:#ff6b6b;--minor:#b392f0;\
--major:#f07fb2;--client:#5cc7d2}}\
@media print{svg{--ink:#000;--faint:#444;--line:#bbb;--bar:#3b78c3;--barink:#fff}}\
.t{fill:var(--ink)}.f{fill:var(--faint)}.l{stroke:var(--line);stroke-width:1}\
.b{fill:var(--bar)}.k{fill:var(--barink);font-size:9.5px}.w{stroke:var(--wait);stroke-width:2}\
.p{fill:var(--pause)}.ok{fill:var(--good)}.no{stroke:var(--bad);stroke-width:2.2;fill:none}\
.st{stroke:var(--bad);stroke-width:1.6;fill:none}.ov{fill:var(--bad);fill-opacity:.28;stroke:var(--bad)}\
.mi{fill:var(--minor);fill-opacity:.16}.ma{fill:var(--major);fill-opacity:.2}\
.cl{fill:var(--client);fill-opacity:.16}";

/// A drawing as a file of its own.
#[must_use]
pub fn standalone(
    verdict: &Verdict,
    records: &[crate::history::Record],
    window: &Window,
) -> String {
    let leases = Leases::of(records);
    let bands = crate::check::bands(records);
    draw(verdict, &leases, &bands, window, true)
}

/// A drawing for a page that has [`STYLE`].
pub(super) fn inline(
    verdict: &Verdict,
    leases: &Leases,
    bands: &[Band],
    window: &Window,
) -> String {
    draw(verdict, leases, bands, window, false)
}

/// Where moments are on the drawing.
struct Scale {
    from: u64,
    to: u64,
}

impl Scale {
    #[allow(clippy::cast_precision_loss)] // a window is seconds long
    fn x(&self, at: u64) -> f64 {
        let at = at.clamp(self.from, self.to);
        let part = (at - self.from) as f64 / (self.to - self.from).max(1) as f64;
        LABELS + part * (WIDTH - LABELS - 6.0)
    }

    const fn touches(&self, from: u64, to: u64) -> bool {
        from <= self.to && self.from <= to
    }
}

fn lane(client: u32) -> f64 {
    TOP + f64::from(client) * LANE
}

fn draw(
    verdict: &Verdict,
    leases: &Leases,
    bands: &[Band],
    window: &Window,
    alone: bool,
) -> String {
    let mut svg = String::new();
    // Writing to a string does not fail.
    let _ = write_svg(&mut svg, verdict, leases, bands, window, alone);
    svg
}

fn write_svg(
    svg: &mut String,
    verdict: &Verdict,
    leases: &Leases,
    bands: &[Band],
    window: &Window,
    alone: bool,
) -> std::fmt::Result {
    let clients = verdict.run.as_ref().map_or(0, |run| run.clients);
    let scale = Scale {
        from: window.from,
        to: window.to,
    };
    let caption = if alone { CAPTION } else { 0.0 };
    let height = lane(clients) + BOTTOM + caption;
    let space = if alone {
        " xmlns=\"http://www.w3.org/2000/svg\""
    } else {
        ""
    };
    write!(
        svg,
        "<svg{space} viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\
         <title>{}</title>",
        escape(&window.title)
    )?;
    if alone {
        write!(
            svg,
            "<style>{STYLE}</style><text class=\"t\" x=\"4\" y=\"{:.1}\">{}</text>",
            height - 6.0,
            escape(&window.title)
        )?;
    }
    faults(svg, bands, &scale, lane(clients))?;
    axis(svg, verdict, &scale, lane(clients))?;
    for client in 0..clients {
        let y = lane(client) + LANE - 5.0;
        write!(
            svg,
            "<text class=\"t\" x=\"4\" y=\"{y:.1}\">client {client}</text>\
             <line class=\"l\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{0:.1}\" y2=\"{0:.1}\"/>",
            lane(client) + LANE
        )?;
    }
    for attempt in &leases.attempts {
        if scale.touches(attempt.span.from, attempt.span.to) {
            waiting(svg, attempt, &scale)?;
        }
    }
    let single = verdict.run.as_ref().is_some_and(|run| run.names == 1);
    for lease in &leases.all {
        if scale.touches(
            lease.got,
            lease
                .pauses
                .iter()
                .map(|p| p.to)
                .fold(lease.end(), u64::max),
        ) {
            bar(svg, lease, &scale, single)?;
        }
    }
    for (place, write) in &leases.writes {
        if scale.touches(write.at_us, write.at_us) {
            let lease = &leases.all[*place];
            let stale = lease.end() < write.at_us;
            mark(svg, lease, write.at_us, write.accepted, stale, &scale)?;
        }
    }
    overlaps(svg, verdict, &scale, lane(clients))?;
    svg.push_str("</svg>");
    Ok(())
}

fn faults(svg: &mut String, bands: &[Band], scale: &Scale, bottom: f64) -> std::fmt::Result {
    for band in bands
        .iter()
        .filter(|band| scale.touches(band.from_us, band.to_us))
    {
        let (from, to) = (scale.x(band.from_us), scale.x(band.to_us));
        let class = match band.scope {
            Scope::Minority => "mi",
            Scope::Majority => "ma",
            Scope::Client => "cl",
        };
        let title = escape(&format!("{}: {}", band.kind, band.target));
        let text = (from + 3.0).min(WIDTH - 200.0);
        write!(
            svg,
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"0\" width=\"{:.1}\" height=\"{bottom:.1}\"><title>{title}, {}</title></rect>\
             <text class=\"t\" x=\"{text:.1}\" y=\"12\">{title}</text>",
            (to - from).max(1.5),
            length(band.to_us.saturating_sub(band.from_us)),
        )?;
    }
    Ok(())
}

fn axis(svg: &mut String, verdict: &Verdict, scale: &Scale, bottom: f64) -> std::fmt::Result {
    const STEPS: [u64; 9] = [
        10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000,
    ];
    let begun = verdict.run.as_ref().map_or(0, |run| run.at_us);
    let span = scale.to - scale.from;
    let step = STEPS
        .into_iter()
        .find(|step| span / step <= 12)
        .unwrap_or(10_000_000);
    let mut at = begun + scale.from.saturating_sub(begun).next_multiple_of(step);
    while at <= scale.to {
        let x = scale.x(at);
        #[allow(clippy::cast_precision_loss)]
        let seconds = (at - begun) as f64 / 1e6;
        write!(
            svg,
            "<line class=\"l\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>\
             <text class=\"f\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{seconds:.2} s</text>",
            bottom + 16.0
        )?;
        at += step;
    }
    Ok(())
}

fn waiting(svg: &mut String, attempt: &Attempt, scale: &Scale) -> std::fmt::Result {
    let (from, to) = (scale.x(attempt.span.from), scale.x(attempt.span.to));
    // So that a failure at once is seen as well.
    let to = to.max(from + 1.2);
    let y = lane(attempt.client) + LANE / 2.0;
    let ended = attempt.outcome.map_or("no answer".into(), |outcome| {
        format!("{outcome:?}").to_lowercase()
    });
    let lasted = length(attempt.span.to.saturating_sub(attempt.span.from));
    write!(
        svg,
        "<line class=\"w\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"><title>asked for {}: {ended} after {lasted}</title></line>",
        escape(&attempt.name)
    )
}

fn bar(svg: &mut String, lease: &Lease, scale: &Scale, single: bool) -> std::fmt::Result {
    let y = lane(lease.client) + (LANE - BAR) / 2.0;
    let token = lease
        .token
        .map_or("no token".into(), |token| format!("token {token}"));
    for span in &lease.spans {
        let (from, to) = (scale.x(span.from), scale.x(span.to));
        write!(
            svg,
            "<rect class=\"b\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"><title>{} client {} {token} {} for {}</title></rect>",
            (to - from).max(1.2),
            escape(&lease.name),
            lease.client,
            lease.kind,
            length(span.to.saturating_sub(span.from)),
        )?;
        if to - from >= ROOM {
            let name = if single {
                ""
            } else {
                lease.name.rsplit('/').next().unwrap_or("")
            };
            let short = lease
                .token
                .map_or(String::new(), |token| format!("…{:05}", token % 100_000));
            let gap = match name.is_empty() || short.is_empty() {
                true => "",
                false => ": ",
            };
            write!(
                svg,
                "<text class=\"k\" x=\"{:.1}\" y=\"{:.1}\">{}{gap}{short}</text>",
                from + 3.0,
                y + BAR - 4.0,
                escape(name)
            )?;
        }
    }
    for pause in &lease.pauses {
        let (from, to) = (scale.x(pause.from), scale.x(pause.to));
        write!(
            svg,
            "<rect class=\"p\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"4\"><title>paused between looking and writing</title></rect>",
            y + BAR - 3.0,
            (to - from).max(1.0)
        )?;
    }
    Ok(())
}

/// A write: a dot if it was taken, with a ring if its holder's lease was over, a
/// cross if the fence refused it.
fn mark(
    svg: &mut String,
    lease: &Lease,
    at: u64,
    accepted: Option<bool>,
    stale: bool,
    scale: &Scale,
) -> std::fmt::Result {
    let (x, y) = (scale.x(at), lane(lease.client) + LANE / 2.0 - 8.0);
    if accepted == Some(false) {
        return write!(
            svg,
            "<path class=\"no\" d=\"M{:.1} {:.1}l8 8m0 -8l-8 8\"><title>write refused by the fence</title></path>",
            x - 4.0,
            y - 4.0
        );
    }
    write!(
        svg,
        "<circle class=\"ok\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.4\"><title>write</title></circle>"
    )?;
    if stale {
        write!(
            svg,
            "<circle class=\"st\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"><title>write after the end of its lease</title></circle>"
        )?;
    }
    Ok(())
}

fn overlaps(svg: &mut String, verdict: &Verdict, scale: &Scale, bottom: f64) -> std::fmt::Result {
    for violation in &verdict.violations {
        if !scale.touches(violation.from_us, violation.to_us)
            || violation.promise == Promise::Liveness
        {
            continue;
        }
        let (from, to) = (scale.x(violation.from_us), scale.x(violation.to_us));
        write!(
            svg,
            "<rect class=\"ov\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}: {}</title></rect>",
            (to - from).max(1.5),
            bottom - TOP,
            violation.promise.title(),
            escape(&violation.said)
        )?;
    }
    Ok(())
}
