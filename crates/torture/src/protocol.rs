//! What the parent and its workers say to each other: one JSON object a line.
//!
//! The parent makes every choice, from its seed; a worker carries out what it is
//! asked and says what came of it. A worker is any program that reads [`Ask`]s on
//! standard input and writes [`Said`]s on standard output, so that the clients of
//! other projects can be driven and checked the same way. docs/torture.md has the
//! same for those who write an adapter.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The environment variable that tells a worker where the locks are kept: the URL
/// as it was given to the parent.
pub const URL_VARIABLE: &str = "LEASEHOLD_URL";

/// A line from the parent to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Names the answer. Greater with each ask of one parent; 0 for `quit`.
    #[serde(default)]
    pub id: u64,
    /// What to do.
    #[serde(flatten)]
    pub what: What,
}

/// What a worker is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// Take a lock. Answered `granted`, `busy`, `cancelled`, `unknown` or `error`.
    Acquire {
        /// Which of the worker's clients, from 0. Asks of different clients must
        /// not block each other; one client has one ask under way at a time.
        #[serde(default)]
        client: u32,
        /// The lock.
        name: String,
        /// How long the lease lasts, in milliseconds.
        ttl_ms: u64,
        /// How long to wait if it is busy, in milliseconds; 0 is not to wait.
        wait_ms: u64,
        /// How to take it. Others than `exclusive` only if the worker can.
        #[serde(default, skip_serializing_if = "Kind::is_exclusive")]
        mode: Kind,
        /// Renew it in the background until it is released. Only if the worker can.
        #[serde(default, skip_serializing_if = "is_false")]
        renew: bool,
        /// Give the attempt up after so many milliseconds by dropping its future,
        /// and answer `cancelled` at once. Only if the worker can.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cancel_after_ms: Option<u64>,
    },
    /// Look whether the lease is still believed in; if not, answer `lost`. If it is,
    /// stand still for `pause_ms` *after* looking, then answer `used` whatever has
    /// become of the lease: the answer is the write to the protected resource, and
    /// its arrival is the moment of the write.
    Use {
        /// The id of the acquire that was granted.
        lease: u64,
        /// How long to stand still between looking and writing, in milliseconds.
        #[serde(default)]
        pause_ms: u64,
    },
    /// Prolong the lease. Answered `extended`, `lost`, `unknown` or `error`.
    Extend {
        /// The id of the acquire that was granted.
        lease: u64,
        /// How long it lasts from now on, in milliseconds.
        ttl_ms: u64,
    },
    /// Give the lease back. Answered `released` if it was held until now, `lost` if
    /// it was over before, `unknown` or `error`.
    Release {
        /// The id of the acquire that was granted.
        lease: u64,
    },
    /// Let go of the lease without waiting for an answer of the store. Answered
    /// `dropped`. Only if the worker can.
    Drop {
        /// The id of the acquire that was granted.
        lease: u64,
    },
    /// End. Not answered.
    Quit,
}

/// A line from a worker to the parent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Said {
    /// The first line: who it is and what it can.
    Hello(Hello),
    /// What came of an [`Ask`].
    Answer(Answer),
    /// Something that happened unasked.
    Event(Event),
    /// Instead of `hello`: it cannot work, and ends. A later line of this kind is
    /// shown to the user and changes nothing.
    Failed {
        /// Why, and what to do about it.
        failed: String,
    },
}

/// A worker's first line, once it is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The client under test, such as `rslock`.
    pub hello: String,
    /// Its version.
    pub version: String,
    /// Whether its grants have fencing tokens.
    pub tokens: bool,
    /// How many clients one process of it may be asked to be. The parent starts as
    /// many processes as it takes.
    #[serde(default = "one")]
    pub clients: u32,
    /// What it can beyond `acquire`, `use` and `release`.
    #[serde(default)]
    pub can: Vec<Skill>,
}

/// What not every client can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Skill {
    /// `extend`.
    Extend,
    /// `drop`.
    Drop,
    /// `cancel_after_ms`.
    Cancel,
    /// `renew`.
    Renew,
    /// `"mode":"shared"`.
    Shared,
    /// `"mode":"permits:N"`.
    Permits,
    /// Its answers to `release` say whether the lease was still held. Without it
    /// `released` means no more than that it was given back.
    ReleaseTells,
    /// A skill that this parent does not know.
    #[serde(other)]
    Unknown,
}

/// What came of an ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The id of the ask.
    pub id: u64,
    /// The outcome.
    pub ok: Outcome,
    /// With `granted`: the fencing token, if the client has such a thing.
    #[serde(default)]
    pub token: Option<u64>,
    /// With `granted` and `extended`: for how long from `got_us` on the client says
    /// the lease is valid, in milliseconds, fractions allowed; without it the parent
    /// takes `sent_us` plus the TTL for its end.
    #[serde(default)]
    pub valid_ms: Option<f64>,
    /// When the client was called, in microseconds of `CLOCK_BOOTTIME`, read before
    /// the call.
    pub sent_us: u64,
    /// When the call had returned, read after it; never for later than the line is
    /// written.
    pub got_us: u64,
    /// What the client said, with `unknown` and `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// How an ask ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The lock is held.
    Granted,
    /// The lock was not free within the wait.
    Busy,
    /// The attempt was given up by dropping it.
    Cancelled,
    /// The write to the protected resource.
    Used,
    /// The lease was prolonged.
    Extended,
    /// The lease was held until now and is given back.
    Released,
    /// The lease was let go of; nobody waited for the store.
    Dropped,
    /// The lease is, or was already, over.
    Lost,
    /// The store may or may not have done it.
    Unknown,
    /// It was not done.
    Error,
}

