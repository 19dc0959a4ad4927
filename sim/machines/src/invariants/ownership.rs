//! C4: release and extend go by the nonce; extend never makes a grant.

use leasehold_core::quorum::{Command, NodeStatus};
use leasehold_core::record::Record;
use leasehold_core::{Nonce, SessionId, StoreTime};

/// Looks at one command on one node: who had the lock there before, and after.
///
/// # Errors
///
/// If the command ended another's grant, or made one that it must not make: only
/// who asks, and whoever waits when something comes free, may get one.
pub fn check(
    command: Command,
    nonce: Nonce,
    before: &NodeStatus,
    after: &NodeStatus,
) -> Result<(), String> {
    let has = |status: &NodeStatus, nonce| status.held.iter().any(|grant| grant.0 == nonce);
    let mut ended = before.held.iter().map(|grant| grant.0);
    let mut made = after.held.iter().map(|grant| grant.0);
    let gives_up = matches!(
        command,
        Command::Release | Command::Yield { .. } | Command::Acquire(_)
    );
    let ended = ended.find(|&other| !(has(after, other) || gives_up && other == nonce));
    let made = made.find(|&other| {
        let asks = other == nonce && matches!(command, Command::Acquire(_));
        let is_next = gives_up && (other == nonce || before.waiting.contains(&other));
        !has(before, other) && !asks && !is_next
    });
    match (ended, made) {
        (None, None) => Ok(()),
        _ => Err(format!(
            "C4: {command:?} by {nonce} ended {ended:?} and made {made:?}"
        )),
    }
}

/// Looks at one swap of a record, asked for by this nonce, at this date of the store.
///
/// # Errors
///
/// If it ended or changed a grant of another that had not run out and whose session
/// is not dead, or made one for somebody who neither asked nor waited.
pub fn of_swap(
    nonce: Nonce,
    before: &Record,
    after: &Record,
    now: StoreTime,
    is_dead: &dyn Fn(SessionId) -> bool,
) -> Result<(), String> {
    let robbed = before.grants.iter().find(|old| {
        old.nonce != nonce
            && now <= old.ends()
            && !old.session.is_some_and(is_dead)
            && !after.grants.contains(old)
    });
    let made = after.grants.iter().find(|new| {
        let known = before.grants.iter().any(|old| old.nonce == new.nonce)
            || before
                .waiters
                .iter()
                .any(|waiter| waiter.nonce == new.nonce);
        new.nonce != nonce && !known
    });
    match (robbed, made) {
        (None, None) => Ok(()),
        _ => Err(format!("C4: {nonce} ended {robbed:?} and made {made:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asks_and_who_waits_may_come_to_have_it() {
        let nonce = |id| Nonce::from_bytes([id; 16]);
        let status = |held: &[u8], waiting: &[u8]| NodeStatus {
            held: held
                .iter()
                .map(|&id| (nonce(id), std::time::Duration::ZERO))
                .collect(),
            waiting: waiting.iter().map(|&id| nonce(id)).collect(),
            counter: None,
        };
        let release = |held: &[u8], after: &[u8]| {
            let before = status(held, &[3]);
            check(Command::Release, nonce(1), &before, &status(after, &[]))
        };
        assert!(release(&[1], &[]).is_ok());
        assert!(release(&[1], &[3]).is_ok());
        assert!(release(&[1], &[4]).is_err());
        assert!(release(&[2], &[]).is_err());
        let before = status(&[], &[]);
        let after = status(&[1], &[]);
        let command = Command::Promote {
            to: leasehold_core::Token::MAX,
        };
        assert!(check(command, nonce(1), &before, &after).is_err());
    }
}
