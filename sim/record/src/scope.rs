//! What is checked: which clients, and how long things last.
//!
//! In every scope any answer may get lost, any client may die, and the lock may be
//! broken or collected at any moment. Requests that come late or twice come from
//! the first client only, one at a time; with all three the states are too many.
//!
//! Time goes by whole units. With the usual TTL of two units and grace of one, a holder
//! relies on its lease at ages 0 and 1, may extend it up to 2, blocks others up
//! to 3, and is gone at 4. A waiter is in the line for certain for one unit after
//! it asked, and out of it after two.

use std::time::Duration;

use leasehold_core::{Deadline, Instant, Mode, Ttl};

/// How many clients there are.
pub(crate) const CLIENTS: usize = 3;

/// One unit of time.
pub(crate) const UNIT: Duration = Duration::from_secs(1);

/// How often waiters promise to ask again. Two and a half intervals are one unit.
pub(crate) const INTERVAL: Duration = Duration::from_millis(400);

/// One set of clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// For the table.
    pub(crate) name: &'static str,
    pub(crate) clients: [Profile; CLIENTS],
    /// The TTL that acquires ask for, in units. Extends ask for this or for one.
    pub(crate) ttl: u8,
    /// The grace, in units.
    pub(crate) grace: u8,
}

/// What one client does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile {
    pub(crate) mode: Mode,
    /// It waits if the lock is busy.
    pub(crate) waits: bool,
    /// Its death is not noticed by the store.
    pub(crate) detached: bool,
}

impl Profile {
    pub(crate) const fn waiting(mode: Mode) -> Self {
        Self {
            mode,
            waits: true,
            detached: false,
        }
    }

    pub(crate) const fn trying(mode: Mode) -> Self {
        Self {
            waits: false,
            ..Self::waiting(mode)
        }
    }

    pub(crate) const fn detached(mode: Mode) -> Self {
        Self {
            detached: true,
            ..Self::waiting(mode)
        }
    }
}

/// A TTL of this many units.
pub(crate) fn ttl(units: u8) -> Ttl {
    Ttl::new(UNIT * u32::from(units)).unwrap_or(Ttl::MAX)
}

/// For how many more units a holder relies on a lease that it asked for `age`
/// units ago, by a clock that is 1 % slow; `None` if it does not any more.
pub(crate) fn relies_for(units: u8, age: u8) -> Option<u8> {
    let slow = |units: u8| Instant::from_start(UNIT * u32::from(units) * 99 / 100);
    let deadline = Deadline::of(slow(0), ttl(units));
    let last = (0..=units)
        .rev()
        .find(|&at| !deadline.has_passed(slow(at)))?;
    last.checked_sub(age)
}
