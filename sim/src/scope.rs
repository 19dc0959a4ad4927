//! What is checked: which clients, which kinds of request, how long things last.
//!
//! Time goes by whole units. With a TTL of two units and a grace of one, a holder
//! relies on its lease at ages 0 and 1, may extend it up to 2, blocks others up
//! to 3, and is gone at 4. A waiter is in the line for certain for one unit after
//! it asked, and out of it after two.

use std::time::Duration;

use leasehold_core::{Deadline, Instant, Mode, Ttl};

/// How many clients there are.
pub(crate) const CLIENTS: usize = 3;

/// One unit of time.
pub(crate) const UNIT: Duration = Duration::from_secs(1);

/// The longest TTL, which acquires ask for, in units. Extends ask for this or for
/// one unit.
pub(crate) const TTL: u8 = 2;

/// The grace.
pub(crate) const GRACE: Duration = UNIT;

/// How often waiters promise to ask again. Two and a half intervals are one unit.
pub(crate) const INTERVAL: Duration = Duration::from_millis(400);

/// One set of clients and what may happen to them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// For the table.
    pub(crate) name: &'static str,
    pub(crate) clients: [Profile; CLIENTS],
    /// Requests that come late or twice.
    pub(crate) strays: bool,
    /// Processes that die.
    pub(crate) deaths: bool,
    /// Locks broken by hand.
    pub(crate) breaks: bool,
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
    let last = (0..=units).rev().find(|&at| !deadline.has_passed(slow(at)))?;
    last.checked_sub(age)
}
