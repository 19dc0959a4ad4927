//! The identity of one client process, where a store can tell that it died.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Nonce;

/// The identity of one client of a store, for as long as its process lives.
///
/// A grant tied to a session is void as soon as the store knows the session to
/// be dead, without waiting for the TTL (C6). A grant without one lives by its
/// TTL alone, so that it can pass from process to process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Nonce);

impl SessionId {
    /// A session identity of these random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Nonce::from_bytes(bytes))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for SessionId {
    type Err = crate::Error;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        s.parse().map(Self)
    }
}
