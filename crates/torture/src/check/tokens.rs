//! C1: tokens are unique and grow with time.

use std::collections::HashMap;

use super::leases::{Lease, Leases};
use super::verdict::{Promise, Verdict};

/// For each lock: no token twice, and an exclusive grant that was asked for after
/// another grant was known has the greater token. That needs no clock to be right
/// but the one the times were read from.
pub(super) fn check(leases: &Leases, verdict: &mut Verdict) {
    for (name, mut of_name) in leases.by_name() {
        of_name.retain(|lease| lease.token.is_some());
        twice(name, &of_name, verdict);
        backwards(name, &mut of_name, verdict);
    }
}

fn twice(name: &str, leases: &[&Lease], verdict: &mut Verdict) {
    let mut seen: HashMap<u64, &Lease> = HashMap::new();
    for lease in leases {
        let token = lease.token.unwrap_or_default();
        if let Some(first) = seen.insert(token, lease)
            && lease.excludes(first)
        {
            let said = format!("{name}: token {token} was granted twice");
            verdict.breaks(Promise::Tokens, lease.got, lease.got, said);
        }
    }
}

fn backwards<'a>(name: &str, leases: &mut [&'a Lease], verdict: &mut Verdict) {
    leases.sort_by_key(|lease| lease.got);
    // The greatest token known at each grant, and the greatest exclusive one.
    let mut greatest: Vec<[Option<&'a Lease>; 2]> = Vec::with_capacity(leases.len());
    let mut so_far = [None, None];
    for &lease in &*leases {
        let greater = |than: Option<&'a Lease>| match than {
            Some(than) if than.token >= lease.token => Some(than),
            _ => Some(lease),
        };
        so_far[0] = greater(so_far[0]);
        if lease.kind.is_exclusive() {
            so_far[1] = greater(so_far[1]);
        }
        greatest.push(so_far);
    }
    for lease in &*leases {
        let known = leases.partition_point(|other| other.got < lease.sent);
        // Shared grants may be numbered together, but not below an exclusive one.
        let rank = usize::from(!lease.kind.is_exclusive());
        let before = known.checked_sub(1).and_then(|at| greatest[at][rank]);
        if let Some(before) = before.filter(|before| lease.token <= before.token) {
            let said = format!(
                "{name}: client {} was granted token {} after token {} of client {} was known",
                lease.client,
                lease.token.unwrap_or_default(),
                before.token.unwrap_or_default(),
                before.client,
            );
            verdict.breaks(Promise::Tokens, lease.got, lease.got, said);
        }
    }
}
