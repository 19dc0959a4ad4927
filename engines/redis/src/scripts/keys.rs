//! The keys of a lock.

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

/// The keys of a lock, and its channel. Made once per operation, the same for
/// every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    /// The lock's own key, which every Redlock client shares: prefix and name.
    pub(super) lock: String,
    /// The last counter granted.
    pub(super) fence: String,
    /// Owner, time and length of our lease, for people.
    pub(super) lease: String,
    /// The last break by hand.
    pub(super) broken: String,
    /// Where releases are published.
    wake: String,
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
            fence: ours("fence"),
            lease: ours("lease"),
            broken: ours("break"),
            wake: ours("wake"),
            lock,
        })
    }

    pub(super) fn lock(&self) -> Arg<'_> {
        Arg::Text(&self.lock)
    }

    pub(super) fn fence(&self) -> Arg<'_> {
        Arg::Text(&self.fence)
    }

    pub(super) fn lease(&self) -> Arg<'_> {
        Arg::Text(&self.lease)
    }

    pub(super) fn broken(&self) -> Arg<'_> {
        Arg::Text(&self.broken)
    }

    /// Where a release is published. Subscribe before asking.
    pub(crate) fn wake(&self) -> &str {
        &self.wake
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
        assert_eq!(keys.fence, "leasehold:{orders/7}:fence");
        assert_eq!(keys.wake(), "leasehold:{orders/7}:wake");
        let keys = Keys::of(&name, "lock:").unwrap();
        assert_eq!(keys.lock, "lock:orders/7");
        assert_eq!(keys.lease, "leasehold:{lock:orders/7}:lease");
    }

    #[test]
    fn all_keys_are_in_one_slot_and_none_in_two_locks() {
        let mut all = std::collections::BTreeSet::new();
        let names = [
            "a",
            "{a}",
            "{a}:fence",
            "x{a}b",
            "a{",
            "{",
            "fence:a",
            "a}b{c}",
        ];
        for name in names {
            let keys = Keys::of(&LockName::new(name).unwrap(), "").unwrap();
            for key in [
                &keys.lock,
                &keys.fence,
                &keys.lease,
                &keys.broken,
                &keys.wake,
            ] {
                assert_eq!(tag(key), tag(&keys.lock), "{key}");
                assert!(all.insert(key.clone()), "{key}");
            }
        }
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
