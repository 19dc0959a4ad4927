//! What is sent to a server, and what it answers.
//!
//! A script does what the method of the same name does in core's
//! [`Node`](leasehold_core::quorum::Node), all or nothing. Scripts are run by
//! their hash only, and those of the locks are loaded by the end of a join only:
//! `NOSCRIPT` says that a connection has come to a server that did not join.
//!
//! A node has up to four keys for a lock, see [`Keys`]: its own key, the *lease* (what is
//! known of an exclusive holder), the *line* (shared leases, permits, and who waits) and
//! the last *break*. For itself it has one record, the hash `leasehold:node`: `joined`,
//! `floor`, `backed`, `max_ttl` (ms), `since` (µs), the counters `c0` to `c16383`, and
//! while it has forgotten `noticed_run`, `ticket`, `noticed_at` (µs). A Redis Cluster has
//! such a record in each slot that is used, with one counter, see [`record_in`].
//!
//! A script is short where nobody else has or wants the lock. What it needs otherwise
//! is in `lib.lua`, which is put between its two halves. What several operations ask in
//! the same moment is sent in one call, see `many.rs`.
//!
//! Lengths are whole milliseconds there, rounded up. That is within the margin of
//! C2, which is 2 ms at least, so no lease outlives a quarantine by it.
//!
//! # What a user needs
//!
//! The commands `EVALSHA`, `SCRIPT LOAD`, `INFO`, `TIME`, `GET`, `MGET`, `SET`,
//! `DEL`, `PTTL`, `PEXPIRE`, `HMGET`, `HGETALL`, `HSET`, `HDEL`, `PUBLISH`, `SUBSCRIBE`,
//! on the locks' own keys and on the keys and channels `leasehold:*`.

pub(crate) mod info;
mod joins;
mod keys;
mod many;
mod pack;
mod reply;
pub(crate) mod slots;
mod view;
mod vote;

use std::fmt;
use std::time::Duration;

use leasehold_core::quorum::{Ask, JoinCommand, RunId};
use leasehold_core::{BreakStatus, Mode, Nonce, Owner, Token};
use redis::{Script, Value};

#[cfg(feature = "fuzzing")]
pub(crate) use info::decode_info;
pub(crate) use info::run_id;
pub(crate) use joins::decode_join;
#[cfg(feature = "fuzzing")]
pub(crate) use joins::decode_join_any;
pub(crate) use keys::{Keys, NODE, record_in, witness_in};
pub(crate) use many::{MOST, Terms, decode_many};
pub(crate) use pack::{Arg, Packed};
pub(crate) use reply::BadReply;
pub(crate) use view::{BreakReply, HeldKey, Lease, View, decode_break, decode_status};
pub(crate) use vote::{decode_acquire, decode_extend, decode_promote, decode_push, decode_release};

/// The scripts, and how they are called.
#[derive(Debug)]
pub(crate) struct Scripts {
    acquire: Voting,
    promote: Voting,
    place: Voting,
    step_back: Voting,
    extend: Voting,
    release: Voting,
    status: Voting,
    unlock: Voting,
    many: many::ManyScripts,
    join: joins::JoinScripts,
    retention: u64,
}

/// A script of the locks.
#[derive(Debug)]
struct Voting {
    code: String,
    sha: String,
}

