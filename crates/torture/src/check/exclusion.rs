//! C3: no two leases are valid at once that exclude each other.

use super::leases::{Lease, Leases, Span};
use super::verdict::{Promise, Verdict};
use crate::protocol::Kind;

/// Goes through the stretches in which holders could rely on their leases, in order
/// of their beginning, and looks at each against those still open.
///
/// A stretch ends at the client's own deadline, in which its margin is taken off
/// already: so every overlap counts, however short.
pub(super) fn check(leases: &Leases, verdict: &mut Verdict) {
    for (name, of_name) in leases.by_name() {
        let mut spans: Vec<(Span, &Lease)> = Vec::new();
        for lease in of_name {
            let live = lease.spans.iter().filter(|span| span.from < span.to);
            spans.extend(live.map(|&span| (span, lease)));
        }
        spans.sort_by_key(|(span, _)| span.from);
        let mut open: Vec<(Span, &Lease)> = Vec::new();
        for (span, lease) in spans {
            open.retain(|(other, _)| other.to > span.from);
            if let Some((first, said)) = clash(lease, &open) {
                let to = first.to.min(span.to);
                let lasted = (to - span.from) as f64 / 1e3;
                let said = format!("{name}: {said}, for {lasted:.3} ms");
                verdict.breaks(Promise::Exclusion, span.from, to, said);
            }
            open.push((span, lease));
        }
    }
}

/// The stretch among `open` that a new lease should have been kept out by.
fn clash(new: &Lease, open: &[(Span, &Lease)]) -> Option<(Span, String)> {
    let beside = open
        .iter()
        .find(|(_, other)| new.excludes(other) || mixed(new.kind, other.kind));
    if let Some((span, other)) = beside {
        return Some((*span, format!("{} beside {}", title(new), title(other))));
    }
    let Kind::Permits(permits) = new.kind else {
        return None;
    };
    let full = usize::try_from(permits).unwrap_or(usize::MAX);
    if open.len() < full {
        return None;
    }
    let soonest = open.iter().map(|(span, _)| *span).min_by_key(|s| s.to)?;
    let many = open.len() + 1;
    Some((
        soonest,
        format!(
            "{} is one of {many} holders of {permits} permits",
            title(new)
        ),
    ))
}

/// Shared holders and holders of permits do not stand beside each other.
fn mixed(a: Kind, b: Kind) -> bool {
    a != b
}

fn title(lease: &Lease) -> String {
    match lease.token {
        Some(token) => format!("client {} (token {token}, {})", lease.client, lease.kind),
        None => format!("client {} ({})", lease.client, lease.kind),
    }
}
