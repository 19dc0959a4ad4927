//! What was found on a server, before anybody judges it.

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold_core::Token;
use leasehold_core::quorum::RunId;

use crate::fail::Trouble;
use crate::scripts::info::ServerInfo;

/// One server of the set.
#[derive(Clone, Debug)]
pub(super) struct NodeFacts {
    /// As the URL names it.
    pub(super) name: String,
    /// What it said, or why it said nothing.
    pub(super) found: Result<Facts, Trouble>,
}

/// What a server that could be asked said.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) round_trip: Duration,
    pub(super) clock: Clock,
    /// `None` if the user may not ask.
    pub(super) info: Option<Info>,
    pub(super) keeping: Keeping,
    pub(super) record: Result<Record, Trouble>,
    pub(super) rights: Rights,
}

/// The server's wall clock, seen from here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Clock {
    /// What it said, in microseconds since 1970.
    pub(super) unix_micros: i64,
    /// How far it is ahead of ours.
    pub(super) ahead_micros: i64,
    /// How far `ahead_micros` may be off.
    pub(super) unsure_micros: i64,
    /// How much further it went than our monotonic clock while we looked.
    pub(super) step_micros: i64,
}

/// `INFO all`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Info {
    fields: BTreeMap<String, String>,
    /// What the join reads from it.
    pub(super) server: Option<ServerInfo>,
}

impl Info {
    pub(super) fn read(text: &str, server: Option<ServerInfo>) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        let fields = pairs.map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
        Self {
            fields: fields.collect(),
            server,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str)
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }

    /// Major and minor version, in Redis' own counting.
    pub(super) fn version(&self) -> Option<(u32, u32)> {
        let mut parts = self.get("redis_version")?.split('.');
        let mut part = || parts.next()?.parse().ok();
        Some((part()?, part()?))
    }

    /// The product and its version, for people.
    pub(super) fn product(&self) -> String {
        let version = |key| self.get(key).unwrap_or("of unknown version");
        match self.get("server_name") {
            Some("valkey") => format!("Valkey {}", version("valkey_version")),
            _ => format!("Redis {}", version("redis_version")),
        }
    }
}

/// What a server keeps over a restart, by its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keeping {
    /// `appendonly`.
    pub(super) log: Option<bool>,
    /// `appendfsync`.
    pub(super) fsync: Option<String>,
    /// `save`.
    pub(super) save: Option<String>,
}

/// The node's own record. Lenient: what cannot be read counts as not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// The run of the server that it stands for.
    pub(super) joined: Option<RunId>,
    /// Some field that should be there makes no sense.
    pub(super) damaged: bool,
    /// The greatest counter in it.
    pub(super) mark: Token,
    pub(super) max_ttl: Option<Duration>,
    /// When it joined, by the server's wall clock.
    pub(super) since_micros: Option<i64>,
    /// The run in which a loss was noticed that is not over.
    pub(super) noticed_run: Option<RunId>,
    /// When that was, by the server's wall clock.
    pub(super) noticed_micros: Option<i64>,
}

impl Record {
    pub(super) fn read(fields: &BTreeMap<String, String>) -> Self {
        fn at<T: std::str::FromStr>(fields: &BTreeMap<String, String>, key: &str) -> Option<T> {
            fields.get(key)?.parse().ok()
        }
        let joined: Option<RunId> = at(fields, "joined");
        let max_ttl = at(fields, "max_ttl").map(Duration::from_millis);
        // Counters of the whole node, and those that many names share.
        let is_counter = |key: &str| {
            let slot = key.strip_prefix('c');
            matches!(key, "high" | "floor") || slot.is_some_and(|slot| slot.parse::<u32>().is_ok())
        };
        let counters = fields.iter().filter(|(key, _)| is_counter(key));
        let counters: Vec<Option<Token>> = counters.map(|(_, text)| text.parse().ok()).collect();
        let is_joined = fields.contains_key("joined");
        Self {
            joined,
            damaged: counters.contains(&None)
                || is_joined && (joined.is_none() || max_ttl.is_none()),
            mark: counters.into_iter().flatten().max().unwrap_or(Token::NONE),
            max_ttl,
            since_micros: at(fields, "since"),
            noticed_run: at(fields, "noticed_run"),
            noticed_micros: at(fields, "noticed_at"),
        }
    }
}

/// What the user may not do, or the server does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rights {
    /// Commands refused, each with what the server said.
    pub(super) refused: Vec<Refusal>,
    /// Why nothing can be written, whoever asks.
    pub(super) read_only: Option<Trouble>,
    /// The key that a lock of a made-up name would have, if it may not be touched.
    pub(super) closed_key: Option<String>,
}

/// A command that the server would not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) command: &'static str,
    pub(super) said: String,
    /// Locks work without it, only slower.
    pub(super) spare: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &[(&str, &str)]) -> Record {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        Record::read(&fields.iter().map(owned).collect())
    }

    #[test]
    fn the_greatest_counter_is_the_mark_wherever_it_stands() {
        let id = "ab".repeat(20);
        let read = record(&[
            ("joined", &id),
            ("floor", "7"),
            ("c0", "5"),
            ("c613", "9"),
            ("cx", "99"),
            ("max_ttl", "5000"),
        ]);
        assert_eq!(read.mark.get(), 9);
        assert_eq!(read.joined, id.parse().ok());
        assert_eq!(read.max_ttl, Some(Duration::from_secs(5)));
        assert!(!read.damaged);
        assert_eq!(record(&[("high", "12"), ("floor", "7")]).mark.get(), 12);
    }

    #[test]
    fn a_record_that_makes_no_sense_is_damaged_and_none_is_not() {
        let id = "ab".repeat(20);
        assert!(record(&[("joined", "x"), ("max_ttl", "1")]).damaged);
        assert!(record(&[("joined", &id)]).damaged);
        assert!(record(&[("high", "many")]).damaged);
        assert_eq!(record(&[]), Record::default());
    }

    #[test]
    fn versions_and_products() {
        let redis = Info::read("redis_version:7.0.15\r\n", None);
        assert_eq!(redis.version(), Some((7, 0)));
        assert_eq!(redis.product(), "Redis 7.0.15");
        let text = "redis_version:7.2.4\nserver_name:valkey\nvalkey_version:8.0.1";
        assert_eq!(Info::read(text, None).product(), "Valkey 8.0.1");
        assert_eq!(Info::read("redis_version:next", None).version(), None);
    }
}
