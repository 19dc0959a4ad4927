//! C7: once a clean-up is done, nothing of it is left.

use leasehold_core::Nonce;
use leasehold_core::quorum::NodeStatus;
use leasehold_core::record::Record;

/// Looks at one node when the clean-up of this grant says that it is done.
///
/// # Errors
///
/// If the node still knows it, as a holder or in the line.
pub fn on_node(place: usize, nonce: Nonce, status: &NodeStatus) -> Result<(), String> {
    let held = status.held.iter().any(|grant| grant.0 == nonce);
    match held || status.waiting.contains(&nonce) {
        true => Err(format!("C7: node {place} still knows {nonce}")),
        false => Ok(()),
    }
}

/// The same for a record.
///
/// # Errors
///
/// If the record still knows it.
pub fn in_record(nonce: Nonce, record: &Record) -> Result<(), String> {
    let held = record.grants.iter().any(|grant| grant.nonce == nonce);
    match held || record.waiters.iter().any(|waiter| waiter.nonce == nonce) {
        true => Err(format!("C7: the record still knows {nonce}: {record:?}")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_and_a_waiter_are_left_overs() {
        let nonce = Nonce::from_bytes([1; 16]);
        let status = |held: bool, waits: bool| NodeStatus {
            held: held
                .then_some((nonce, std::time::Duration::ZERO))
                .into_iter()
                .collect(),
            waiting: waits.then_some(nonce).into_iter().collect(),
            counter: None,
        };
        assert!(on_node(0, nonce, &status(false, false)).is_ok());
        assert!(on_node(0, nonce, &status(true, false)).is_err());
        assert!(on_node(0, nonce, &status(false, true)).is_err());
        assert!(in_record(nonce, &Record::new()).is_ok());
    }
}
