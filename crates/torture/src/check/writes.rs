//! What the protected resource went through.

use std::collections::HashMap;

use super::leases::{Lease, Leases};
use super::verdict::{Promise, Verdict};

/// Looks at each write in the order of arrival.
///
/// A write is *stale* if it arrives after a later grant of the lock was known to
/// somebody else. An unfenced resource takes it and suffers. A fenced one refuses it
/// once the later holder has written. A fenced write is *wrongly accepted* if a grant
/// that was asked for after this one was known had written before: that is judged
/// by time, not by tokens, so that wrong tokens do not excuse themselves.
pub(super) fn check(leases: &Leases, verdict: &mut Verdict) {
    // Grants of each lock that exclude others, by the time at which they were known.
    let mut known: HashMap<&str, Vec<&Lease>> = HashMap::new();
    for (name, mut of_name) in leases.by_name() {
        of_name.retain(|lease| lease.kind.is_exclusive());
        of_name.sort_by_key(|lease| lease.got);
        known.insert(name, of_name);
    }
    // The latest acquire call among those whose writes were accepted.
    let mut written: HashMap<&str, &Lease> = HashMap::new();
    for (place, write) in &leases.writes {
        let lease = &leases.all[*place];
        let of_name = &known[lease.name.as_str()];
        let at = of_name.partition_point(|other| other.got < write.at_us);
        let stale = at > 0 && of_name[at - 1].got > lease.got;
        let last = written.get(lease.name.as_str()).copied();
        let overtaken = last.is_some_and(|last| last.sent > lease.got);
        let refused = write.accepted == Some(false);
        verdict.wrote(write, stale, refused);
        if refused {
            continue;
        }
        if write.accepted == Some(true) && overtaken {
            let said = format!(
                "{}: the fenced write of client {} with token {} was accepted after a later holder's",
                lease.name,
                lease.client,
                write.token.unwrap_or_default()
            );
            verdict.breaks(Promise::Fence, write.at_us, write.at_us, said);
        }
        if last.is_none_or(|last| lease.sent > last.sent) {
            written.insert(&lease.name, lease);
        }
    }
}
