//! Trying each command that Leasehold needs, on keys of our own that are removed
//! again.
//!
//! Trying says more than the server's list of rights: it also finds a command that
//! was renamed away, a disk that is full, and a memory limit that is reached; and
//! asking for that list is a right that a lock's user need not have.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, ErrorKind, RedisError, ServerErrorKind, Value};

use super::facts::{Refusal, Rights};
use super::probe::{Keys, ask};
use crate::fail::Trouble;

/// A command, and words that try it without changing anything that matters.
struct Attempt {
    command: &'static str,
    /// `S`, `H` stand for a key of ours for a string or a hash, `R` for the node's
    /// record, `C` for a channel of ours.
    words: &'static [&'static str],
}

/// How long what we write lives if we cannot remove it.
const LIFE: &str = "10000";

/// In this order: the later ones find what the earlier ones wrote.
///
/// A script that is not there cannot be run, and one that does not compile cannot
/// be loaded; a server says so only to those who have the right.
const ATTEMPTS: [Attempt; 16] = [
    attempt("PING", &["PING"]),
    attempt("TIME", &["TIME"]),
    attempt("INFO", &["INFO", "server"]),
    attempt("SET", &["SET", "S", "1", "PX", LIFE]),
    attempt("GET", &["GET", "S"]),
    attempt("MGET", &["MGET", "S"]),
    attempt("PTTL", &["PTTL", "S"]),
    attempt("PEXPIRE", &["PEXPIRE", "S", LIFE]),
    attempt("HSET", &["HSET", "H", "f", "1"]),
    attempt("HMGET", &["HMGET", "R", "joined"]),
    attempt("HGETALL", &["HGETALL", "R"]),
    attempt("HDEL", &["HDEL", "H", "f"]),
    attempt("DEL", &["DEL", "S", "H"]),
    attempt("SCRIPT LOAD", &["SCRIPT", "LOAD", "("]),
    attempt(
        "EVALSHA",
        &[
            "EVALSHA",
            "0000000000000000000000000000000000000000",
            "1",
            "R",
        ],
    ),
    attempt(PUBLISH, &["PUBLISH", "C", ""]),
];

const PUBLISH: &str = "PUBLISH";
const SUBSCRIBE: &str = "SUBSCRIBE";

const fn attempt(command: &'static str, words: &'static [&'static str]) -> Attempt {
    Attempt { command, words }
}

/// Tries everything, on these keys.
///
/// # Errors
///
/// When the connection is lost or an answer does not come in time. Keys that were
/// written then run out by themselves.
pub(super) async fn attempts(
    connection: &mut MultiplexedConnection,
    client: &Client,
    prefix: &str,
    keys: &Keys,
    timeout: Duration,
) -> Result<Rights, Trouble> {
    let mut rights = Rights::default();
    let tag = &keys.tag;
    for attempt in &ATTEMPTS {
        let answer = ask::<Value>(connection, &attempt.with(keys), timeout).await?;
        rights.note(attempt.command, answer.err());
    }
    if rights.read_only.is_none() && !rights.lacks("SET") {
        let key = format!("{prefix}leasehold-doctor-{tag}");
        rights.closed_key = try_lock_key(connection, key, timeout).await?;
    }
    let subscribed = tokio::time::timeout(timeout, subscribe(client, &channel(tag))).await;
    match subscribed {
        Ok(Err(error)) if error.is_io_error() => return Err(Trouble::of(&error)),
        Ok(outcome) => rights.note(SUBSCRIBE, outcome.err()),
        Err(_) => return Err(Trouble::timeout()),
    }
    Ok(rights)
}

fn channel(tag: &str) -> String {
    format!("leasehold:doctor:{tag}:wake")
}

/// Whether the key of a lock may be written; the key, if not.
async fn try_lock_key(
    connection: &mut MultiplexedConnection,
    key: String,
    timeout: Duration,
) -> Result<Option<String>, Trouble> {
    let mut set = redis::cmd("SET");
    set.arg(&key).arg("1").arg("NX").arg("PX").arg(LIFE);
    match ask::<Value>(connection, &set, timeout).await? {
        Err(error) if is_forbidden(&error) => Ok(Some(key)),
        _ => {
            let _ = ask::<Value>(connection, redis::cmd("DEL").arg(&key), timeout).await?;
            Ok(None)
        }
    }
}

/// On a connection of its own, since there it can be the last thing.
async fn subscribe(client: &Client, channel: &str) -> Result<(), RedisError> {
    let mut listener = client.get_async_pubsub().await?;
    listener.subscribe(channel).await
}

impl Attempt {
    fn with(&self, keys: &Keys) -> Cmd {
        let tag = &keys.tag;
        let mut cmd = Cmd::new();
        for word in self.words {
            match *word {
                "S" => cmd.arg(format!("leasehold:doctor:{tag}:text")),
                "H" => cmd.arg(format!("leasehold:doctor:{tag}:hash")),
                "R" => cmd.arg(&keys.record),
                "C" => cmd.arg(channel(tag)),
                word => cmd.arg(word),
            };
        }
        cmd
    }
}

impl Rights {
    fn note(&mut self, command: &'static str, error: Option<RedisError>) {
        let Some(error) = error else {
            return;
        };
        if is_forbidden(&error) {
            self.refused.push(Refusal {
                command,
                said: error.to_string(),
                spare: [PUBLISH, SUBSCRIBE].contains(&command),
            });
        } else if refuses_writes(&error) {
            self.read_only.get_or_insert_with(|| Trouble::of(&error));
        }
    }

    fn lacks(&self, command: &str) -> bool {
        self.refused
            .iter()
            .any(|refusal| refusal.command == command)
    }
}

/// The user may not, or the server has no such command (any more).
fn is_forbidden(error: &RedisError) -> bool {
    let said = || error.detail().unwrap_or_default().to_ascii_lowercase();
    error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
        || said().contains("unknown command")
        || said().contains("unknown subcommand")
}

/// Nobody can write there at present.
fn refuses_writes(error: &RedisError) -> bool {
    matches!(
        error.code(),
        Some("READONLY" | "OOM" | "MISCONF" | "NOREPLICAS" | "LOADING" | "BUSY" | "CLUSTERDOWN")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A command that a script begins to use must be tried here as well.
    #[test]
    fn every_command_of_the_scripts_is_tried() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/scripts");
        let mut seen = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|kind| kind != "lua") {
                continue;
            }
            let code = fs::read_to_string(&path).unwrap();
            let calls = code.split("call('").skip(1);
            for command in calls.filter_map(|rest| rest.split('\'').next()) {
                seen += 1;
                assert!(
                    ATTEMPTS.iter().any(|tried| tried.command == command),
                    "{command} of {} is not among ATTEMPTS",
                    path.display()
                );
            }
        }
        assert!(seen > 20, "only {seen} commands were found");
    }

    #[test]
    fn only_keys_of_our_own_are_written() {
        let keys = Keys {
            tag: "t".to_owned(),
            record: "leasehold:node".to_owned(),
        };
        for attempt in &ATTEMPTS {
            let writes = ["SET", "PEXPIRE", "HSET", "HDEL", "DEL"].contains(&attempt.command);
            assert!(
                !(writes && attempt.words.contains(&"R")),
                "{}",
                attempt.command
            );
            let packed = attempt.with(&keys).get_packed_command();
            let packed = String::from_utf8_lossy(&packed).into_owned();
            let ours = !writes || packed.contains("leasehold:doctor:t:");
            assert!(ours, "{packed}");
        }
    }
}
