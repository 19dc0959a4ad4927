//! What the join and the nodes say to each other.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{Error, Nonce, Token};

/// A server's run id: 160 random bits, another one with every start.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId([u8; 20]);

impl RunId {
    /// A run id of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for RunId {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let refuse = || {
            Error::invalid(
                "run id",
                s.escape_debug().to_string(),
                "a Redis server tells 40 hex digits; check that the node is one",
            )
        };
        if s.len() != 40 || !s.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(refuse());
        }
        let mut bytes = [0; 20];
        for (place, byte) in bytes.iter_mut().enumerate() {
            let pair = s.get(2 * place..2 * place + 2).ok_or_else(refuse)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| refuse())?;
        }
        Ok(Self(bytes))
    }
}

/// A step of the join, as sent to nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinCommand {
    /// To the node itself: say who you are and what you have.
    Inspect,
    /// To the node itself: write down that the loss was noticed.
    Notice {
        /// To be kept unless the node has one already.
        ticket: Nonce,
    },
    /// To other nodes: say what you remember.
    Recall,
    /// To other nodes: remember at least this.
    Raise {
        /// The floor that the joining node will have.
        to: Token,
    },
    /// To the node itself: vote from now on. Then load the scripts.
    Install {
        /// The node's ticket.
        ticket: Nonce,
        /// Every counter it grants will be above.
        floor: Token,
        /// The longest hold it grants.
        max_ttl: Duration,
    },
    /// To the node itself: the same record under the new run id. Then load the
    /// scripts.
    Adopt {
        /// The longest hold it grants from now on, unless its record says longer.
        max_ttl: Duration,
    },
    /// To the node itself: nothing was lost but the scripts. Load them.
    Keep {
        /// The longest hold it grants from now on, unless its record says longer.
        max_ttl: Duration,
    },
}

/// A node's answer to a [`JoinCommand`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinReply {
    /// To [`JoinCommand::Inspect`].
    Inspected(Inspection),
    /// To [`JoinCommand::Notice`].
    Noticed {
        /// The ticket that is written there.
        ticket: Nonce,
        /// How long it has been, by the node's clock.
        ago: Duration,
        /// As it is now.
        inspection: Inspection,
    },
    /// To [`JoinCommand::Recall`].
    Recalled(Recalled),
    /// To [`JoinCommand::Raise`].
    Raised,
    /// To [`JoinCommand::Install`], [`JoinCommand::Adopt`] and
    /// [`JoinCommand::Keep`], once the scripts are loaded.
    Installed,
    /// Not done: the node has forgotten once more, or has to rejoin itself.
    Refused,
}

/// What a server says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Its run id.
    pub run_id: RunId,
    /// The run id in its record; `None` without a record.
    pub joined: Option<RunId>,
    /// The greatest counter its record knows, if it has one, however old.
    pub mark: Token,
    /// The longest hold its record knows.
    pub max_ttl: Duration,
    /// How long it has been running.
    pub uptime: Duration,
    /// Whether it may have lost keys since its start: it was flushed, evicted
    /// keys, swapped databases, or was a replica. Then its uptime tells nothing.
    pub disturbed: bool,
    /// Its wall clock, in microseconds since the Unix epoch.
    pub unix_micros: u64,
}

/// What a node remembers for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// How long it has been voting; `None` if it does not: it has forgotten, too.
    pub joined_for: Option<Duration>,
    /// The greatest counter it knows.
    pub mark: Token,
    /// The longest hold it grants.
    pub max_ttl: Duration,
    /// Its wall clock, in microseconds since the Unix epoch.
    pub unix_micros: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_is_forty_hex_digits() {
        let text = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(text.parse::<RunId>().unwrap().to_string(), text);
        assert!("0123".parse::<RunId>().is_err());
        assert!(text.replace('0', "g").parse::<RunId>().is_err());
    }
}
