//! What happened to a lock between two looks at it.

use serde::Serialize;

use crate::{HolderStatus, LockName, LockStatus, Mode, Nonce, Owner, Token};

/// One thing that happened to a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// A grant was made.
    Acquired {
        /// The lock.
        name: LockName,
        /// Its token.
        token: Token,
        /// The new holder.
        owner: Owner,
        /// How it holds the lock.
        mode: Mode,
        /// The identity of the grant.
        nonce: Nonce,
    },
    /// A grant is over: released, or run out.
    Ended {
        /// The lock.
        name: LockName,
        /// Its token.
        token: Token,
        /// The holder it had.
        owner: Owner,
        /// The identity of the grant.
        nonce: Nonce,
    },
    /// A grant was ended by hand.
    Broken {
        /// The lock.
        name: LockName,
        /// Its token.
        token: Token,
        /// Who broke it.
        by: Owner,
        /// Why.
        reason: String,
    },
    /// Somebody took a place in the line.
    Waiting {
        /// The lock.
        name: LockName,
        /// The waiter.
        owner: Owner,
        /// The identity of its request.
        nonce: Nonce,
    },
    /// Somebody left the line without having had the lock.
    GaveUp {
        /// The lock.
        name: LockName,
        /// The waiter it was.
        owner: Owner,
        /// The identity of its request.
        nonce: Nonce,
    },
    /// Grants came and went between the two looks; how many and whose is not
    /// known, only between which tokens.
    Skipped {
        /// The lock.
        name: LockName,
        /// The last token seen before.
        after: Token,
        /// The last token that is known to have come.
        upto: Token,
    },
}

impl Change {
    /// The lock it happened to.
    #[must_use]
    pub const fn name(&self) -> &LockName {
        match self {
            Self::Acquired { name, .. }
            | Self::Ended { name, .. }
            | Self::Broken { name, .. }
            | Self::Waiting { name, .. }
            | Self::GaveUp { name, .. }
            | Self::Skipped { name, .. } => name,
        }
    }
}

/// What happened to one lock between two looks at it, in the order it must have
/// happened. Pure; `before` and `now` are of the same lock.
#[must_use]
pub fn changes(before: &LockStatus, now: &LockStatus) -> Vec<Change> {
    let name = || now.name.clone();
    let mut found = Vec::new();
    let fresh_break = now
        .last_break
        .as_ref()
        .filter(|_| now.last_break != before.last_break);
    for old in before
        .holders
        .iter()
        .filter(|old| !has(&now.holders, old.nonce))
    {
        found.push(match fresh_break.filter(|b| b.ended.contains(&old.token)) {
            Some(b) => Change::Broken {
                name: name(),
                token: old.token,
                by: b.by.clone(),
                reason: b.reason.clone(),
            },
            None => Change::Ended {
                name: name(),
                token: old.token,
                owner: old.owner.clone(),
                nonce: old.nonce,
            },
        });
    }
    for old in &before.waiters {
        let queued = now.waiters.iter().any(|w| w.nonce == old.nonce);
        if !queued && !has(&now.holders, old.nonce) && now.token == before.token {
            found.push(Change::GaveUp {
                name: name(),
                owner: old.owner.clone(),
                nonce: old.nonce,
            });
        }
    }
    let mut fresh: Vec<_> = now
        .holders
        .iter()
        .filter(|new| !has(&before.holders, new.nonce))
        .collect();
    fresh.sort_by_key(|holder| holder.token);
    let mut last = before.token;
    let skip_to = |last: Token, upto: Token, found: &mut Vec<Change>| {
        if upto > last {
            found.push(Change::Skipped {
                name: name(),
                after: last,
                upto,
            });
        }
    };
    for new in fresh {
        let previous = Token::new(new.token.get().saturating_sub(1)).unwrap_or_default();
        if last > Token::NONE && previous >= now_floor(before, now) {
            skip_to(last, previous, &mut found);
        }
        found.push(acquired(&now.name, new));
        last = last.max(new.token);
    }
    if last > Token::NONE {
        skip_to(last, now.token, &mut found);
    }
    for new in &now.waiters {
        if !before.waiters.iter().any(|w| w.nonce == new.nonce) {
            found.push(Change::Waiting {
                name: name(),
                owner: new.owner.clone(),
                nonce: new.nonce,
            });
        }
    }
    found
}

/// Tokens below a floor that rose in between were skipped by the store, not
/// granted to anybody.
fn now_floor(before: &LockStatus, now: &LockStatus) -> Token {
    if now.floor > before.floor {
        now.floor
    } else {
        Token::NONE
    }
}

fn has(holders: &[HolderStatus], nonce: Nonce) -> bool {
    holders.iter().any(|holder| holder.nonce == nonce)
}

fn acquired(name: &LockName, holder: &HolderStatus) -> Change {
    Change::Acquired {
        name: name.clone(),
        token: holder.token,
        owner: holder.owner.clone(),
        mode: holder.mode,
        nonce: holder.nonce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BreakStatus, WaiterStatus};

    fn status(token: u64, holders: &[(u8, u64)], waiters: &[u8]) -> LockStatus {
        let mut status = LockStatus::free(
            LockName::new("x").unwrap(),
            Token::new(token).unwrap(),
            Token::NONE,
        );
        for &(id, token) in holders {
            status.holders.push(HolderStatus::new(
                Owner::new(format!("o{id}")),
                Mode::Exclusive,
                Token::new(token).unwrap(),
                Nonce::from_bytes([id; 16]),
            ));
        }
        for &id in waiters {
            status.waiters.push(WaiterStatus::new(
                Owner::new(format!("o{id}")),
                Mode::Exclusive,
                Nonce::from_bytes([id; 16]),
            ));
        }
        status
    }

    fn kinds(before: &LockStatus, now: &LockStatus) -> Vec<String> {
        changes(before, now)
            .iter()
            .map(|c| {
                serde_json::to_value(c).unwrap()["event"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn a_handover_is_an_end_and_an_acquire() {
        assert_eq!(
            kinds(&status(1, &[(1, 1)], &[2]), &status(2, &[(2, 2)], &[])),
            ["ended", "acquired"]
        );
    }

    #[test]
    fn grants_between_two_looks_are_told_as_skipped() {
        assert_eq!(
            kinds(&status(1, &[(1, 1)], &[]), &status(5, &[(2, 5)], &[])),
            ["ended", "skipped", "acquired"]
        );
        assert_eq!(
            kinds(&status(1, &[(1, 1)], &[]), &status(3, &[], &[])),
            ["ended", "skipped"]
        );
    }

    #[test]
    fn a_break_is_told_as_such_and_a_waiter_that_left_too() {
        let mut now = status(1, &[], &[]);
        now.last_break = Some(BreakStatus::new(
            "op".into(),
            "stuck".into(),
            0,
            vec![Token::new(1).unwrap()],
        ));
        assert_eq!(
            kinds(&status(1, &[(1, 1)], &[2]), &now),
            ["broken", "gave_up"]
        );
    }

    #[test]
    fn nothing_happened_is_nothing() {
        let one = status(4, &[(1, 4)], &[2]);
        assert_eq!(changes(&one, &one), []);
    }
}
