//! The whole run: grants over time, and the faults.

use std::fmt::Write as _;

use super::escape;
use crate::check::{Leases, Verdict};
use crate::history::{Band, Scope};

const WIDTH: f64 = 1_100.0;
const LEFT: f64 = 92.0;
const HEIGHT: f64 = 90.0;
const BARS: u64 = 200;
/// What the marks of the axis may be apart, in seconds.
const STEPS: [u64; 10] = [1, 2, 5, 10, 30, 60, 300, 600, 1_800, 3_600];

/// The whole run as a drawing.
pub(super) fn draw(verdict: &Verdict, leases: &Leases, bands: &[Band]) -> String {
    let mut svg = String::new();
    // Writing to a string does not fail.
    let _ = write_svg(&mut svg, verdict, leases, bands);
    svg
}

#[allow(clippy::cast_precision_loss)] // seconds and counts
fn write_svg(
    svg: &mut String,
    verdict: &Verdict,
    leases: &Leases,
    bands: &[Band],
) -> std::fmt::Result {
    let begun = verdict.run.as_ref().map_or(0, |run| run.at_us);
    let lasted = verdict.lasted_us.max(1);
    let x = |at: u64| {
        let part = at.saturating_sub(begun).min(lasted) as f64 / lasted as f64;
        LEFT + part * (WIDTH - LEFT - 6.0)
    };
    let counts = counts(leases, begun, lasted);
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    write!(
        svg,
        "<svg viewBox=\"0 0 {WIDTH} {0}\" width=\"{WIDTH}\" height=\"{0}\" role=\"img\"><title>grants over the whole run</title>",
        HEIGHT + 24.0
    )?;
    for band in bands {
        let class = match band.scope {
            Scope::Minority => "mi",
            Scope::Majority => "ma",
            Scope::Client => "cl",
        };
        let (from, to) = (x(band.from_us), x(band.to_us));
        let title = escape(&format!("{}: {}", band.kind, band.target));
        write!(
            svg,
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"0\" width=\"{:.1}\" height=\"{HEIGHT}\"><title>{title}</title></rect>",
            (to - from).max(1.0)
        )?;
    }
    let width = (WIDTH - LEFT - 6.0) / BARS as f64;
    for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let tall = *count as f64 / most as f64 * (HEIGHT - 16.0);
        write!(
            svg,
            "<rect class=\"b\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"/>",
            LEFT + at as f64 * width,
            HEIGHT - tall,
            (width - 0.6).max(0.5)
        )?;
    }
    for violation in verdict.violations.iter().take(500) {
        write!(
            svg,
            "<circle class=\"{}\" cx=\"{:.1}\" cy=\"7\" r=\"4\"><title>{}: {}</title></circle>",
            if violation.inside { "ov" } else { "st" },
            x(violation.from_us),
            violation.promise.title(),
            escape(&violation.said)
        )?;
    }
    let rate = most as f64 / (lasted as f64 / BARS as f64 / 1e6);
    write!(
        svg,
        "<text class=\"t\" x=\"4\" y=\"24\">grants</text><text class=\"f\" x=\"4\" y=\"38\">top: {rate:.0} a second</text>\
         <line class=\"l\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/>"
    )?;
    let step = STEPS
        .into_iter()
        .find(|step| lasted / 1_000_000 / step <= 12);
    let step = step.unwrap_or(36_000);
    for second in (0..=lasted / 1_000_000).step_by(usize::try_from(step).unwrap_or(1)) {
        write!(
            svg,
            "<text class=\"f\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{second} s</text>",
            x(begun + second * 1_000_000),
            HEIGHT + 16.0,
        )?;
    }
    svg.push_str("</svg>");
    Ok(())
}

/// The grants in each of [`BARS`] equal stretches.
fn counts(leases: &Leases, begun: u64, lasted: u64) -> Vec<u64> {
    let mut counts = vec![0; usize::try_from(BARS).unwrap_or(0)];
    for lease in &leases.all {
        let place =
            u128::from(lease.got.saturating_sub(begun)) * u128::from(BARS) / u128::from(lasted);
        if let Some(count) = usize::try_from(place)
            .ok()
            .and_then(|place| counts.get_mut(place))
        {
            *count += 1;
        }
    }
    counts
}
