//! C2 and C4: nobody relies on a lease beyond its deadline, and the answers of
//! extend and release are true.

use super::leases::{Lease, Leases, Use};
use super::verdict::{Promise, Verdict};
use crate::protocol::{Outcome, Skill};

/// Looks at each call on each lease.
pub(super) fn check(leases: &Leases, verdict: &mut Verdict) {
    let run = verdict.run.as_ref();
    let tells = run.is_none_or(|run| run.worker.can.contains(&Skill::ReleaseTells));
    for (name, mut of_name) in leases.by_name() {
        of_name.sort_by_key(|lease| lease.got);
        for (place, lease) in of_name.iter().enumerate() {
            for call in &lease.uses {
                deadline(name, lease, call, verdict);
                if tells || call.outcome != Outcome::Released {
                    truth(name, lease, &of_name[place + 1..], call, verdict);
                }
            }
        }
    }
}

/// C2: a client that is asked after its deadline must say that the lease is lost,
/// with no help from the network.
fn deadline(name: &str, lease: &Lease, call: &Use, verdict: &mut Verdict) {
    if call.outcome == Outcome::Used && call.sent >= call.deadline {
        let late = (call.sent - call.deadline) as f64 / 1e3;
        let said = format!(
            "{name}: client {} still believed in its lease {late:.3} ms after its deadline",
            lease.client
        );
        verdict.breaks(Promise::Deadline, call.sent, call.got, said);
    }
    // Asked for after it: an answer that came late may have been read late as well.
    if call.outcome == Outcome::Extended && call.sent > call.deadline {
        let said = format!(
            "{name}: client {} had its lease extended after its deadline",
            lease.client
        );
        verdict.breaks(Promise::Ownership, call.sent, call.got, said);
    }
}

/// C4: what somebody else was granted meanwhile can be neither released nor
/// extended by the one before.
fn truth(name: &str, lease: &Lease, later: &[&Lease], call: &Use, verdict: &mut Verdict) {
    if !matches!(call.outcome, Outcome::Released | Outcome::Extended) {
        return;
    }
    // Asked for after ours was known and known before this call was made: whatever
    // ours was, it was over by then.
    let between = later
        .iter()
        .find(|other| other.excludes(lease) && other.sent > lease.got && other.got < call.sent);
    if let Some(other) = between {
        let said = format!(
            "{name}: client {} was told {:?} after client {} had been granted the lock",
            lease.client, call.outcome, other.client
        );
        verdict.breaks(Promise::Ownership, call.sent, call.got, said);
    }
}
