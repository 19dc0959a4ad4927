//! The page: one file that needs no other, for screens light and dark and for paper.

use std::fmt::Write as _;

use super::timeline::{self, STYLE};
use super::{escape, length, overview, text, windows};
use crate::check::{Leases, Spread, Verdict, bands};
use crate::history::Record;

const PAGE: &str = "\
:root{color-scheme:light dark;--paper:#fff;--ink:#1d2733;--faint:#5a687a;--line:#d5dce5;--good:#23895a;--bad:#c22a2a}\
@media(prefers-color-scheme:dark){:root{--paper:#12181f;--ink:#e4eaf1;--faint:#94a3b6;--line:#36414e;--good:#4cc38a;--bad:#ff6b6b}}\
@media print{:root{--paper:#fff;--ink:#000;--faint:#444;--line:#bbb}figure{break-inside:avoid}}\
body{background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif;max-width:1140px;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2.2rem}p{max-width:48rem}\
.verdict{font-size:1.2rem;font-weight:600;border-left:6px solid;padding:.3rem .8rem}.kept{color:var(--good);border-color:var(--good)}\
.broken{color:var(--bad);border-color:var(--bad)}.faint,figcaption{color:var(--faint)}\
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.2rem .7rem;border-bottom:1px solid var(--line);text-align:right}\
th:first-child,td:first-child{text-align:left;padding-left:0}.scroll{overflow-x:auto}td.bad{color:var(--bad);font-weight:600}\
figure{margin:1.2rem 0}figcaption{font-size:.9rem}li.bad{color:var(--bad)}\
.key{font-size:.9rem}.key span{white-space:nowrap;margin-right:1rem}.key i{display:inline-block;width:1.3rem;height:.7rem;border-radius:2px}";

/// The verdict and the drawings as a page of HTML with everything in it.
#[must_use]
pub fn page(title: &str, verdict: &Verdict, records: &[Record]) -> String {
    let mut html = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut html, title, verdict, records);
    html
}

fn write(
    html: &mut String,
    title: &str,
    verdict: &Verdict,
    records: &[Record],
) -> std::fmt::Result {
    let leases = Leases::of(records);
    let bands = bands(records);
    let (class, said) = match verdict.holds() {
        true => ("kept", "Every promise was kept."),
        false => ("broken", "A promise was broken."),
    };
    let title = escape(title);
    write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{PAGE}{STYLE}</style></head><body><h1>{title}</h1>\
         <p class=\"faint\">{}</p><p class=\"verdict {class}\">{said}</p>",
        escape(&text::headline(verdict))
    )?;
    promises(html, verdict)?;
    spreads(html, verdict)?;
    html.push_str("<h2>The run</h2><figure>");
    html.push_str(&overview::draw(verdict, &leases, &bands));
    html.push_str("<figcaption>Locks granted; bands are faults, red marks broken promises.</figcaption></figure>");
    if verdict.classes.len() > 1 {
        faults(html, verdict)?;
    }
    if !verdict.violations.is_empty() {
        violations(html, verdict)?;
    }
    html.push_str("<h2>Timelines</h2>");
    key(html);
    for window in windows::windows(verdict, records) {
        html.push_str("<figure><div class=\"scroll\">");
        html.push_str(&timeline::inline(verdict, &leases, &bands, &window));
        write!(
            html,
            "</div><figcaption>{}</figcaption></figure>",
            escape(&window.title)
        )?;
    }
    html.push_str("</body></html>\n");
    Ok(())
}

fn promises(html: &mut String, verdict: &Verdict) -> std::fmt::Result {
    html.push_str("<table><tr><th>promise</th><th>broken</th></tr>");
    for (promise, broken) in text::promises(verdict) {
        let class = if broken.is_some_and(|count| count > 0) {
            " class=\"bad\""
        } else {
            ""
        };
        let broken = broken.map_or("not judged: no tokens".into(), |count| count.to_string());
        write!(
            html,
            "<tr><td>{}</td><td{class}>{broken}</td></tr>",
            escape(promise)
        )?;
    }
    html.push_str("</table>");
    let totals = &verdict.totals;
    write!(
        html,
        "<p>{} writes reached the resource, {} of them from holders that had been overtaken meanwhile: a resource without a fence takes those. The fence refused {}.",
        totals.writes, totals.stale_writes, totals.refused_writes
    )?;
    if totals.overlaps_outside > 0 {
        write!(
            html,
            " {} overlaps fell where clocks or state had been broken beyond what C3 assumes.",
            totals.overlaps_outside
        )?;
    }
    html.push_str("</p>");
    Ok(())
}

