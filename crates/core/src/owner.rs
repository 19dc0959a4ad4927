//! Who holds a lease, for people to read.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest label kept, in bytes of UTF-8; a longer one is cut.
pub const MAX_OWNER_BYTES: usize = 256;

/// A label for people: host, process id, what for. Never used to decide anything.
///
/// Control characters become spaces and a label above 256 bytes is cut, since a
/// label must never be a reason to refuse a lock or to garble a terminal.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Owner(Arc<str>);

impl Owner {
    /// Makes a label out of any text.
    #[must_use]
    pub fn new(label: impl AsRef<str>) -> Self {
        let mut kept = String::new();
        for c in label.as_ref().chars() {
            if kept.len() + c.len_utf8() > MAX_OWNER_BYTES {
                break;
            }
            kept.push(if c.is_control() { ' ' } else { c });
        }
        Self(kept.into())
    }

    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl From<String> for Owner {
    fn from(label: String) -> Self {
        Self::new(label)
    }
}

impl From<&str> for Owner {
    fn from(label: &str) -> Self {
        Self::new(label)
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> Self {
        owner.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_printable_label() {
        assert_eq!(Owner::new("a\x1b[2Jb\n").as_str(), "a [2Jb ");
        assert_eq!(Owner::new("é".repeat(200)).as_str().len(), 256);
    }
}
