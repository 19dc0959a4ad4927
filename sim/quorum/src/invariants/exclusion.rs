//! C3: no two leases of one lock are valid at once.

use leasehold_core::Nonce;

/// The leases of one lock that may still be believed in, each until when by true
/// time.
#[derive(Debug, Default)]
pub struct Leases(Vec<(Nonce, u64)>);

impl Leases {
    /// A lease was granted or extended at `now`, until `until`.
    ///
    /// # Errors
    ///
    /// If another one is valid at `now`.
    pub fn valid(&mut self, nonce: Nonce, now: u64, until: u64) -> Result<(), String> {
        self.0.retain(|lease| lease.1 > now && lease.0 != nonce);
        let other = self.0.first().copied();
        self.0.push((nonce, until));
        match other {
            Some((other, ends)) => Err(format!(
                "C3: {nonce} is valid from {now} and {other} is until {ends}"
            )),
            None => Ok(()),
        }
    }

    /// The holder gave it up.
    pub fn over(&mut self, nonce: Nonce) {
        self.0.retain(|lease| lease.0 != nonce);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_at_once_are_noticed_and_one_after_the_other_is_fine() {
        let nonce = |id| Nonce::from_bytes([id; 16]);
        let mut leases = Leases::default();
        assert!(leases.valid(nonce(1), 0, 10).is_ok());
        assert!(leases.valid(nonce(1), 5, 15).is_ok());
        assert!(leases.valid(nonce(2), 15, 25).is_ok());
        assert!(leases.valid(nonce(3), 24, 40).is_err());
        leases.over(nonce(3));
        leases.over(nonce(2));
        assert!(leases.valid(nonce(4), 30, 40).is_ok());
    }
}
