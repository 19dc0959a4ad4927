//! A lock's row: what is read, what is written, and what became of it.

use leasehold_core::record::Record;
use leasehold_core::{Instant, LockName, StoreTime, Token};

/// Microseconds since the Unix epoch, by the server's clock.
pub(crate) type Micros = i64;

/// The longest time that a column is given; the record has the exact one.
const LONGEST: i64 = 1_000_000_000_000_000;

/// A row as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Random for every write, so that no two are taken for each other, be it after
    /// a failover that lost some.
    pub(crate) version: i64,
    pub(crate) record: String,
    pub(crate) token: i64,
    /// The era of the server that wrote it.
    pub(crate) era: String,
    /// The moment that the record's own date of change stands for.
    pub(crate) written: Micros,
}

/// What the server said of a name.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) row: Option<Row>,
    /// The server's clock.
    pub(crate) now: Micros,
    /// The server's era: another one after a failover.
    pub(crate) era: String,
    /// When the answer had come, on the client's clock.
    pub(crate) received: Instant,
}

/// A row to write, if the one there is still the expected one.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "MySQL is neither lazy nor wakes anybody")
)]
pub(crate) struct Write<'a> {
    pub(crate) name: &'a LockName,
    /// The version it replaces; `None` to insert.
    pub(crate) expected: Option<i64>,
    pub(crate) version: i64,
    pub(crate) record: String,
    pub(crate) token: i64,
    pub(crate) fence: i64,
    pub(crate) holder: Option<String>,
    /// What to date it; the server's clock at the writing if `None`.
    pub(crate) written: Option<Micros>,
    /// How long from then on it is in use; `None` if it is not.
    pub(crate) lasts: Option<i64>,
    /// Only in this era.
    pub(crate) era: &'a str,
    /// Only if the row is no older than this.
    pub(crate) max_age: Option<i64>,
    /// A crash of the server may take it back.
    pub(crate) lazy: bool,
    /// Whom to tell: channels and nonces.
    pub(crate) wake: Vec<(String, String)>,
}

/// What became of a write.
#[derive(Clone, Debug)]
pub(crate) enum Wrote {
    /// It was written, and dated like this.
    Done { written: Micros, seen: Seen },
    /// Somebody else was faster, or it was too old; nothing changed. The row as it
    /// is, if that is known.
    Not(Option<Seen>),
}

/// The columns that people and other transactions read.
pub(crate) struct Columns {
    pub(crate) token: i64,
    pub(crate) fence: i64,
    pub(crate) holder: Option<String>,
    pub(crate) lasts: Option<i64>,
}

impl Columns {
    pub(crate) fn of(record: &Record) -> Self {
        let live = record.grants.iter().map(|grant| grant.token).min();
        let ends = record.grants.iter().map(|grant| grant.ends());
        let ends = ends.chain(record.waiters.iter().map(|waiter| waiter.ends()));
        let lasts = ends.max().map(|end| {
            let lasts = end.saturating_since(record.changed).as_micros();
            i64::try_from(lasts).unwrap_or(LONGEST).min(LONGEST)
        });
        let first = record.grants.first().map(|grant| grant.owner.to_string());
        let holder = first.map(|first| match record.grants.len() {
            1 => first,
            many => format!("{first} and {} more", many - 1),
        });
        Self {
            token: signed(record.token),
            // What a resource may still accept: the live grants' tokens; without
            // any, the last one, unless it was broken.
            fence: signed(live.unwrap_or(record.token.max(record.floor))),
            holder,
            lasts,
        }
    }
}

/// Tokens fit in 53 bits.
fn signed(token: Token) -> i64 {
    i64::try_from(token.get()).unwrap_or(i64::MAX)
}

/// Where a server starts that may have forgotten grants: above every token that it
/// can have granted until now, as 2^20 a second, or just over one a microsecond,
/// are more than it can.
pub(crate) fn era_floor(now: Micros) -> Token {
    let micros = u64::try_from(now).unwrap_or(0);
    let rest = ((micros % 1_000_000) << 20) / 1_000_000;
    Token::era(micros / 1_000_000).saturating_add(rest)
}

/// The server's clock as the date of a record's first write.
pub(crate) fn store_time(now: Micros) -> StoreTime {
    StoreTime::from_micros(u64::try_from(now).unwrap_or(0))
}

/// Versions of rows.
#[derive(Debug)]
pub(crate) struct Versions(std::cell::Cell<u64>);

impl Versions {
    pub(crate) const fn starting_at(seed: u64) -> Self {
        Self(std::cell::Cell::new(seed))
    }

    /// Never the same twice, and as good as random beside those of other clients:
    /// the finaliser of splitmix64 is one to one.
    pub(crate) fn next(&self) -> i64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_era_grows_with_every_microsecond() {
        let at = 1_763_729_414_999_999;
        assert!(era_floor(at) < era_floor(at + 1));
        assert!(era_floor(at + 1) < era_floor(at + 2));
        assert_eq!(era_floor(at + 1), Token::era(1_763_729_415));
    }

    #[test]
    fn versions_do_not_come_twice() {
        let versions = Versions::starting_at(7);
        let mut all: Vec<_> = (0..10_000).map(|_| versions.next()).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 10_000);
    }
}
