//! How many may hold a lock at once.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// How a lock is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// One holder, nobody beside it.
    #[default]
    Exclusive,
    /// Any number of shared holders, no other kind beside them.
    Shared,
    /// One of `n` permits (a semaphore). All holders and waiters of one lock must
    /// name the same `n`.
    Permit(NonZeroU32),
}

impl Mode {
    /// One of `n` permits; `None` for 0.
    #[must_use]
    pub const fn permit_of(n: u32) -> Option<Self> {
        match NonZeroU32::new(n) {
            Some(n) => Some(Self::Permit(n)),
            None => None,
        }
    }

    /// Whether a grant of this mode may stand beside grants of `held`.
    pub fn fits(self, held: impl IntoIterator<Item = Mode>) -> bool {
        let mut held = held.into_iter();
        match self {
            Self::Exclusive => held.next().is_none(),
            Self::Shared => held.all(|mode| mode == Self::Shared),
            Self::Permit(n) => {
                let mut taken = 0;
                held.all(|mode| {
                    taken += 1;
                    mode == self && taken < n.get()
                })
            }
        }
    }

    /// The other number of permits that `other` names, if the two disagree on it.
    #[must_use]
    pub fn permits_clash(self, other: Self) -> Option<u32> {
        match (self, other) {
            (Self::Permit(mine), Self::Permit(theirs)) if mine != theirs => Some(theirs.get()),
            _ => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exclusive => f.write_str("exclusive"),
            Self::Shared => f.write_str("shared"),
            Self::Permit(n) => write!(f, "1 of {n} permits"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fits_beside_whom() {
        let two = Mode::permit_of(2).unwrap();
        let three = Mode::permit_of(3).unwrap();
        assert!(Mode::Exclusive.fits([]));
        assert!(!Mode::Exclusive.fits([Mode::Shared]));
        assert!(Mode::Shared.fits([Mode::Shared, Mode::Shared]));
        assert!(!Mode::Shared.fits([Mode::Exclusive]));
        assert!(!Mode::Shared.fits([two]));
        assert!(two.fits([two]));
        assert!(!two.fits([two, two]));
        assert!(!two.fits([three]));
        assert_eq!(two.permits_clash(three), Some(3));
        assert_eq!(two.permits_clash(two), None);
    }
}
