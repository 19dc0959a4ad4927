//! What a server's refusal means, and what to do about it.

use leasehold_core::{Error, Operation};

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) kind: Kind,
    pub(crate) detail: String,
    pub(crate) remedy: String,
}

/// What sort of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The server said no, or was never asked: nothing was done.
    Refused,
    /// Two transactions met; nothing was done, and trying again may help.
    Again,
    /// No answer: what was sent may be carried out, now or later.
    Silent,
    /// The table is none of ours.
    Shape,
}

impl Trouble {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            remedy: remedy.into(),
        }
    }

    /// As the error of a request that changes nothing, or was not sent.
    pub(crate) fn into_error(self, engine: &'static str) -> Error {
        match self.kind {
            Kind::Shape => Error::damaged("the table of locks", self.detail, self.remedy),
            _ => Error::unavailable(engine, self.detail, self.remedy),
        }
    }

    /// As the error of a write.
    pub(crate) fn into_write_error(self, engine: &'static str, operation: Operation) -> Error {
        match self.kind {
            Kind::Silent => Error::Indeterminate {
                operation,
                engine,
                detail: self.detail,
            },
            _ => self.into_error(engine),
        }
    }
}