fn spreads(html: &mut String, verdict: &Verdict) -> std::fmt::Result {
    html.push_str("<table><tr><th></th><th>count</th><th>median</th><th>90 %</th><th>99 %</th><th>longest</th></tr>");
    let mut row = |title: &str, of: &Spread| {
        write!(
            html,
            "<tr><td>{title}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            of.count,
            length(of.median),
            length(of.p90),
            length(of.p99),
            length(of.max)
        )
    };
    row("waits", &verdict.waits)?;
    row("holds", &verdict.holds)?;
    html.push_str("</table>");
    Ok(())
}

fn faults(html: &mut String, verdict: &Verdict) -> std::fmt::Result {
    html.push_str("<h2>By kind of fault</h2><div class=\"scroll\"><table><tr><th>fault</th>");
    for heading in text::COLUMNS {
        write!(html, "<th>{heading}</th>")?;
    }
    html.push_str("</tr>");
    for class in &verdict.classes {
        write!(html, "<tr><td>{}</td>", escape(&text::class_title(class)))?;
        for cell in text::cells(class.windows, &class.figures) {
            write!(html, "<td>{cell}</td>")?;
        }
        html.push_str("</tr>");
    }
    html.push_str(
        "</table></div><p class=\"faint\">Each fault with the time after it in which it may still show. failed: calls that failed or whose outcome is not known; \
         C1, C3, C2+C4 and fence count what was broken; beyond: overlaps where C3 is not promised; \
         stale: writes of overtaken holders; stuck: waiters left beside a free lock; \
         longest gap: the longest time in which somebody wanted the lock and nobody had it.</p>",
    );
    Ok(())
}

fn violations(html: &mut String, verdict: &Verdict) -> std::fmt::Result {
    html.push_str("<h2>What was broken</h2><ul>");
    let begun = verdict.run.as_ref().map_or(0, |run| run.at_us);
    for violation in verdict.violations.iter().take(50) {
        let class = if violation.inside {
            " class=\"bad\""
        } else {
            ""
        };
        let outside = if violation.inside {
            ""
        } else {
            ", beyond what it assumes"
        };
        write!(
            html,
            "<li{class}>{} at {}{outside}: {}</li>",
            violation.promise.title(),
            length(violation.from_us.saturating_sub(begun)),
            escape(&violation.said)
        )?;
    }
    if verdict.violations.len() > 50 {
        write!(html, "<li>and {} more</li>", verdict.violations.len() - 50)?;
    }
    html.push_str("</ul>");
    Ok(())
}

fn key(html: &mut String) {
    const SIGNS: [(&str, &str); 10] = [
        ("background:#3b78c3", "lease, with the end of its token"),
        (
            "background:#9fb0c3;height:2px;vertical-align:middle",
            "waiting",
        ),
        (
            "background:#e2a32b;height:4px",
            "paused between looking and writing",
        ),
        (
            "background:#23895a;width:.5rem;height:.5rem;border-radius:50%",
            "write",
        ),
        (
            "border:2px solid #cf2f2f;width:.5rem;height:.5rem;border-radius:50%",
            "write after its lease",
        ),
        ("", "write refused by the fence"),
        ("background:#cf2f2f66", "promise broken"),
        ("background:#8a63c955", "fault: minority"),
        ("background:#c2417c66", "fault: majority"),
        ("background:#2f9aa555", "fault: client"),
    ];
    html.push_str("<p class=\"key\">");
    for (style, said) in SIGNS {
        let sign = match style {
            "" => "<b style=\"color:#cf2f2f\">✕</b>".to_owned(),
            style => format!("<i style=\"{style}\"></i>"),
        };
        let _ = write!(html, "<span>{sign} {said}</span> ");
    }
    html.push_str("Point at anything for its figures.</p>");
}
