//! What a server's refusal means, and what to do about it.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// The kind of this engine, in URLs and errors.
pub(crate) const ENGINE: &str = "redis";

/// Why a node did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) kind: Kind,
    pub(crate) detail: String,
    pub(crate) remedy: &'static str,
}

/// What sort of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The scripts are not loaded: the node must join.
    NoScript,
    /// The key is of another type: another application uses the name.
    WrongType,
    /// The slot of a Redis Cluster is served by another server, or moving there.
    Elsewhere,
    /// The Redis Cluster does not serve the slot at present.
    Down,
    /// The login was refused, or the user lacks a right.
    Denied,
    /// No answer, or none any more.
    Silent,
    /// Anything else.
    Other,
}

impl Trouble {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>, remedy: &'static str) -> Self {
        Self {
            kind,
            detail: detail.into(),
            remedy,
        }
    }

    /// No connection could be made, or no answer came, in time.
    pub(crate) fn timeout() -> Self {
        Self::new(
            Kind::Silent,
            "no answer within the node's timeout",
            "see that the server runs, that the network lets it be reached, and that redis:// or rediss:// is right",
        )
    }

    /// The answer is none that a script of ours gives.
    pub(crate) fn nonsense(what: impl Into<String>) -> Self {
        Self::new(
            Kind::Other,
            what,
            "check that it is a Redis or Valkey server, version 6.2 or later",
        )
    }

    /// What the client library says.
    pub(crate) fn of(error: &RedisError) -> Self {
        let (kind, remedy) = classify(error);
        let mut detail = error.to_string();
        if kind == Kind::Silent && error.is_timeout() {
            detail = Self::timeout().detail;
        }
        Self::new(kind, detail, remedy)
    }
}

fn classify(error: &RedisError) -> (Kind, &'static str) {
    let remedy = match (error.kind(), error.code()) {
        (ErrorKind::Server(ServerErrorKind::NoScript), _) => {
            return (
                Kind::NoScript,
                "wait a moment: the scripts are being loaded",
            );
        }
        (_, Some("WRONGTYPE")) => {
            return (
                Kind::WrongType,
                "choose another name, or give the URL a prefix=",
            );
        }
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS" | "NOAUTH")) => {
            return (
                Kind::Denied,
                "put the right user:password@ before the hosts of the URL (in percent-escapes where need be)",
            );
        }
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => {
            return (
                Kind::Denied,
                "grant the user what it lacks; ACL SETUSER … ~* &* +@read +@write +@scripting +@pubsub +@connection +info is enough",
            );
        }
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => {
            "it is a replica; name the master, each node an independent server of its own"
        }
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => "wait until its data is loaded",
        (_, Some("MOVED" | "ASK" | "TRYAGAIN")) => {
            return (
                Kind::Elsewhere,
                "see CLUSTER NODES: whether a slot stays halfway between two masters",
            );
        }
        (_, Some("CLUSTERDOWN")) => {
            return (
                Kind::Down,
                "see CLUSTER INFO and CLUSTER NODES: bring masters back, or assign their slots (redis-cli --cluster fix)",
            );
        }
        (_, Some("OOM")) => "give the server more memory, or raise its maxmemory",
        (_, Some("MISCONF")) => {
            "the server cannot save its data: make room on its disk, see its log"
        }
        (_, Some("BUSY")) => "a script blocks the server; see who runs it, or SCRIPT KILL",
        (ErrorKind::RESP3NotSupported | ErrorKind::Parse | ErrorKind::UnexpectedReturnType, _) => {
            "check that it is a Redis or Valkey server, version 6.2 or later, and that redis:// or rediss:// is right"
        }
        (ErrorKind::Io, _) => {
            return (
                Kind::Silent,
                "see that the server runs, that host and port are right, and that redis:// or rediss:// is right",
            );
        }
        _ => "see what the server says",
    };
    (Kind::Other, remedy)
}
