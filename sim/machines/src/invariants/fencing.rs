//! A resource that goes by the tokens, and somebody who watches it.
//!
//! The resource knows tokens alone; whoever watches it knows the order in which the
//! leases were granted, and no token.

use leasehold_core::Token;

/// A protected resource.
#[derive(Clone, Debug, Default)]
pub struct Fenced {
    greatest: Token,
    /// The writers that it has heard.
    wrote: Vec<Writer>,
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer {
    /// When the lease began, and when its holder knew of it.
    pub granted: (u64, u64),
    /// Its token.
    pub token: Token,
}

impl Fenced {
    /// A write arrives. Whether the resource takes it.
    ///
    /// # Errors
    ///
    /// If it takes it although a lease that was granted later has written already.
    pub fn write(&mut self, writer: Writer) -> Result<bool, String> {
        if writer.token < self.greatest {
            return Ok(false);
        }
        self.greatest = writer.token;
        let over = |other: &&Writer| {
            let later = other.granted.0 > writer.granted.1;
            later || (other.token == writer.token && other.granted != writer.granted)
        };
        if let Some(other) = self.wrote.iter().find(over) {
            return Err(format!("fencing: {writer:?} wrote after {other:?}"));
        }
        if !self.wrote.contains(&writer) {
            self.wrote.push(writer);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_lease_is_refused_and_a_wrong_token_is_noticed() {
        let writer = |began, decided, token| Writer {
            granted: (began, decided),
            token: Token::new(token).unwrap(),
        };
        let mut fenced = Fenced::default();
        assert_eq!(fenced.write(writer(1, 2, 5)), Ok(true));
        assert_eq!(fenced.write(writer(3, 4, 6)), Ok(true));
        assert_eq!(fenced.write(writer(1, 2, 5)), Ok(false));
        assert!(fenced.write(writer(1, 2, 6)).is_err());
        assert!(fenced.write(writer(1, 2, 7)).is_err());
    }
}
