//! Random sequences of commands on a real server and on the model: same answers.
//!
//! The model is told the server's clock as it was just before each command, so
//! lengths may differ by how long commands took. What lives for a few
//! milliseconds only is waited for, so that it is gone in both.

use std::time::Duration;

use leasehold_core::quorum::{
    AcquireReply, Data, Inspection, JoinCommand, JoinReply, Node, NodeStatus, OwnerReply,
    PromoteReply, Recalled, RunId,
};
use leasehold_core::{LockName, StoreTime, Token};
use proptest::prelude::*;

use super::remote::{GRACE, OWNER, Remote, nonce, ours, token};
use super::scripts::{BreakReply, View};
use super::support::until;

const NAMES: [&str; 3] = ["a", "b/7", "é"];
/// What is to end soon ends within this many ms, and what is not, does not.
const SOON: i64 = 5_000;

#[derive(Clone, Copy, Debug)]
enum Act {
    Acquire { hold: Duration, proposal: Token },
    WrongType { hold: Duration, proposal: Token },
    Promote { to: Token },
    Extend { hold: Duration },
    Release,
    Break { to: Token },
    DropKey,
    DropFence,
    Flush,
    ScriptFlush,
    Save,
    Restart,
    Inspect,
    Notice,
    Recall,
    Raise { to: Token },
    Install { floor: Token, max_ttl: Duration },
    Adopt { max_ttl: Duration },
    Keep { max_ttl: Duration },
    FullJoin { floor: Token, max_ttl: Duration },
}

#[derive(Clone, Copy, Debug)]
struct Op {
    act: Act,
    name: usize,
    nonce: u8,
    /// Sent under the run id of another server.
    astray: bool,
}

fn hold() -> impl Strategy<Value = Duration> {
    prop_oneof![1..4_u64, 60_000..64_000_u64, Just(200_000)].prop_map(Duration::from_millis)
}

fn max_ttl() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(61_500_u64), Just(100_000), Just(300_000)].prop_map(Duration::from_millis)
}

