//! The keys of a lock.

use std::borrow::Cow;

use leasehold_core::quorum::counter_of;
use leasehold_core::{Error, LockName};

use super::Arg;
use super::slots::{slot_of, tag_in, tag_of};

/// What a node remembers about itself.
///
/// It has no hash tag, and the scripts touch it together with a lock's keys. So a
/// Redis Cluster needs a record in each slot, since a script there may only touch
/// keys of one: [`record_in`].
pub(crate) const NODE: &str = "leasehold:node";

/// What a slot of a Redis Cluster remembers about itself.
pub(crate) fn record_in(slot: u16) -> String {
    format!("{OURS}{{{}}}:node", tag_in(slot))
}

/// Where the master of a Redis Cluster whose last slot this is remembers since when
/// it has served its slots.
pub(crate) fn witness_in(slot: u16) -> String {
    format!("{OURS}{{{}}}:shard", tag_in(slot))
}

/// All our keys but the locks' own begin with this.
const OURS: &str = "leasehold:";

/// The keys of a lock. Made once per operation, the same for
/// every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    /// The lock's own key, which every Redlock client shares: prefix and name.
    pub(super) lock: String,
    /// What is known of an exclusive lease of ours.
    pub(super) lease: String,
    /// Shared leases, permits, and who waits.
    pub(super) line: String,
    /// The last break by hand.
    pub(super) broken: String,
    /// The node's record, or that of the lock's slot.
    record: Cow<'static, str>,
    /// The field of the record with the name's counter.
    counter: String,
}

impl Keys {
    /// The keys of this name; the prefix is put before the lock's own key.
    ///
    /// They are in the lock's Cluster slot, except for a name with a `}` but no
    /// hash tag (`a}b`), for which there is no such key.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a key that begins with `leasehold:`, where ours are.
    pub(crate) fn of(name: &LockName, prefix: &str) -> Result<Self, Error> {
        let lock = format!("{prefix}{name}");
        if lock.starts_with(OURS) {
            return Err(Error::invalid(
                "lock name",
                lock,
                "keys that begin with `leasehold:` are Leasehold's own; choose another name, or a `prefix` in the URL",
            ));
        }
        // Without a `}` the whole key decides the slot, as the tag does here. With
        // one, the key's own tag must stay the first.
        let ours = |what: &str| match lock.contains('}') {
            false => format!("{OURS}{{{lock}}}:{what}"),
            true => format!("{OURS}{what}:{lock}"),
        };
        Ok(Self {
            lease: ours("lease"),
            line: ours("line"),
            broken: ours("break"),
            record: Cow::Borrowed(NODE),
            counter: format!("c{}", counter_of(name)),
            lock,
        })
    }

    /// The keys of this name in a Redis Cluster, all in the lock's slot. The slot has
    /// one counter: more would only have to be kept.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] as for [`of`](Self::of), and for a name with a `}` but no
    /// hash tag.
    pub(crate) fn in_cluster(name: &LockName, prefix: &str) -> Result<Self, Error> {
        let keys = Self::of(name, prefix)?;
        if keys.lock.contains('}') && tag_of(&keys.lock) == keys.lock {
            return Err(Error::invalid(
                "lock name",
                keys.lock,
                "in a Redis Cluster a name with a `}` needs a hash tag such as {a}, so that its keys are in one slot; choose another name, or a `prefix` with a hash tag in the URL",
            ));
        }
        Ok(Self {
            record: Cow::Owned(record_in(slot_of(&keys.lock))),
            counter: "c0".to_owned(),
            ..keys
        })
    }

    /// The pattern of all keys of ours.
    pub(crate) const OURS_ALL: &str = "leasehold:*";

    /// The lock that has this key of ours, if it is held or waited for by that.
    pub(crate) fn lock_of(key: &str, prefix: &str) -> Option<LockName> {
        let rest = key.strip_prefix(OURS)?;
        let lock = ["lease", "line"].iter().find_map(|what| {
            let tagged = rest.strip_suffix(what).and_then(|rest| {
                let lock = rest.strip_prefix('{')?.strip_suffix("}:")?;
                (!lock.contains('}')).then_some(lock)
            });
            let plain = rest.strip_prefix(what).and_then(|rest| {
                let lock = rest.strip_prefix(':')?;
                lock.contains('}').then_some(lock)
            });
            tagged.or(plain)
        });
        LockName::new(lock?.strip_prefix(prefix)?).ok()
    }

