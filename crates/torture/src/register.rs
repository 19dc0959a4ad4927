//! The protected resource: a fenced register for each lock.

use std::collections::HashMap;

/// Refuses a write whose token is older than the greatest that it has seen for the
/// same lock.
#[derive(Debug, Default)]
pub(crate) struct Registers {
    greatest: HashMap<String, u64>,
}

impl Registers {
    /// Whether the write is accepted; `None` without a token, which no fence can
    /// judge.
    pub(crate) fn write(&mut self, name: &str, token: Option<u64>) -> Option<bool> {
        let token = token?;
        match self.greatest.get_mut(name) {
            Some(greatest) if token < *greatest => Some(false),
            Some(greatest) => {
                *greatest = token;
                Some(true)
            }
            None => {
                self.greatest.insert(name.to_owned(), token);
                Some(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_token_is_refused_for_its_own_lock_only() {
        let mut registers = Registers::default();
        let writes = [
            ("a", 5, true),
            ("a", 4, false),
            ("b", 4, true),
            ("a", 5, true),
        ];
        for (name, token, accepted) in writes {
            assert_eq!(
                registers.write(name, Some(token)),
                Some(accepted),
                "{name} {token}"
            );
        }
        assert_eq!(registers.write("a", None), None);
    }
}
