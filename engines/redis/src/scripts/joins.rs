//! The steps of a join as the server sees them.
//!
//! A node that has to join has no scripts, so a step brings its own along and
//! runs it by its hash. The scripts of the locks are loaded at the end.

use std::time::Duration;

use leasehold_core::Token;
use leasehold_core::quorum::{Inspection, JoinCommand, JoinReply, Recalled, RunId};
use redis::{Script, Value};

use super::info::decode_info;
use super::reply::{array, micros, millis, parsed, text, token};
use super::{Arg, BadReply, Packed, RunText, whole_millis};

/// The scripts of the join.
#[derive(Debug)]
pub(super) struct JoinScripts {
    inspect: Source,
    notice: Source,
    recall: Source,
    raise: Source,
    install: Source,
    adopt: Source,
    witness: Source,
}

/// A script that is sent along.
#[derive(Debug)]
struct Source {
    code: String,
    sha: String,
}

impl Source {
    fn new(code: String) -> Self {
        let sha = Script::new(&code).get_hash().to_owned();
        Self { code, sha }
    }
}

impl JoinScripts {
    pub(super) fn new() -> Self {
        let whole = |code: &str| Source::new(code.to_owned());
        let marked = |code: &str| Source::new([include_str!("mark.lua"), code].concat());
        Self {
            inspect: marked(include_str!("inspect.lua")),
            notice: marked(include_str!("notice.lua")),
            recall: marked(include_str!("recall.lua")),
            raise: whole(include_str!("raise.lua")),
            install: whole(include_str!("install.lua")),
            adopt: whole(include_str!("adopt.lua")),
            witness: whole(include_str!("witness.lua")),
        }
    }

    /// One step, as sent over a connection whose server has this run id.
    pub(super) fn encode(&self, command: JoinCommand, run_id: &RunText, record: &str) -> Packed {
        let mut packed = Packed::default();
        let (source, args) = match command {
            JoinCommand::Inspect => (&self.inspect, vec![]),
            JoinCommand::Notice { ticket } => (&self.notice, vec![ticket.to_string()]),
            JoinCommand::Recall => (&self.recall, vec![]),
            JoinCommand::Raise { to } => (&self.raise, vec![to.to_string()]),
            JoinCommand::Install {
                ticket,
                floor,
                max_ttl,
            } => (
                &self.install,
                vec![
                    ticket.to_string(),
                    floor.to_string(),
                    whole_millis(max_ttl).to_string(),
                ],
            ),
            JoinCommand::Adopt { max_ttl } => {
                (&self.adopt, vec![whole_millis(max_ttl).to_string()])
            }
            JoinCommand::Keep { max_ttl } => (
                &self.adopt,
                vec![whole_millis(max_ttl).to_string(), "keep".to_owned()],
            ),
        };
        packed.words(&["SCRIPT", "LOAD", &source.code]);
        let mut words = vec![run_id.into()];
        words.extend(args.iter().map(|arg| Arg::Text(arg)));
        packed.call(&source.sha, &[Arg::Text(record)], &words);
        if let JoinCommand::Inspect | JoinCommand::Notice { .. } = command {
            // After the notice, so that no flush falls in between unseen.
            packed.words(&["INFO", "all"]);
        }
        packed
    }

    pub(super) fn witness(&self, key: &str, old: &str, new: &str) -> Packed {
        let mut packed = Packed::of(&["SCRIPT", "LOAD", &self.witness.code]);
        let args = [Arg::Text(old), Arg::Text(new)];
        packed.call(&self.witness.sha, &[Arg::Text(key)], &args);
        packed
    }
}

