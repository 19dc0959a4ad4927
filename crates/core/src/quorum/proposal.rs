//! What a client has seen of tokens, so that nodes agree in one round trip.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::AcquireReply;
use crate::{LockName, Token};

/// How many names are remembered unless told otherwise.
const DEFAULT_NAMES: usize = 4096;

/// What a client has seen of tokens: the greatest for each name it used lately,
/// and the greatest of all.
///
/// A proposal is a hint. Too small, and nodes with different counters need a
/// second round to agree; too great, and numbers are skipped. It can harm
/// nothing, so the table is of a fixed size and a name may push out another.
///
/// * A name used before: one above its greatest token. A node that missed a
///   grant catches up by it.
/// * A new name: one above the greatest counter ever seen of any name, and above
///   what was last proposed for a new name. Nodes whose `high` differ meet there,
///   and one client's requests under way do not collide as long as each node
///   receives them in the same order. `high` moves by one for each grant of a new
///   name and by none for most grants of a known one.
///
/// Several busy clients do collide on *new* names, since each node counts them in
/// the order they reach it: two clients with 64 requests under way each agree at
/// once on one name in ten. The others need the second round.
#[derive(Clone, Debug)]
pub struct Proposals {
    seen: Box<[Seen]>,
    /// The greatest counter seen, of whatever name.
    high: Token,
    /// The last proposal for a new name.
    fresh: Token,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    hash: u64,
    token: Token,
}

impl Default for Proposals {
    fn default() -> Self {
        Self::new(DEFAULT_NAMES)
    }
}

impl Proposals {
    /// Remembers about this many names.
    #[must_use]
    pub fn new(names: usize) -> Self {
        let size = names.clamp(1, 1 << 24).next_power_of_two();
        Self {
            seen: vec![Seen::default(); size].into(),
            high: Token::NONE,
            fresh: Token::NONE,
        }
    }

    /// The smallest token to ask for.
    pub fn propose(&mut self, name: &LockName) -> Token {
        let hash = hash(name);
        let seen = self.seen[self.place(hash)];
        if seen.hash == hash && seen.token > Token::NONE {
            return seen.token.saturating_add(1);
        }
        self.fresh = self.fresh.max(self.high).saturating_add(1);
        self.fresh
    }

    /// A node answered an acquire of this name.
    pub fn on_reply(&mut self, name: &LockName, reply: &AcquireReply) {
        if let AcquireReply::Granted { counter, high } = reply {
            self.high = self.high.max(*high);
            self.note(name, *counter);
        }
    }

    /// A token of this name was seen: granted to us, or promoted to.
    pub fn note(&mut self, name: &LockName, token: Token) {
        self.high = self.high.max(token);
        let hash = hash(name);
        let place = self.place(hash);
        let seen = &mut self.seen[place];
        if seen.hash != hash {
            *seen = Seen { hash, token };
        }
        seen.token = seen.token.max(token);
    }

    /// The greatest counter seen, of whatever name. A `doctor` compares it with
    /// [`Token::era`]: tokens must not run ahead of that clock.
    #[must_use]
    pub const fn high(&self) -> Token {
        self.high
    }

    fn place(&self, hash: u64) -> usize {
        // The size is a power of two.
        hash as usize & (self.seen.len() - 1)
    }
}

fn hash(name: &LockName) -> u64 {
    // With fixed keys: the same run must do the same twice.
    let mut hasher = DefaultHasher::new();
    name.as_str().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> LockName {
        LockName::new(text).unwrap()
    }

    fn token(value: u64) -> Token {
        Token::new(value).unwrap()
    }

    #[test]
    fn a_known_name_goes_one_up_and_a_new_one_above_all() {
        let mut proposals = Proposals::default();
        assert_eq!(proposals.propose(&name("a")), token(1));
        for high in [40, 60, 50] {
            let counter = token(7);
            let high = token(high);
            proposals.on_reply(&name("a"), &AcquireReply::Granted { counter, high });
        }
        assert_eq!(proposals.propose(&name("a")), token(8));
        assert_eq!(proposals.propose(&name("a")), token(8));
        assert_eq!(proposals.propose(&name("b")), token(61));
        assert_eq!(proposals.propose(&name("c")), token(62));
        proposals.note(&name("a"), token(70));
        assert_eq!(proposals.propose(&name("d")), token(71));
    }

    #[test]
    fn its_size_is_bounded() {
        let mut proposals = Proposals::new(8);
        for i in 1..1000 {
            proposals.note(&name(&i.to_string()), token(i));
        }
        assert_eq!(proposals.seen.len(), 8);
        assert_eq!(proposals.high(), token(999));
    }
}
