//! C5: an outcome that says "not applied" is true.

use std::fmt::Debug;

use leasehold_core::Nonce;
use leasehold_core::quorum::AcquireOutcome;

/// Looks at an acquire that ended, on so many nodes of which a quorum is needed,
/// when its grant is on `held` of them.
///
/// # Errors
///
/// If it says that it was not applied, and a quorum has it.
pub fn of_acquire(outcome: AcquireOutcome, held: usize, quorum: usize) -> Result<(), String> {
    let refused = matches!(
        outcome,
        AcquireOutcome::Busy { .. } | AcquireOutcome::Clash { .. } | AcquireOutcome::Unavailable
    );
    match refused && held >= quorum {
        true => Err(format!("C5: {outcome:?}, and {held} nodes have the grant")),
        false => Ok(()),
    }
}

/// A grant or a place came to be in the store, and its client had been told
/// `refused` about it.
///
/// # Errors
///
/// If it had been told so.
pub fn not_applied(nonce: Nonce, refused: Option<&impl Debug>) -> Result<(), String> {
    match refused {
        Some(said) => Err(format!("C5: {nonce} was told {said:?}, and was applied")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_was_applied_is_noticed() {
        assert!(of_acquire(AcquireOutcome::Unavailable, 1, 2).is_ok());
        assert!(of_acquire(AcquireOutcome::Unavailable, 2, 2).is_err());
        assert!(of_acquire(AcquireOutcome::Indeterminate, 3, 2).is_ok());
        let nonce = Nonce::from_bytes([0; 16]);
        assert!(not_applied(nonce, None::<&String>).is_ok());
        assert!(not_applied(nonce, Some(&"busy")).is_err());
    }
}
