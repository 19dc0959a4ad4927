//! C1: every grant's token is greater than every earlier grant's.

use leasehold_core::Token;

/// All grants of one lock.
#[derive(Debug, Default)]
pub struct Tokens(Vec<Grant>);

#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "shown in the error")]
struct Grant {
    asked: u64,
    decided: u64,
    token: Token,
}

impl Tokens {
    /// A grant that was asked for and decided at these moments.
    ///
    /// # Errors
    ///
    /// If its token was given before, or is smaller than that of a grant decided
    /// before this one was asked for.
    pub fn granted(&mut self, asked: u64, decided: u64, token: Token) -> Result<(), String> {
        let grant = Grant {
            asked,
            decided,
            token,
        };
        for other in &self.0 {
            if other.token == token {
                return Err(format!("C1: token given twice: {other:?} and {grant:?}"));
            }
            if other.decided < asked && other.token > token {
                return Err(format!("C1: token went back: {other:?}, then {grant:?}"));
            }
        }
        self.0.push(grant);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(value: u64) -> Token {
        Token::new(value).unwrap()
    }

    #[test]
    fn twice_and_backwards_are_noticed_and_concurrent_is_free() {
        let mut tokens = Tokens::default();
        assert!(tokens.granted(10, 20, token(5)).is_ok());
        assert!(tokens.granted(15, 30, token(4)).is_ok());
        assert!(tokens.granted(31, 40, token(5)).is_err());
        assert!(tokens.granted(25, 40, token(3)).is_err());
        assert!(tokens.granted(31, 40, token(6)).is_ok());
    }
}
