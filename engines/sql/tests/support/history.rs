//! What clients saw, and whether it can be true of one lock (C1, C3).

use std::collections::HashMap;
use std::time::Instant;

use leasehold_core::Token;

use super::Lease;

/// The leases that clients of one store have had.
#[derive(Debug, Default)]
pub struct History {
    by_name: HashMap<String, Vec<Entry>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    token: Token,
    sent: Instant,
    granted: Instant,
    over: Instant,
}

impl History {
    /// A lease whose holder gave up relying on it at `over`, which is no later
    /// than its deadline.
    pub fn add(&mut self, lease: &Lease, over: Instant) {
        let entry = Entry {
            token: lease.token,
            sent: lease.sent,
            granted: lease.granted,
            over: over.min(lease.deadline),
        };
        let name = lease.name.as_str().to_owned();
        self.by_name.entry(name).or_default().push(entry);
    }

    /// The greatest token so far.
    pub fn greatest(&self) -> Token {
        let tokens = self.by_name.values().flatten().map(|entry| entry.token);
        tokens.max().unwrap_or(Token::NONE)
    }

    /// Panics unless each lock had one holder at a time, and greater tokens in
    /// later leases.
    pub fn check(&mut self) {
        for (name, entries) in &mut self.by_name {
            // A lease that was over before its answer came was never relied on.
            entries.retain(|entry| entry.granted < entry.over);
            entries.sort_by_key(|entry| entry.granted);
            check_holders(name, entries);
            check_tokens(name, entries);
        }
    }
}

/// `entries` by the time of their grant.
fn check_holders(name: &str, entries: &[Entry]) {
    let mut last: Option<&Entry> = None;
    for entry in entries {
        if let Some(last) = last {
            assert!(
                entry.granted >= last.over,
                "{name:?}: token {} was granted {:?} before token {} was over",
                entry.token,
                last.over - entry.granted,
                last.token
            );
        }
        last = last.filter(|last| last.over > entry.over).or(Some(entry));
    }
}

/// `entries` by the time of their grant.
fn check_tokens(name: &str, entries: &[Entry]) {
    let mut greatest = Vec::with_capacity(entries.len());
    let mut so_far = Token::NONE;
    for entry in entries {
        so_far = so_far.max(entry.token);
        greatest.push(so_far);
    }
    for entry in entries {
        let before = entries.partition_point(|other| other.granted < entry.sent);
        if let Some(&before) = before.checked_sub(1).and_then(|at| greatest.get(at)) {
            assert!(
                entry.token > before,
                "{name:?}: token {} was granted after token {before}",
                entry.token
            );
        }
    }
    let mut tokens: Vec<_> = entries.iter().map(|entry| entry.token).collect();
    tokens.sort();
    if let Some(twice) = tokens.windows(2).find(|pair| pair[0] == pair[1]) {
        panic!("{name:?}: token {} was granted twice", twice[0]);
    }
}
