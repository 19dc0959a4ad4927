//! The counters of a node: a fixed number, each shared by the names that hash to
//! it.
//!
//! One counter per name would have to be forgotten when the name is idle, and one
//! for all names would be counted by each node in the order in which requests
//! happen to reach it, so that new names would seldom agree at once. Sharing skips
//! numbers and breaks nothing: a name's tokens need only grow.

use crate::LockName;

/// How many counters a node has.
pub const COUNTERS: u16 = 1 << 14;

/// The counter of a name, below [`COUNTERS`].
///
/// All clients of a node must agree on it for ever: it is FNV-1a (Fowler, Noll and
/// Vo) of the name's bytes in 64 bits, its halves folded onto each other.
#[must_use]
pub fn counter_of(name: &LockName) -> u16 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    let hash = name.as_str().bytes().fold(BASIS, step);
    let folded = hash ^ (hash >> 32);
    ((folded ^ (folded >> 16)) as u16) & (COUNTERS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_changes() {
        let of = |name: &str| counter_of(&LockName::new(name).unwrap());
        assert_eq!([of("a"), of("orders/7"), of("ü")], [6562, 7788, 12343]);
    }

    #[test]
    fn names_are_spread_evenly() {
        let mut used = vec![0u32; COUNTERS.into()];
        for number in 0..160_000 {
            let name = LockName::new(format!("order-{number}")).unwrap();
            used[usize::from(counter_of(&name))] += 1;
        }
        assert!(used.iter().all(|&names| names < 40));
        assert!(used.iter().filter(|&&names| names == 0).count() < 50);
    }
}
