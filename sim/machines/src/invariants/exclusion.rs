//! C3: no two leases are valid at once that do not fit together.

use leasehold_core::{Mode, Nonce};

/// The leases of one lock that may still be believed in, each until when by true
/// time.
#[derive(Debug, Default)]
pub struct Leases(Vec<Lease>);

#[derive(Clone, Copy, Debug)]
struct Lease {
    nonce: Nonce,
    mode: Mode,
    until: u64,
}

impl Leases {
    /// A lease was granted or extended at `now`, until `until`.
    ///
    /// # Errors
    ///
    /// If it does not fit beside those that are valid at `now`.
    pub fn valid(&mut self, nonce: Nonce, mode: Mode, now: u64, until: u64) -> Result<(), String> {
        self.0
            .retain(|lease| lease.until > now && lease.nonce != nonce);
        let fits = until <= now || mode.fits(self.0.iter().map(|lease| lease.mode));
        let said = match fits {
            true => Ok(()),
            false => Err(format!("C3: {nonce} ({mode}) at {now} beside {:?}", self.0)),
        };
        self.0.push(Lease { nonce, mode, until });
        said
    }

    /// The holder gave it up.
    pub fn over(&mut self, nonce: Nonce) {
        self.0.retain(|lease| lease.nonce != nonce);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(id: u8) -> Nonce {
        Nonce::from_bytes([id; 16])
    }

    #[test]
    fn two_at_once_are_noticed_and_one_after_the_other_is_fine() {
        let mut leases = Leases::default();
        let mut valid = |id, from, until| {
            leases
                .valid(nonce(id), Mode::Exclusive, from, until)
                .is_ok()
        };
        assert!(valid(1, 0, 10));
        assert!(valid(1, 5, 15));
        assert!(valid(2, 15, 25));
        assert!(!valid(3, 24, 40));
        leases.over(nonce(3));
        leases.over(nonce(2));
        assert!(leases.valid(nonce(4), Mode::Exclusive, 30, 40).is_ok());
    }

    #[test]
    fn shared_leases_fit_together_and_permits_by_their_number() {
        let two = Mode::permit_of(2).unwrap();
        let mut leases = Leases::default();
        assert!(leases.valid(nonce(1), Mode::Shared, 0, 10).is_ok());
        assert!(leases.valid(nonce(2), Mode::Shared, 0, 10).is_ok());
        assert!(leases.valid(nonce(3), Mode::Exclusive, 5, 10).is_err());
        let mut leases = Leases::default();
        assert!(leases.valid(nonce(1), two, 0, 10).is_ok());
        assert!(leases.valid(nonce(2), two, 0, 10).is_ok());
        assert!(leases.valid(nonce(3), two, 9, 12).is_err());
    }
}
