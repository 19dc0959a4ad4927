//! The name of a lock.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The longest name allowed, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 512;

/// The name of a lock: 1 to 512 bytes of UTF-8 without control characters.
///
/// Names have no structure of their own; `/` is a convention that makes
/// listing by prefix useful. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LockName(Arc<str>);

impl LockName {
    /// Checks `name` and keeps it.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an empty name, one above 512 bytes, or one with a
    /// control character. Nothing was sent, so nothing is held.
    pub fn new(name: impl AsRef<str>) -> Result<Self, Error> {
        let name = name.as_ref();
        let refuse = |remedy: String| Err(Error::invalid("lock name", abridged(name), remedy));
        if name.is_empty() {
            return refuse("give the lock a name of 1 to 512 bytes".to_owned());
        }
        if name.len() > MAX_NAME_BYTES {
            return refuse(format!(
                "it has {} bytes; shorten it to at most {MAX_NAME_BYTES} bytes of UTF-8 (a hash of the long part will do)",
                name.len()
            ));
        }
        if let Some((at, c)) = name.char_indices().find(|(_, c)| c.is_control()) {
            return refuse(format!(
                "remove the control character {} at byte {at}",
                c.escape_unicode()
            ));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an error shows of a value that may be huge or unprintable.
fn abridged(value: &str) -> String {
    const SHOWN: usize = 40;
    let mut text: String = value
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if value.chars().nth(SHOWN).is_some() {
        text.push('…');
    }
    text
}

impl fmt::Display for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl AsRef<str> for LockName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for LockName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for LockName {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        Self::new(s)
    }
}

impl TryFrom<String> for LockName {
    type Error = Error;

    fn try_from(s: String) -> Result<Self, Error> {
        Self::new(s)
    }
}

impl TryFrom<&str> for LockName {
    type Error = Error;

    fn try_from(s: &str) -> Result<Self, Error> {
        Self::new(s)
    }
}

impl From<LockName> for String {
    fn from(name: LockName) -> Self {
        name.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_bytes_not_characters() {
        assert!(LockName::new("x".repeat(512)).is_ok());
        assert!(LockName::new("é".repeat(256)).is_ok());
        assert!(LockName::new("é".repeat(257)).is_err());
    }

    #[test]
    fn a_refusal_names_setting_value_and_remedy() {
        for (bad, remedy) in [
            (String::new(), "1 to 512"),
            ("y".repeat(513), "513 bytes"),
            ("a\nb".to_owned(), "control character"),
        ] {
            let said = LockName::new(&bad).unwrap_err().to_string();
            assert!(said.contains("lock name"), "{said}");
            assert!(said.contains(remedy), "{said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }
}
