//! What a careful operator would find out about a store.

use std::fmt;

use serde::Serialize;

/// A promise of the contract, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Promise {
    /// Tokens grow and are never reused.
    C1,
    /// A lease ends by its holder's own clock.
    C2,
    /// No two leases of an exclusive lock are valid at once.
    C3,
    /// Extend and release go by the grant's nonce.
    C4,
    /// Applied, not applied, or indeterminate.
    C5,
    /// A crashed holder's lock becomes free, and waiters are woken.
    C6,
    /// What is dropped leaves nothing held.
    C7,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How bad a [`Finding`] is. Later ones are worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing. Every promise stands.
    Note,
    /// A promise is weaker than it could be, or will be after some event.
    Warning,
    /// A promise is not kept, or no lock can be had.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// The result of one check of a store's configuration or state, made to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Which check: a short word that stays the same between releases.
    pub check: &'static str,
    /// The node that it is about, or [`Finding::SET`].
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub detail: String,
    /// The promises that it touches; none if it touches none.
    pub touches: Vec<Promise>,
    /// What it means for them. Empty if there is nothing to say.
    pub meaning: String,
    /// What to do about it, if there is something to do.
    pub remedy: Option<String>,
}

impl Finding {
    /// The subject of what is about the store as a whole.
    pub const SET: &'static str = "set";
    /// The check whether a node could be looked at. Where it is an
    /// [`Error`](Severity::Error), there is no other finding about that node.
    pub const REACH: &'static str = "reach";

    /// A finding of this severity.
    #[must_use]
    pub fn new(
        severity: Severity,
        check: &'static str,
        subject: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            check,
            subject: subject.into(),
            severity,
            detail: detail.into(),
            touches: Vec::new(),
            meaning: String::new(),
            remedy: None,
        }
    }

    /// With what it means for these promises.
    #[must_use]
    pub fn means(mut self, touches: &[Promise], meaning: impl Into<String>) -> Self {
        self.touches = touches.to_vec();
        self.meaning = meaning.into();
        self
    }

    /// With what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_read_short_words() {
        let finding = Finding::new(Severity::Warning, "servers", Finding::SET, "4 servers")
            .means(&[Promise::C6], "no better than 3");
        let json = serde_json::to_value(&finding).unwrap();
        assert_eq!(json["severity"], "warning");
        assert_eq!(json["touches"][0], "C6");
        assert_eq!(json["subject"], "set");
        assert!(json["remedy"].is_null());
    }

    #[test]
    fn an_error_is_the_worst() {
        use Severity::{Error, Note, Ok, Warning};
        assert_eq!([Note, Error, Ok, Warning].iter().max(), Some(&Error));
        assert_eq!(Promise::C3.to_string(), "C3");
    }
}
