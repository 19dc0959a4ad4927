//! C4: release and extend go by the nonce; extend never makes a key.

use leasehold_core::Nonce;
use leasehold_core::quorum::Command;

use crate::server::Answer;

/// Looks at one command on one node: whose key there was before, and after.
///
/// # Errors
///
/// If the command touched another's key or made one it must not make.
pub fn check(
    command: Command,
    nonce: Nonce,
    before: Option<Nonce>,
    after: Option<Nonce>,
    answer: Answer,
) -> Result<(), String> {
    let fine = match command {
        Command::Acquire { .. } => before == after || (before.is_none() && after == Some(nonce)),
        Command::Promote { .. } | Command::Extend { .. } => before == after,
        Command::Release => before == after || (before == Some(nonce) && after.is_none()),
    };
    if fine {
        Ok(())
    } else {
        Err(format!(
            "C4: {command:?} by {nonce}: key of {before:?} became {after:?}, answer {answer:?}"
        ))
    }
}
