//! What happened, in the order in which the parent learned of it; one JSON object a
//! line in a file.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::protocol::{Answer, Event, Hello, What};

/// One line of a history. Times are microseconds of [`clock`](crate::clock).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// The first line.
    Run(Run),
    /// An ask and what came of it.
    Call(Call),
    /// What a worker said unasked.
    Event {
        /// The worker process.
        process: u32,
        /// What it said.
        #[serde(flatten)]
        event: Event,
    },
    /// A write that reached the protected resource.
    Write(WriteTo),
    /// A worker process ended without being asked to.
    Died {
        /// The worker process.
        process: u32,
        /// When it was noticed.
        at_us: u64,
    },
    /// Something that was done to servers, connections, clocks or clients.
    Fault(Band),
    /// The last line.
    End {
        /// When.
        at_us: u64,
    },
}

/// What was run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// When it began.
    pub at_us: u64,
    /// The client under test.
    pub worker: Hello,
    /// The deployment, without passwords.
    pub url: String,
    /// What all choices came from.
    pub seed: u64,
    /// How many clients.
    pub clients: u32,
    /// In how many processes.
    pub processes: u32,
    /// How many locks.
    pub names: u32,
    /// The TTL of each lease, in milliseconds.
    pub ttl_ms: u64,
    /// How the locks are taken.
    pub mode: String,
}

/// An ask and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The ask's id.
    pub id: u64,
    /// Which client, from 0, among all.
    pub client: u32,
    /// The worker process it is in.
    pub process: u32,
    /// What was asked.
    #[serde(rename = "ask")]
    pub what: What,
    /// When the parent asked.
    pub asked_us: u64,
    /// When the parent had the answer, or gave up expecting one.
    pub ended_us: u64,
    /// What the worker answered; nothing if it died or never did.
    pub answer: Option<Answer>,
}

/// A write that reached the protected resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteTo {
    /// The id of the acquire whose lease it was made under.
    pub lease: u64,
    /// The lock that protects the resource.
    pub name: String,
    /// The token that came with it.
    pub token: Option<u64>,
    /// When it arrived.
    pub at_us: u64,
    /// Whether the fenced register took it: not older than the greatest token it
    /// had seen. `None` without tokens, for which there is no fenced register.
    pub accepted: Option<bool>,
}

/// What a fault leaves of the promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Fewer servers than a quorum can spare: nothing may stop.
    Minority,
    /// So many servers that no quorum is left: nobody can be granted anything.
    Majority,
    /// The clients' side: who is not hit may not stop.
    Client,
}

/// Something that was done, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Band {
    /// What, such as `freeze`.
    pub kind: String,
    /// To whom, for people.
    pub target: String,
    /// How much it hits.
    pub scope: Scope,
    /// Whether it breaks what C3 assumes (clock rates within the margin, state that
    /// is kept), so that overlaps in it are reported apart.
    pub voids: bool,
    /// When it began.
    pub from_us: u64,
    /// When it ended.
    pub to_us: u64,
    /// How long after its end it may still show, such as for a quarantine.
    pub tail_us: u64,
    /// Worker processes that were stopped in it.
    #[serde(default)]
    pub processes: Vec<u32>,
}

impl Band {
    /// Whether a moment is in it, or so soon after it that it may still show.
    #[must_use]
    pub const fn covers(&self, at_us: u64) -> bool {
        self.from_us <= at_us && at_us <= self.to_us.saturating_add(self.tail_us)
    }
}

/// Writes one line.
///
/// # Errors
///
/// Those of the writer.
pub fn write(out: &mut (impl Write + ?Sized), record: &Record) -> io::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")
}

/// Reads a history that [`write()`] wrote.
///
/// # Errors
///
/// Those of the reader, and [`io::ErrorKind::InvalidData`] with the line's number
/// for what is no record.
pub fn read(from: impl BufRead) -> io::Result<Vec<Record>> {
    let record = |(at, line): (usize, io::Result<String>)| {
        serde_json::from_str(&line?).map_err(|error| {
            let text = format!("line {}: {error}", at + 1);
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    };
    from.lines().enumerate().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Happening, Kind, Outcome};

    #[test]
    fn what_is_written_is_read() {
        let records = vec![
            Record::Call(Call {
                id: 4,
                client: 1,
                process: 0,
                what: What::Acquire {
                    client: 1,
                    name: "x".into(),
                    ttl_ms: 100,
                    wait_ms: 0,
                    mode: Kind::Shared,
                    renew: true,
                    cancel_after_ms: None,
                },
                asked_us: 1,
                ended_us: 9,
                answer: Some(Answer {
                    id: 4,
                    ok: Outcome::Granted,
                    token: Some((1 << 53) - 1),
                    valid_ms: Some(97.25),
                    sent_us: 2,
                    got_us: 8,
                    text: None,
                }),
            }),
            Record::Event {
                process: 0,
                event: Event {
                    event: Happening::Lost,
                    lease: 4,
                    at_us: 10,
                    valid_ms: None,
                },
            },
            Record::Write(WriteTo {
                lease: 4,
                name: "x".into(),
                token: Some(7),
                at_us: 11,
                accepted: Some(false),
            }),
            Record::End { at_us: 12 },
        ];
        let mut text = Vec::new();
        for record in &records {
            write(&mut text, record).unwrap();
        }
        assert_eq!(read(&text[..]).unwrap(), records);
        text.extend_from_slice(b"{\"record\":\"other\"}\n");
        let error = read(&text[..]).unwrap_err().to_string();
        assert!(error.starts_with("line 5"), "{error}");
    }
}
