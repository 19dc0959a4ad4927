//! What a server says of itself in `INFO`.

use std::time::Duration;

use leasehold_core::quorum::RunId;
use redis::Value;

use super::BadReply;
use super::reply::text;

/// Commands after which a server may have lost keys while it went on running, or
/// after which its counters no longer tell whether it did. `config` is how servers
/// before 7.0 count `CONFIG RESETSTAT`, together with the harmless ones.
const DISTURBING: [&str; 9] = [
    "flushall",
    "flushdb",
    "swapdb",
    "replicaof",
    "slaveof",
    "failover",
    "debug",
    "config|resetstat",
    "config",
];

/// What a server says of itself in `INFO all`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerInfo {
    /// Another one with every start, and with every promotion.
    pub(crate) run_id: RunId,
    /// In whole seconds, by the server's wall clock.
    pub(crate) uptime: Duration,
    /// It may have lost keys since its start without a restart.
    pub(crate) disturbed: bool,
    /// It may have lost some keys and kept others.
    pub(crate) evicted: bool,
}

/// The answer to `INFO all`.
pub(crate) fn decode_info(value: &Value) -> Result<ServerInfo, BadReply> {
    let said = text(value).and_then(ServerInfo::read);
    said.ok_or_else(|| BadReply::new("INFO", value))
}

/// Who answers: the run id of the process, mixed with what it was a replica of
/// before it became a master. A master that was demoted and promoted again has lost
/// its last writes and not its run id.
pub(crate) fn run_id(said: &str) -> Option<RunId> {
    let field = |key: &str| said.lines().find_map(|line| line.strip_prefix(key));
    let process = field("run_id:")?.trim();
    let Some(before) = field("master_replid2:") else {
        return process.parse().ok();
    };
    let mut before = before.trim().chars();
    let mixed = process.chars().map(|digit| {
        let mixed = digit.to_digit(16)? ^ before.next()?.to_digit(16)?;
        char::from_digit(mixed, 16)
    });
    mixed.collect::<Option<String>>()?.parse().ok()
}

impl ServerInfo {
    fn read(said: &str) -> Option<Self> {
        let mut uptime = None;
        let mut is_replica = None;
        let mut evicted = None;
        let mut disturbed = false;
        let mut debugged = false;
        for line in said.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            match key {
                "uptime_in_seconds" => uptime = value.parse().ok(),
                "role" => is_replica = Some(value != "master"),
                "evicted_keys" => evicted = value.parse::<u64>().ok(),
                // The offset at which it stopped being a replica.
                "second_repl_offset" => disturbed |= value != "-1",
                _ => {
                    let name = key.strip_prefix("cmdstat_");
                    let listed = name.is_some_and(|name| DISTURBING.contains(&name));
                    let called = listed && !value.starts_with("calls=0,");
                    disturbed |= called;
                    debugged |= called && name == Some("debug");
                }
            }
        }
        Some(Self {
            run_id: run_id(said)?,
            uptime: Duration::from_secs(uptime?),
            disturbed: disturbed || is_replica? || evicted? > 0,
            evicted: debugged || evicted? > 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: &str) -> Option<ServerInfo> {
        let said = format!(
            "# Server\r\nredis_version:7.0.15\r\nrun_id:{}\r\nuptime_in_seconds:90\r\nrole:master\r\n\
             evicted_keys:0\r\nsecond_repl_offset:-1\r\n{more}",
            "ab".repeat(20)
        );
        decode_info(&Value::BulkString(said.into())).ok()
    }

    #[test]
    fn a_server_that_lost_nothing() {
        let info =
            read("cmdstat_get:calls=5,usec=9\r\ncmdstat_flushall:calls=0,rejected_calls=1\r\n")
                .unwrap();
        assert_eq!(info.run_id.to_string(), "ab".repeat(20));
        assert_eq!(info.uptime, Duration::from_secs(90));
        assert!(!info.disturbed);
    }

    #[test]
    fn a_server_that_may_have_lost_keys() {
        for more in [
            "cmdstat_flushdb:calls=1,usec=9",
            "cmdstat_config|resetstat:calls=1,usec=9",
            "cmdstat_slaveof:calls=2,usec=9",
            "evicted_keys:3",
            "second_repl_offset:17",
            "role:slave",
        ] {
            let info = read(more).unwrap();
            assert!(info.disturbed, "{more}");
            assert_eq!(info.evicted, more.starts_with("evicted"), "{more}");
        }
    }

    #[test]
    fn a_master_that_was_a_replica_meanwhile_is_another() {
        let zeros = "0".repeat(40);
        let never = read(&format!("master_replid2:{zeros}\r\n")).unwrap();
        assert_eq!(never, read("").unwrap());
        let promoted = read(&format!("master_replid2:{}\r\n", "1f".repeat(20))).unwrap();
        assert_eq!(promoted.run_id.to_string(), "b4".repeat(20));
        assert!(read("master_replid2:12\r\n").is_none());
    }

    #[test]
    fn what_is_missing_is_not_made_up() {
        assert!(run_id("run_id:x").is_none());
        assert!(read("evicted_keys:many").is_none());
        assert!(decode_info(&Value::Okay).is_err());
    }
}