    pub(super) fn lock(&self) -> Arg<'_> {
        Arg::Text(&self.lock)
    }

    pub(super) fn lease(&self) -> Arg<'_> {
        Arg::Text(&self.lease)
    }

    pub(super) fn line(&self) -> Arg<'_> {
        Arg::Text(&self.line)
    }

    pub(super) fn record(&self) -> Arg<'_> {
        Arg::Text(&self.record)
    }

    pub(super) fn counter(&self) -> Arg<'_> {
        Arg::Text(&self.counter)
    }

    pub(super) fn all(&self) -> [Arg<'_>; 5] {
        let broken = Arg::Text(&self.broken);
        [
            self.lock(),
            self.lease(),
            self.line(),
            self.record(),
            broken,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locks_own_key_is_the_name() {
        let name = LockName::new("orders/7").unwrap();
        let keys = Keys::of(&name, "").unwrap();
        assert_eq!(keys.lock, "orders/7");
        assert_eq!(keys.line, "leasehold:{orders/7}:line");
        let keys = Keys::of(&name, "lock:").unwrap();
        assert_eq!(keys.lock, "lock:orders/7");
        assert_eq!(keys.lease, "leasehold:{lock:orders/7}:lease");
    }

    #[test]
    fn all_keys_are_in_one_slot_and_none_in_two_locks() {
        let mut all = std::collections::BTreeSet::new();
        let names = [
            "a", "{a}", "{a}:line", "x{a}b", "a{", "{", "line:a", "a}b{c}",
        ];
        for name in names {
            let keys = Keys::of(&LockName::new(name).unwrap(), "").unwrap();
            for key in [&keys.lock, &keys.lease, &keys.line, &keys.broken] {
                assert_eq!(tag_of(key), tag_of(&keys.lock), "{key}");
                assert!(all.insert(key.clone()), "{key}");
            }
        }
    }

    #[test]
    fn a_lock_is_found_by_its_keys() {
        for name in ["a", "{a}", "{a}:line", "a}b{c}", "x{a}b:lease"] {
            let name = LockName::new(name).unwrap();
            let keys = Keys::of(&name, "app:").unwrap();
            for key in [&keys.lease, &keys.line] {
                assert_eq!(Keys::lock_of(key, "app:").as_ref(), Some(&name), "{key}");
                assert_eq!(Keys::lock_of(key, "other:"), None);
            }
            assert_eq!(Keys::lock_of(&keys.broken, "app:"), None);
        }
        assert_eq!(Keys::lock_of(NODE, ""), None);
    }

    #[test]
    fn a_slot_of_a_cluster_has_a_record_and_a_counter_of_its_own() {
        for name in ["a", "{a}", "x{a}b", "a{", "a}b{c}"] {
            let keys = Keys::in_cluster(&LockName::new(name).unwrap(), "").unwrap();
            let slot = slot_of(&keys.lock);
            for key in [&keys.lease, &keys.line, &keys.broken, &*keys.record] {
                assert_eq!(slot_of(key), slot, "{key}");
            }
            assert_eq!(slot_of(&witness_in(slot)), slot);
            assert_eq!(Keys::lock_of(&keys.record, ""), None);
            assert_eq!(keys.counter, "c0");
        }
        for name in ["a}b", "{}a", "a}{"] {
            let refused = Keys::in_cluster(&LockName::new(name).unwrap(), "");
            let said = refused.unwrap_err().to_string();
            assert!(said.contains("hash tag"), "{said}");
        }
        let tagged = Keys::in_cluster(&LockName::new("a}b").unwrap(), "{app}:");
        assert_eq!(slot_of(&tagged.unwrap().record), slot_of("app"));
    }

    #[test]
    fn our_own_keys_cannot_be_locked() {
        let name = LockName::new("leasehold:node").unwrap();
        let said = Keys::of(&name, "").unwrap_err().to_string();
        assert!(
            said.contains("leasehold:node") && said.contains("prefix"),
            "{said}"
        );
        assert!(Keys::of(&name, "app:").is_ok());
    }
}