/// Who asks, for people to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label<'a> {
    /// Its name.
    pub(crate) owner: &'a Owner,
    /// How much longer than its TTL the key lives: the hold is both.
    pub(crate) grace: Duration,
    /// Where it is told that the lock was handed over, or is worth asking for.
    pub(crate) channel: &'a str,
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
    fn new(code: String) -> Self {
        let sha = Script::new(&code).get_hash().to_owned();
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
    /// Nodes remember a break for `retention`.
    pub(crate) fn new(retention: Duration) -> Self {
        const LIB: &str = include_str!("lib.lua");
        let whole = |code: &str| Voting::new([LIB, code].concat());
        let halves = |fast: &str, slow: &str| Voting::new([fast, LIB, slow].concat());
        Self {
            acquire: halves(
                include_str!("acquire.lua"),
                include_str!("acquire_slow.lua"),
            ),
            promote: whole(include_str!("promote.lua")),
            place: whole(include_str!("place.lua")),
            step_back: whole(include_str!("step_back.lua")),
            extend: halves(include_str!("extend.lua"), include_str!("extend_slow.lua")),
            release: halves(
                include_str!("release.lua"),
                include_str!("release_slow.lua"),
            ),
            status: whole(include_str!("status.lua")),
            unlock: whole(include_str!("break.lua")),
            many: many::ManyScripts::new(),
            join: joins::JoinScripts::new(),
            retention: whole_millis(retention),
        }
    }

    /// Takes the lock, or a place in its line. See [`decode_acquire`].
    pub(crate) fn acquire(
        &self,
        keys: &Keys,
        run_id: &RunText,
        nonce: Nonce,
        ask: &Ask,
        label: Label<'_>,
    ) -> Packed {
        let ttl = ask.hold.saturating_sub(label.grace);
        self.acquire.call(
            &[keys.lock(), keys.lease(), keys.line(), keys.record()],
            &[
                run_id.into(),
                Arg::Nonce(nonce),
                millis(ask.hold),
                Arg::Number(ask.proposal.get()),
                keys.counter(),
                millis(ttl),
                millis(label.grace),
                Arg::Text(label.owner.as_str()),
                mode(ask.mode),
                Arg::Number(ask.slot.into()),
                ask.line.map_or(Arg::Number(0), millis),
                Arg::Text(label.channel),
            ],
        )
    }

    /// Raises the counter of a grant that is still ours. See [`decode_promote`].
    pub(crate) fn promote(&self, keys: &Keys, run_id: &RunText, nonce: Nonce, to: Token) -> Packed {
        self.promote.call(
            &[keys.lock(), keys.lease(), keys.line(), keys.record()],
            &[
                run_id.into(),
                Arg::Nonce(nonce),
                Arg::Number(to.get()),
                keys.counter(),
            ],
        )
    }

    /// Moves our place in the line. Answers 1, or 0 if there is none.
    pub(crate) fn place(&self, keys: &Keys, nonce: Nonce, to: u64) -> Packed {
        let keys = [keys.lock(), keys.lease(), keys.line()];
        self.place.call(&keys, &[Arg::Nonce(nonce), place(to)])
    }

    /// Gives up our grant, if its counter is at most `up_to`, for a place in the line
    /// that is kept for `line`, and lets `to` go first. What is handed over to that
    /// place is told on `channel`. Answers 1, or 0 if there is no such grant.
    pub(crate) fn step_back(
        &self,
        keys: &Keys,
        run_id: &RunText,
        nonce: Nonce,
        (to, up_to, at, line): (Nonce, Token, u64, Duration),
        channel: &str,
    ) -> Packed {
        self.step_back.call(
            &[keys.lock(), keys.lease(), keys.line(), keys.record()],
            &[
                run_id.into(),
                Arg::Nonce(nonce),
                Arg::Nonce(to),
                Arg::Number(up_to.get()),
                place(at),
                millis(line),
                Arg::Text(channel),
                keys.counter(),
            ],
        )
    }

    /// Lets a grant of this slot live longer, if it is still ours. See
    /// [`decode_extend`].
    pub(crate) fn extend(&self, keys: &Keys, nonce: Nonce, slot: u32, hold: Duration) -> Packed {
        let keys = [keys.lock(), keys.lease(), keys.line()];
        let args = [Arg::Nonce(nonce), millis(hold), Arg::Number(slot.into())];
        self.extend.call(&keys, &args)
    }

    /// Ends a grant of ours, or leaves the line, and hands over. See
    /// [`decode_release`].
    pub(crate) fn release(&self, keys: &Keys, run_id: &RunText, nonce: Nonce) -> Packed {
        self.release.call(
            &[keys.lock(), keys.lease(), keys.line(), keys.record()],
            &[run_id.into(), Arg::Nonce(nonce), keys.counter()],
        )
    }

    /// The lock as the node has it; changes nothing. See [`decode_status`].
    pub(crate) fn status(&self, keys: &Keys) -> Packed {
        self.status.call(&keys.all(), &[keys.counter()])
    }

    /// Ends what has the lock if all of it is among `values` (see
    /// [`HeldKey::identity`]), raises the counter to at least `to`, keeps `why`, and
    /// hands over. With no values the lock must be free. See [`decode_break`].
    pub(crate) fn break_keys(
        &self,
        keys: &Keys,
        run_id: &RunText,
        values: &[Vec<u8>],
        to: Token,
        why: &BreakStatus,
    ) -> Packed {
        let ended: Vec<_> = why.ended.iter().map(Token::to_string).collect();
        let ended = ended.join(" ");
        let mut args = vec![
            run_id.into(),
            Arg::Number(to.get()),
            keys.counter(),
            Arg::Number(self.retention),
            Arg::Text(why.by.as_str()),
            Arg::Text(&why.reason),
            Arg::Number(why.unix_seconds),
            Arg::Text(&ended),
        ];
        args.extend(values.iter().map(|value| Arg::Bytes(value)));
        self.unlock.call(&keys.all(), &args)
    }

    /// A step of a join, over a connection whose server has this run id, with the key
    /// of the node's record. Needs no script there. See [`decode_join`].
    pub(crate) fn join(&self, command: JoinCommand, run_id: &RunText, record: &str) -> Packed {
        self.join.encode(command, run_id, record)
    }

    /// Writes `new` to the key of a witness if it has `old`. Answers 1, or 0 if not.
    pub(crate) fn witness(&self, key: &str, old: &str, new: &str) -> Packed {
        self.join.witness(key, old, new)
    }

    /// Loads the scripts of the locks. Only a join may, over the connection that
    /// was just answered `Installed`. See [`decode_load`](Self::decode_load).
    pub(crate) fn load(&self) -> Packed {
        let mut packed = Packed::default();
        for script in self.voting() {
            packed.words(&["SCRIPT", "LOAD", &script.code]);
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

    /// The code of the script that extends.
    pub(crate) fn extend_code(&self) -> &str {
        &self.extend.code
    }

    /// The code of the script that releases.
    pub(crate) fn release_code(&self) -> &str {
        &self.release.code
    }

    fn voting(&self) -> impl Iterator<Item = &Voting> {
        [
            &self.acquire,
            &self.promote,
            &self.place,
            &self.step_back,
            &self.extend,
            &self.release,
            &self.status,
            &self.unlock,
        ]
        .into_iter()
        .chain(self.many.all())
    }
}

fn mode(mode: Mode) -> Arg<'static> {
    match mode {
        Mode::Shared => Arg::Number(0),
        Mode::Permit(n) => Arg::Number(n.get().into()),
        _ => Arg::Text("-1"),
    }
}

/// A place as Lua can hold it.
fn place(place: u64) -> Arg<'static> {
    Arg::Number(place.min(Token::MAX.get()))
}

fn millis(length: Duration) -> Arg<'static> {
    Arg::Number(whole_millis(length))
}

/// Whole milliseconds, rounded up, and few enough for a server to add to its clock.
fn whole_millis(length: Duration) -> u64 {
    const MOST: u128 = 1 << 46;
    length.as_nanos().div_ceil(1_000_000).clamp(1, MOST) as u64
}
