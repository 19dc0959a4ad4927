//! What a client has seen of tokens, so that nodes agree in one round trip.

use super::{AcquireReply, COUNTERS, counter_of};
use crate::{LockName, Token};

/// What a client has seen of tokens: the greatest on each of the nodes' counters,
/// and the greatest of all.
///
/// A proposal is a hint. Too small, and nodes that differ need a second round to
/// agree; too great, and numbers are skipped. It can harm nothing.
///
/// * A counter used before: one above the greatest seen. A node that missed a
///   grant catches up by it.
/// * Another: one above the greatest of all, so that nodes whose floors differ
///   meet there.
#[derive(Clone, Debug)]
pub struct Proposals {
    seen: Box<[Token]>,
    /// The greatest token seen, of whatever name.
    high: Token,
}

impl Default for Proposals {
    fn default() -> Self {
        Self {
            seen: vec![Token::NONE; COUNTERS.into()].into(),
            high: Token::NONE,
        }
    }
}

impl Proposals {
    /// The smallest token to ask for.
    #[must_use]
    pub fn propose(&self, name: &LockName) -> Token {
        match self.seen[usize::from(counter_of(name))] {
            Token::NONE => self.high.saturating_add(1),
            seen => seen.saturating_add(1),
        }
    }

    /// A node answered an acquire of this name.
    pub fn on_reply(&mut self, name: &LockName, reply: &AcquireReply) {
        if let AcquireReply::Granted { counter } = reply {
            self.note(name, *counter);
        }
    }

    /// A token of this name was seen: granted to us, handed over, or promoted to.
    pub fn note(&mut self, name: &LockName, token: Token) {
        self.high = self.high.max(token);
        let seen = &mut self.seen[usize::from(counter_of(name))];
        *seen = token.max(*seen);
    }

    /// The greatest token seen, of whatever name. A `doctor` compares it with
    /// [`Token::era`]: tokens must not run ahead of that clock.
    #[must_use]
    pub const fn high(&self) -> Token {
        self.high
    }
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
    fn a_known_counter_goes_one_up_and_another_above_all() {
        let mut proposals = Proposals::default();
        assert_eq!(proposals.propose(&name("a")), token(1));
        for counter in [40, 60, 50] {
            let counter = token(counter);
            proposals.on_reply(&name("a"), &AcquireReply::Granted { counter });
        }
        assert_eq!(proposals.propose(&name("a")), token(61));
        proposals.note(&name("b"), token(9));
        assert_eq!(proposals.propose(&name("b")), token(10));
        assert_eq!(proposals.propose(&name("c")), token(61));
        assert_eq!(proposals.high(), token(60));
    }
}