/// The answers to a step, one per command of its pipeline.
///
/// # Errors
///
/// Also if the server has another run id than the connection read at its start.
pub(crate) fn decode_join(
    command: JoinCommand,
    run_id: &RunText,
    values: &[Value],
) -> Result<JoinReply, BadReply> {
    let bad = |name| move || BadReply::new(name, &values);
    match command {
        JoinCommand::Inspect => read_inspect(run_id, values).ok_or_else(bad("join: inspect")),
        JoinCommand::Notice { .. } => read_notice(run_id, values).ok_or_else(bad("join: notice")),
        JoinCommand::Recall => read_recall(values).ok_or_else(bad("join: recall")),
        JoinCommand::Raise { .. } => {
            read_done(values, JoinReply::Raised).ok_or_else(bad("join: raise"))
        }
        JoinCommand::Install { .. } | JoinCommand::Adopt { .. } | JoinCommand::Keep { .. } => {
            read_done(values, JoinReply::Installed).ok_or_else(bad("join: install"))
        }
    }
}

/// Reads an answer as that to each step.
#[cfg(feature = "fuzzing")]
pub(crate) fn decode_join_any(value: &Value) {
    let run_id = RunText::from(RunId::from_bytes([0; 20]));
    let values = match value {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    let (ticket, max_ttl) = (leasehold_core::Nonce::from_bytes([0; 16]), Duration::ZERO);
    for command in [
        JoinCommand::Inspect,
        JoinCommand::Notice { ticket },
        JoinCommand::Recall,
        JoinCommand::Raise { to: Token::NONE },
        JoinCommand::Adopt { max_ttl },
    ] {
        let _ = decode_join(command, &run_id, values);
    }
}

/// What the record says: joined under which run id, the mark, `max_ttl`.
struct Record {
    joined: Option<RunId>,
    mark: Token,
    max_ttl: Duration,
}

impl Record {
    fn read(joined: &Value, mark: &Value, max_ttl: &Value) -> Option<Self> {
        Some(Self {
            joined: match text(joined)? {
                "" => None,
                joined => Some(joined.parse().ok()?),
            },
            mark: token(mark)?,
            max_ttl: millis(max_ttl)?,
        })
    }
}

fn read_inspect(run_id: &RunText, values: &[Value]) -> Option<JoinReply> {
    let [_, said, info] = values else {
        return None;
    };
    let [now, joined, mark, max_ttl] = array(said)? else {
        return None;
    };
    let record = Record::read(joined, mark, max_ttl)?;
    inspection(run_id, record, unix_micros(now)?, info).map(JoinReply::Inspected)
}

fn read_notice(run_id: &RunText, values: &[Value]) -> Option<JoinReply> {
    let [_, said, info] = values else {
        return None;
    };
    let [ticket, ago, now, joined, mark, max_ttl] = array(said)? else {
        return None;
    };
    let record = Record::read(joined, mark, max_ttl)?;
    Some(JoinReply::Noticed {
        ticket: parsed(ticket)?,
        ago: micros(ago)?,
        inspection: inspection(run_id, record, unix_micros(now)?, info)?,
    })
}

fn inspection(
    run_id: &RunText,
    record: Record,
    unix_micros: u64,
    info: &Value,
) -> Option<Inspection> {
    let info = decode_info(info).ok()?;
    (run_id.run_id() == info.run_id).then_some(Inspection {
        run_id: info.run_id,
        joined: record.joined,
        mark: record.mark,
        max_ttl: record.max_ttl,
        uptime: info.uptime,
        disturbed: info.disturbed,
        unix_micros,
    })
}

fn read_recall(values: &[Value]) -> Option<JoinReply> {
    let [_, said] = values else {
        return None;
    };
    let [age, mark, max_ttl, now] = array(said)? else {
        return None;
    };
    let joined_for = match age {
        Value::Int(-1) => None,
        age => Some(micros(age)?),
    };
    Some(JoinReply::Recalled(Recalled {
        joined_for,
        mark: token(mark)?,
        max_ttl: millis(max_ttl)?,
        unix_micros: unix_micros(now)?,
    }))
}

fn read_done(values: &[Value], done: JoinReply) -> Option<JoinReply> {
    match values {
        [_, Value::Int(1)] => Some(done),
        [_, Value::Int(0)] => Some(JoinReply::Refused),
        _ => None,
    }
}

fn unix_micros(value: &Value) -> Option<u64> {
    super::reply::int(value)
}
