//! What is sent to a server, and what it answers.
//!
//! A script does what the method of the same name does in core's
//! [`Node`](leasehold_core::quorum::Node), all or nothing. Scripts are run by
//! their hash only, and those of the locks are loaded by the end of a join only:
//! `NOSCRIPT` says that a connection has come to a server that did not join.
//!
//! A node has up to four keys for a lock, see [`Keys`], and one record for itself, the
//! hash `leasehold:node`: `joined`, `high`, `floor`, `max_ttl` (ms), `since` (µs),
//! and while it has forgotten `noticed_run`, `ticket`, `noticed_at` (µs).
//!
//! Lengths are whole milliseconds there, rounded up. That is within the margin of
//! C2, which is 2 ms at least, so no lease outlives a quarantine by it.
//!
//! # What a user needs
//!
//! The commands `EVALSHA`, `SCRIPT LOAD`, `INFO`, `TIME`, `GET`, `MGET`, `SET`,
//! `DEL`, `PTTL`, `PEXPIRE`, `HMGET`, `HSET`, `HDEL`, `PUBLISH`, `SUBSCRIBE`, on the
//! locks' own keys and on the keys and channels `leasehold:*`.

pub(crate) mod info;
mod joins;
mod keys;
mod pack;
mod reply;
mod view;
mod vote;

use std::fmt;
use std::time::Duration;

use leasehold_core::quorum::{JoinCommand, RunId};
use leasehold_core::{BreakStatus, Nonce, Owner, Token};
use redis::{Script, Value};

pub(crate) use info::run_id;
pub(crate) use joins::decode_join;
pub(crate) use keys::{Keys, NODE};
pub(crate) use pack::{Arg, Packed};
pub(crate) use reply::BadReply;
pub(crate) use view::{BreakReply, HeldKey, View, decode_break, decode_status};
pub(crate) use vote::{decode_acquire, decode_extend, decode_promote, decode_release};

/// The scripts, and how they are called.
#[derive(Debug)]
pub(crate) struct Scripts {
    acquire: Voting,
    promote: Voting,
    extend: Voting,
    release: Voting,
    status: Voting,
    unlock: Voting,
    join: joins::JoinScripts,
    retention: u64,
}

/// A script of the locks.
#[derive(Debug)]
struct Voting {
    code: &'static str,
    sha: String,
}

/// Who asks, for people to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label<'a> {
    /// Its name.
    pub(crate) owner: &'a Owner,
    /// How much longer than its TTL the key lives: the hold is both.
    pub(crate) grace: Duration,
}

/// A run id as text. Made once per connection, since every acquire carries it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RunText {
    run_id: RunId,
    text: String,
}

impl RunText {
    /// The run id.
    pub(crate) const fn run_id(&self) -> RunId {
        self.run_id
    }
}

impl From<RunId> for RunText {
    fn from(run_id: RunId) -> Self {
        let text = run_id.to_string();
        Self { run_id, text }
    }
}

impl fmt::Debug for RunText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'a> From<&'a RunText> for Arg<'a> {
    fn from(run: &'a RunText) -> Self {
        Self::Text(&run.text)
    }
}

impl Voting {
    fn new(code: &'static str) -> Self {
        let sha = Script::new(code).get_hash().to_owned();
        Self { code, sha }
    }

    fn call(&self, keys: &[Arg<'_>], args: &[Arg<'_>]) -> Packed {
        // Enough for most names.
        let mut packed = Packed::with_capacity(512);
        packed.call(&self.sha, keys, args);
        packed
    }
}

impl Scripts {
    /// Nodes keep the counter of an idle name for `retention`.
    pub(crate) fn new(retention: Duration) -> Self {
        Self {
            acquire: Voting::new(include_str!("acquire.lua")),
            promote: Voting::new(include_str!("promote.lua")),
            extend: Voting::new(include_str!("extend.lua")),
            release: Voting::new(include_str!("release.lua")),
            status: Voting::new(include_str!("status.lua")),
            unlock: Voting::new(include_str!("break.lua")),
            join: joins::JoinScripts::new(),
            retention: whole_millis(retention),
        }
    }

    /// Takes the key, if it is free. See [`decode_acquire`].
    pub(crate) fn acquire(
        &self,
        keys: &Keys,
        run_id: &RunText,
        nonce: Nonce,
        hold: Duration,
        proposal: Token,
        label: Label<'_>,
    ) -> Packed {
        let ttl = hold.saturating_sub(label.grace);
        self.acquire.call(
            &[keys.lock(), keys.fence(), keys.lease(), Arg::Text(NODE)],
            &[
                run_id.into(),
                Arg::Nonce(nonce),
                millis(hold),
                Arg::Number(proposal.get()),
                Arg::Number(self.retention),
                Arg::Text(label.owner.as_str()),
                millis(ttl),
                millis(label.grace),
            ],
        )
    }