fn tokens() -> impl Strategy<Value = Token> {
    let max = Token::MAX.get();
    let value = prop_oneof![
        20 => 0..40_u64,
        4 => (1_u64 << 50)..(1 << 50) + 9,
        1 => max - 2..=max,
    ];
    value.prop_map(token)
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        24 => (hold(), tokens()).prop_map(|(hold, proposal)| Act::Acquire { hold, proposal }),
        2 => (hold(), tokens()).prop_map(|(hold, proposal)| Act::WrongType { hold, proposal }),
        6 => tokens().prop_map(|to| Act::Promote { to }),
        6 => hold().prop_map(|hold| Act::Extend { hold }),
        10 => Just(Act::Release),
        3 => tokens().prop_map(|to| Act::Break { to }),
        3 => Just(Act::DropKey),
        3 => Just(Act::DropFence),
        1 => Just(Act::Flush),
        1 => Just(Act::ScriptFlush),
        1 => Just(Act::Save),
        1 => Just(Act::Restart),
        2 => Just(Act::Inspect),
        2 => Just(Act::Notice),
        2 => Just(Act::Recall),
        2 => tokens().prop_map(|to| Act::Raise { to }),
        2 => (tokens(), max_ttl()).prop_map(|(floor, max_ttl)| Act::Install { floor, max_ttl }),
        1 => max_ttl().prop_map(|max_ttl| Act::Adopt { max_ttl }),
        1 => max_ttl().prop_map(|max_ttl| Act::Keep { max_ttl }),
        6 => (tokens(), max_ttl()).prop_map(|(floor, max_ttl)| Act::FullJoin { floor, max_ttl }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let astray = proptest::bool::weighted(0.06);
    (act(), 0..NAMES.len(), 1..4_u8, astray).prop_map(|(act, name, nonce, astray)| Op {
        act,
        name,
        nonce,
        astray,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_scripts_do_what_the_model_does(
        forgetful in proptest::bool::weighted(0.2),
        ops in prop::collection::vec(op(), 1..70),
    ) {
        let retention = Duration::from_millis(if forgetful { 2 } else { 600_000 });
        let mut pair = Pair::start(retention);
        for op in ops {
            pair.step(op);
        }
    }
}

/// The server and the model, side by side.
struct Pair {
    remote: Remote,
    model: Node,
    retention: Duration,
    saved: Data,
    /// How long the slowest command took, at most.
    slowest: Duration,
}

impl Pair {
    fn start(retention: Duration) -> Self {
        let mut remote = Remote::start(retention);
        remote.load();
        let now = remote.now();
        let model = Node::start(remote.run.run_id(), Data::default(), retention, now);
        let saved = Data::default();
        Self {
            remote,
            model,
            retention,
            saved,
            slowest: Duration::ZERO,
        }
    }

    fn step(&mut self, op: Op) {
        let now = self.remote.now();
        self.act(op, now);
        self.took(now);
        for name in NAMES {
            let name = LockName::new(name).unwrap();
            self.wait_for_what_ends_soon(&name);
            self.compare_status(&name);
        }
    }

    fn act(&mut self, op: Op, now: StoreTime) {
        let name = &LockName::new(NAMES[op.name]).unwrap();
        let (by, own) = (nonce(op.nonce), self.model.run_id());
        let run = match op.astray {
            true => RunId::from_bytes([7; 20]),
            false => own,
        };
        match op.act {
            Act::Acquire { hold, proposal } => {
                let model = self.model.acquire(run, name, by, hold, proposal, now);
                let (real, _) = self.remote.acquire(run, name, by, hold, proposal).unwrap();
                self.same(&real, &model, now);
            }
            Act::WrongType { hold, proposal } => self.wrong_type(op, hold, proposal, run, now),
            Act::Promote { to } => {
                let model = self.model.promote(run, name, by, to, now);
                let real = self.remote.promote(run, name, by, to).unwrap();
                assert_eq!(real, model);
            }
            Act::Extend { hold } => {
                let model = self.model.extend(name, by, hold, now);
                assert_eq!(self.remote.extend(name, by, hold).unwrap(), model);
            }
            Act::Release => {
                let model = self.model.release(name, by, now);
                assert_eq!(self.remote.release(name, by).unwrap(), model);
                if model == OwnerReply::Done {
                    assert_eq!(self.remote.life(&ours(name, "lease")), -2);
                }
            }
            Act::Break { to } => {
                let model = match self.model.promote(run, name, by, to, now) {
                    PromoteReply::At(counter) => BreakReply::Broken(Some(counter)),
                    PromoteReply::NotJoined => BreakReply::Broken(None),
                    PromoteReply::Gone => BreakReply::Gone,
                };
                let model = match self.model.release(name, by, now) {
                    OwnerReply::Done => model,
                    OwnerReply::Gone => BreakReply::Gone,
                };
                let real = self.remote.break_key(run, name, Some(by), to);
                assert_eq!(real.unwrap(), model);
            }
            Act::DropKey => {
                self.model.expire_key(name);
                self.remote.call(&["DEL", name.as_str()]);
            }
            Act::DropFence => {
                self.model.expire_fence(name);
                self.remote.call(&["DEL", &ours(name, "fence")]);
            }
            Act::Flush => {
                self.model.flush();
                self.remote.call(&["FLUSHALL"]);
            }
            Act::ScriptFlush => {
                self.remote.call(&["SCRIPT", "FLUSH"]);
                let error = self.remote.release(name, by).unwrap_err();
                assert_eq!(error.code(), Some("NOSCRIPT"));
                self.remote.load();
            }
            Act::Save => {
                self.remote.call(&["SAVE"]);
                self.saved = self.model.snapshot();
            }
            Act::Restart => {
                self.remote.server.restart();
                self.remote.reconnect();
                self.remote.load();
                let (run_id, now) = (self.remote.run.run_id(), self.remote.now());
                self.model = Node::start(run_id, self.saved.clone(), self.retention, now);
            }
            Act::FullJoin { floor, max_ttl } => {
                let ticket = by;
                let said = self.join(JoinCommand::Notice { ticket }, own, now);
                let JoinReply::Noticed { ticket, .. } = said else {
                    panic!("{said:?}")
                };
                let command = JoinCommand::Install {
                    ticket,
                    floor,
                    max_ttl,
                };
                let now = self.remote.now();
                assert_eq!(self.join(command, own, now), JoinReply::Installed);
            }
            Act::Inspect => drop(self.join(JoinCommand::Inspect, own, now)),
            Act::Notice => drop(self.join(JoinCommand::Notice { ticket: by }, own, now)),
            Act::Recall => drop(self.join(JoinCommand::Recall, run, now)),
            Act::Raise { to } => drop(self.join(JoinCommand::Raise { to }, run, now)),
            Act::Install { floor, max_ttl } => {
                let ticket = by;
                let command = JoinCommand::Install {
                    ticket,
                    floor,
                    max_ttl,
                };
                self.join(command, run, now);
            }
            Act::Adopt { max_ttl } => drop(self.join(JoinCommand::Adopt { max_ttl }, run, now)),
            Act::Keep { max_ttl } => drop(self.join(JoinCommand::Keep { max_ttl }, run, now)),
        }
    }

    /// Another application uses the name for a hash of its own.
    fn wrong_type(&mut self, op: Op, hold: Duration, proposal: Token, run: RunId, now: StoreTime) {
        let name = &LockName::new(NAMES[op.name]).unwrap();
        let by = nonce(op.nonce);
        let before = self.model.status(name, now);
        if before.held.is_some() {
            return;
        }
        self.remote.call(&["HSET", name.as_str(), "field", "value"]);
        let model = self.model.acquire(run, name, by, hold, proposal, now);
        match (self.remote.acquire(run, name, by, hold, proposal), model) {
            // A number is gone, and nothing is held.
            (Err(error), AcquireReply::Granted { .. }) => {
                assert_eq!(error.code(), Some("WRONGTYPE"), "{error}");
                self.model.expire_key(name);
                if before.counter.is_none() {
                    self.model.expire_fence(name);
                    assert_eq!(self.remote.life(&ours(name, "fence")), -2);
                }
                assert_eq!(self.remote.life(&ours(name, "lease")), -2);
            }
            (real, model) => assert_eq!(real.unwrap().0, model),
        }
        let model = self.model.promote(run, name, by, proposal, now);
        let real = self.remote.promote(run, name, by, proposal).unwrap();
        assert_eq!(real, model);
        for error in [
            self.remote.extend(name, by, hold).unwrap_err(),
            self.remote.release(name, by).unwrap_err(),
            self.remote.status(name).unwrap_err(),
        ] {
            assert!(error.to_string().contains("WRONGTYPE"), "{error}");
        }
        self.remote.call(&["DEL", name.as_str()]);
    }

    fn join(&mut self, command: JoinCommand, run: RunId, now: StoreTime) -> JoinReply {
        let model = match command {
            JoinCommand::Inspect => self.model.inspect(now),
            JoinCommand::Notice { ticket } => self.model.notice(run, ticket, now),
            JoinCommand::Recall => self.model.recall(run, now),
            JoinCommand::Raise { to } => self.model.raise(run, to),
            JoinCommand::Install {
                ticket,
                floor,
                max_ttl,
            } => self.model.install(run, ticket, floor, max_ttl, now),
            JoinCommand::Adopt { max_ttl } => self.model.adopt(run, max_ttl),
            JoinCommand::Keep { max_ttl } => self.model.keep(run, max_ttl),
        };
        let real = self.remote.join(command, Some(run));
        self.same(&real, &model, now);
        real
    }

    fn compare_status(&mut self, name: &LockName) {
        let now = self.remote.now();
        let model = self.model.status(name, now);
        let view = self.remote.status(name).unwrap();
        self.same(&status(&view), &model, now);
        let Some(key) = view.key else { return };
        let lease = key.lease.expect("all keys are leases here");
        assert_eq!((lease.owner.as_str(), lease.grace), (OWNER, GRACE));
        let lives = [name.as_str(), &ours(name, "lease")].map(|key| self.remote.life(key));
        let apart = lives[0].abs_diff(lives[1]);
        assert!(
            apart < 1_000,
            "the lease's record ends with its key: {lives:?}"
        );
    }

    fn wait_for_what_ends_soon(&mut self, name: &LockName) {
        for key in [name.as_str(), &ours(name, "fence"), &ours(name, "lease")] {
            if (0..SOON).contains(&self.remote.life(key)) {
                until("a key runs out", || self.remote.life(key) == -2);
            }
        }
    }

    fn took(&mut self, since: StoreTime) -> Duration {
        let took = self.remote.now().saturating_since(since);
        self.slowest = self.slowest.max(took);
        took
    }

    /// Same answers, but for how long this command took, and the one before that
    /// wrote what this one tells the age of.
    #[track_caller]
    fn same<T: Near>(&mut self, real: &T, model: &T, asked_at: StoreTime) {
        let slack = self.took(asked_at) + self.slowest + Duration::from_millis(2);
        assert!(
            real.near(model, slack),
            "the server: {real:?}\nthe model: {model:?}"
        );
    }
}

/// This view as the model has it.
fn status(view: &View) -> NodeStatus {
    let key = view.key.as_ref();
    NodeStatus {
        held: key.and_then(|key| Some((key.lease.as_ref()?.nonce, key.free_in))),
        counter: view.counter,
    }
}

/// Equal but for lengths of time.
trait Near: std::fmt::Debug {
    fn near(&self, other: &Self, slack: Duration) -> bool;
}

impl Near for Duration {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        self.abs_diff(*other) <= slack
    }
}

impl<T: Near> Near for Option<T> {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        match (self, other) {
            (Some(one), Some(other)) => one.near(other, slack),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Near for AcquireReply {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        match (self, other) {
            (
                Self::Busy {
                    free_in: one,
                    holder: real,
                },
                Self::Busy {
                    free_in: other,
                    holder: model,
                },
            ) => real == model && one.near(other, slack),
            (one, other) => one == other,
        }
    }
}

impl Near for NodeStatus {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        let holder = |status: &Self| status.held.map(|held| held.0);
        let left = |status: &Self| status.held.map(|held| held.1);
        self.counter == other.counter
            && holder(self) == holder(other)
            && left(self).near(&left(other), slack)
    }
}

impl Near for Inspection {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        // Servers tell their uptime in whole seconds, of two rounded clocks.
        let uptime = self
            .uptime
            .near(&other.uptime, slack + Duration::from_secs(2));
        let clock = Duration::from_micros(self.unix_micros.abs_diff(other.unix_micros));
        let untimed = |said: &Self| Self {
            uptime: Duration::ZERO,
            unix_micros: 0,
            ..*said
        };
        uptime && clock <= slack && untimed(self) == untimed(other)
    }
}

impl Near for Recalled {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        let clock = Duration::from_micros(self.unix_micros.abs_diff(other.unix_micros));
        self.joined_for.near(&other.joined_for, slack)
            && clock <= slack
            && (self.mark, self.max_ttl) == (other.mark, other.max_ttl)
    }
}

impl Near for JoinReply {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        match (self, other) {
            (Self::Inspected(one), Self::Inspected(other)) => one.near(other, slack),
            (Self::Recalled(one), Self::Recalled(other)) => one.near(other, slack),
            (
                Self::Noticed {
                    ticket: real,
                    ago: one,
                    inspection: said,
                },
                Self::Noticed {
                    ticket: model,
                    ago: other,
                    inspection: meant,
                },
            ) => real == model && one.near(other, slack) && said.near(meant, slack),
            (one, other) => one == other,
        }
    }
}
