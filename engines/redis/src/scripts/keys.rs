//! The keys of a lock.

use leasehold_core::quorum::counter_of;
use leasehold_core::{Error, LockName};

use super::Arg;

/// What a node remembers about itself.
///
/// It has no hash tag, and the scripts touch it together with a lock's keys. A
/// Redis Cluster would need a record in each slot, since a script there may only
/// touch keys of one.
pub(crate) const NODE: &str = "leasehold:node";

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
    /// The field of the node's record with the name's counter.
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
            counter: format!("c{}", counter_of(name)),
            lock,
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

    /// The node's record. Of a Redis Cluster it would be one for each slot.
    pub(super) fn record(&self) -> Arg<'_> {
        Arg::Text(NODE)
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

    /// What the Cluster specification says decides the slot.
    fn tag(key: &str) -> &str {
        let Some((_, rest)) = key.split_once('{') else {
            return key;
        };
        match rest.split_once('}') {
            Some((tag, _)) if !tag.is_empty() => tag,
            _ => key,
        }
    }

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
                assert_eq!(tag(key), tag(&keys.lock), "{key}");
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