    /// Raises the counter, if the key is still ours. See [`decode_promote`].
    pub(crate) fn promote(&self, keys: &Keys, run_id: &RunText, nonce: Nonce, to: Token) -> Packed {
        self.promote.call(
            &[keys.lock(), keys.fence(), Arg::Text(NODE)],
            &[
                run_id.into(),
                Arg::Nonce(nonce),
                Arg::Number(to.get()),
                Arg::Number(self.retention),
            ],
        )
    }

    /// Lets the key live longer, if it is still ours. See [`decode_extend`].
    pub(crate) fn extend(&self, keys: &Keys, nonce: Nonce, hold: Duration) -> Packed {
        let keys = [keys.lock(), keys.lease()];
        self.extend.call(&keys, &[Arg::Nonce(nonce), millis(hold)])
    }

    /// Deletes the key, if it is still ours, and publishes on [`Keys::wake`]. See
    /// [`decode_release`].
    pub(crate) fn release(&self, keys: &Keys, nonce: Nonce) -> Packed {
        let wake = Arg::Text(keys.wake());
        let keys = [keys.lock(), keys.lease()];
        self.release.call(&keys, &[Arg::Nonce(nonce), wake])
    }

    /// The lock as the node has it; changes nothing. See [`decode_status`].
    pub(crate) fn status(&self, keys: &Keys) -> Packed {
        let keys = [keys.lock(), keys.fence(), keys.lease(), keys.broken()];
        self.status.call(&keys, &[])
    }

    /// Deletes the key if it has this nonce, raises the counter to at least `to`,
    /// keeps `why` as long as the counter, and publishes on [`Keys::wake`]. Without
    /// a nonce the lock must be free. See [`decode_break`].
    pub(crate) fn break_key(
        &self,
        keys: &Keys,
        run_id: &RunText,
        nonce: Option<Nonce>,
        to: Token,
        why: &BreakStatus,
    ) -> Packed {
        let ended: Vec<_> = why.ended.iter().map(Token::to_string).collect();
        self.unlock.call(
            &[
                keys.lock(),
                keys.fence(),
                keys.lease(),
                Arg::Text(NODE),
                keys.broken(),
            ],
            &[
                run_id.into(),
                nonce.map_or(Arg::Text(""), Arg::Nonce),
                Arg::Number(to.get()),
                Arg::Number(self.retention),
                Arg::Text(keys.wake()),
                Arg::Text(why.by.as_str()),
                Arg::Text(&why.reason),
                Arg::Number(why.unix_seconds),
                Arg::Text(&ended.join(" ")),
            ],
        )
    }

    /// A step of a join, over a connection whose server has this run id. Needs no
    /// script there. See [`decode_join`].
    pub(crate) fn join(&self, command: JoinCommand, run_id: &RunText) -> Packed {
        self.join.encode(command, run_id)
    }

    /// Loads the scripts of the locks. Only a join may, over the connection that
    /// was just answered `Installed`. See [`decode_load`](Self::decode_load).
    pub(crate) fn load(&self) -> Packed {
        let mut packed = Packed::default();
        for script in self.voting() {
            packed.words(&["SCRIPT", "LOAD", script.code]);
        }
        packed
    }

    /// The answers to a load, one per command of its pipeline.
    pub(crate) fn decode_load(&self, values: &[Value]) -> Result<(), BadReply> {
        let told = values.iter().map(reply::text);
        let same = told.eq(self.voting().map(|script| Some(&*script.sha)));
        match same {
            true => Ok(()),
            false => Err(BadReply::new("SCRIPT LOAD", &values)),
        }
    }

    fn voting(&self) -> impl Iterator<Item = &Voting> {
        [
            &self.acquire,
            &self.promote,
            &self.extend,
            &self.release,
            &self.status,
            &self.unlock,
        ]
        .into_iter()
    }
}

fn millis(length: Duration) -> Arg<'static> {
    Arg::Number(whole_millis(length))
}

/// Whole milliseconds, rounded up, and few enough for a server to add to its clock.
fn whole_millis(length: Duration) -> u64 {
    const MOST: u128 = 1 << 46;
    length.as_nanos().div_ceil(1_000_000).clamp(1, MOST) as u64
}