/// What happened to a lease unasked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What.
    pub event: Happening,
    /// The id of the acquire that was granted.
    pub lease: u64,
    /// When, in microseconds of `CLOCK_BOOTTIME`.
    pub at_us: u64,
    /// With `renewed`: for how long from `at_us` on the lease is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_ms: Option<f64>,
}

/// A kind of [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// The lease was renewed in the background.
    Renewed,
    /// The client told its holder that the lease is lost.
    Lost,
}

/// How a lock is taken: `exclusive`, `shared` or `permits:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Kind {
    /// One holder, nobody beside it.
    #[default]
    Exclusive,
    /// Any number of shared holders, no other kind beside them.
    Shared,
    /// One of so many permits.
    Permits(u32),
}

impl Kind {
    /// Whether it is [`Kind::Exclusive`].
    #[must_use]
    pub const fn is_exclusive(&self) -> bool {
        matches!(self, Self::Exclusive)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exclusive => f.write_str("exclusive"),
            Self::Shared => f.write_str("shared"),
            Self::Permits(n) => write!(f, "permits:{n}"),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let permits = |n: &str| n.parse().ok().filter(|&n| n > 0).map(Self::Permits);
        match text {
            "exclusive" => Ok(Self::Exclusive),
            "shared" => Ok(Self::Shared),
            _ => text
                .strip_prefix("permits:")
                .and_then(permits)
                .ok_or_else(|| {
                    format!("mode {text:?} is not known: use exclusive, shared, or permits:3")
                }),
        }
    }
}

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.to_string()
    }
}

const fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_are_what_the_docs_show() {
        let acquire = |client, mode, renew, cancel_after_ms| Ask {
            id: 1,
            what: What::Acquire {
                client,
                name: "x".into(),
                ttl_ms: 2_000,
                wait_ms: 5_000,
                mode,
                renew,
                cancel_after_ms,
            },
        };
        for (ask, line) in [
            (
                acquire(0, Kind::Exclusive, false, None),
                r#"{"id":1,"do":"acquire","client":0,"name":"x","ttl_ms":2000,"wait_ms":5000}"#,
            ),
            (
                acquire(1, Kind::Permits(3), true, Some(20)),
                r#"{"id":1,"do":"acquire","client":1,"name":"x","ttl_ms":2000,"wait_ms":5000,"mode":"permits:3","renew":true,"cancel_after_ms":20}"#,
            ),
            (
                Ask {
                    id: 2,
                    what: What::Use {
                        lease: 1,
                        pause_ms: 2_500,
                    },
                },
                r#"{"id":2,"do":"use","lease":1,"pause_ms":2500}"#,
            ),
            (
                Ask {
                    id: 0,
                    what: What::Quit,
                },
                r#"{"id":0,"do":"quit"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&ask).unwrap(), line);
            assert_eq!(serde_json::from_str::<Ask>(line).unwrap(), ask);
        }
        assert_eq!(
            serde_json::from_str::<Ask>(r#"{"do":"quit"}"#)
                .unwrap()
                .what,
            What::Quit
        );
    }

    #[test]
    fn each_kind_of_line_is_told_from_the_others() {
        let said = |line| serde_json::from_str::<Said>(line).unwrap();
        let Said::Hello(hello) =
            said(r#"{"hello":"rslock","version":"0.10.0","tokens":false,"can":["extend","fly"]}"#)
        else {
            panic!("not a hello");
        };
        assert_eq!((hello.clients, hello.tokens), (1, false));
        assert_eq!(hello.can, [Skill::Extend, Skill::Unknown]);
        let Said::Answer(answer) = said(
            r#"{"id":1,"ok":"granted","token":null,"valid_ms":1990,"sent_us":10,"got_us":12}"#,
        ) else {
            panic!("not an answer");
        };
        assert_eq!((answer.ok, answer.token), (Outcome::Granted, None));
        assert_eq!(answer.valid_ms, Some(1990.0));
        assert!(matches!(
            said(r#"{"event":"lost","lease":1,"at_us":77}"#),
            Said::Event(Event {
                event: Happening::Lost,
                valid_ms: None,
                ..
            })
        ));
        assert!(matches!(
            said(r#"{"failed":"no server"}"#),
            Said::Failed { .. }
        ));
        assert!(serde_json::from_str::<Said>(r#"{"id":1,"ok":"maybe"}"#).is_err());
    }

    #[test]
    fn modes_are_read_and_refused() {
        for text in ["exclusive", "shared", "permits:3"] {
            assert_eq!(text.parse::<Kind>().unwrap().to_string(), text);
        }
        for text in ["permits:0", "permits", "permits:-1", "both"] {
            let error = text.parse::<Kind>().unwrap_err();
            assert!(error.contains("permits:3"), "{error}");
        }
    }
}
