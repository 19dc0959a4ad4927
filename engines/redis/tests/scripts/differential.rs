//! Random sequences of commands on a real server and on the model: same answers,
//! and waiters are told the same.
//!
//! The model is told the server's clock as it was just before each command, so
//! lengths may differ by how long commands took. Grants and places outlast a case;
//! what is to be gone is deleted by hand.

use std::time::Duration;

use leasehold_core::quorum::{
    AcquireReply, Ask, Data, Inspection, JoinCommand, JoinReply, Node, NodeStatus, Push, Recalled,
    RunId,
};
use leasehold_core::{LockName, Mode, Nonce, StoreTime, Token};
use proptest::prelude::*;
use redis::Connection;

use super::remote::{CHANNEL, Remote, nonce, token};
use super::scripts::{View, decode_push};

const NAMES: [&str; 3] = ["a", "b/7", "é"];
const MAX_TTL: Duration = Duration::from_secs(300);
/// What tells that everything before was told.
const MARK: &str = "mark";

#[derive(Clone, Copy, Debug)]
enum Act {
    Acquire(Ask),
    Promote { to: Token },
    Place { to: u64 },
    StepBack { to: u8, up_to: Token, place: u64 },
    Extend { slot: u32, hold: Duration },
    Release,
    TakePlainly,
    DropPlainly,
    DropKey,
    Flush,
    Save,
    Restart,
    Inspect,
    Recall,
    Raise { to: Token },
    Join { floor: Token },
}

#[derive(Clone, Copy, Debug)]
struct Op {
    act: Act,
    name: usize,
    nonce: u8,
    /// Sent under the run id of another server.
    astray: bool,
}

fn long() -> impl Strategy<Value = Duration> {
    prop_oneof![60_000..64_000_u64, Just(200_000), Just(400_000)].prop_map(Duration::from_millis)
}

fn tokens() -> impl Strategy<Value = Token> {
    let value = prop_oneof![20 => 0..40_u64, 4 => (1_u64 << 50)..(1 << 50) + 9];
    value.prop_map(token)
}

fn mode() -> impl Strategy<Value = Mode> {
    let permit = |n| Mode::permit_of(n).unwrap();
    prop_oneof![
        5 => Just(Mode::Exclusive),
        3 => Just(Mode::Shared),
        3 => Just(permit(2)),
        1 => Just(permit(3)),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let line = proptest::option::weighted(0.7, long());
    (mode(), 0..3_u32, long(), line, tokens()).prop_map(|(mode, slot, hold, line, proposal)| Ask {
        mode,
        slot: match mode {
            Mode::Permit(_) => slot,
            _ => 0,
        },
        hold,
        line,
        proposal,
    })
}

fn act() -> impl Strategy<Value = Act> {
    let back = (1..6_u8, tokens(), 0..9_u64);
    prop_oneof![
        40 => ask().prop_map(Act::Acquire),
        6 => tokens().prop_map(|to| Act::Promote { to }),
        3 => (0..9_u64).prop_map(|to| Act::Place { to }),
        4 => back.prop_map(|(to, up_to, place)| Act::StepBack { to, up_to, place }),
        6 => (0..2_u32, long()).prop_map(|(slot, hold)| Act::Extend { slot, hold }),
        20 => Just(Act::Release),
        2 => Just(Act::TakePlainly),
        2 => Just(Act::DropPlainly),
        3 => Just(Act::DropKey),
        1 => Just(Act::Flush),
        1 => Just(Act::Save),
        1 => Just(Act::Restart),
        2 => Just(Act::Inspect),
        2 => Just(Act::Recall),
        2 => tokens().prop_map(|to| Act::Raise { to }),
        3 => tokens().prop_map(|floor| Act::Join { floor }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let astray = proptest::bool::weighted(0.06);
    (act(), 0..NAMES.len(), 1..6_u8, astray).prop_map(|(act, name, nonce, astray)| Op {
        act,
        name,
        nonce,
        astray,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_scripts_do_what_the_model_does(ops in prop::collection::vec(op(), 1..90)) {
        let mut pair = Pair::start();
        for op in ops {
            pair.step(op);
        }
    }
}

/// The server and the model, side by side.
struct Pair {
    remote: Remote,
    /// Hears what waiters are told.
    ears: Connection,
    model: Node,
    saved: Data,
    /// How long the slowest command took, at most.
    slowest: Duration,
}

impl Pair {
    fn start() -> Self {
        let mut remote = Remote::start(Duration::from_secs(600));
        remote.load();
        let now = remote.now();
        let mut pair = Self {
            model: Node::start(remote.run.run_id(), Data::default(), now),
            ears: remote.server.connect(),
            remote,
            saved: Data::default(),
            slowest: Duration::ZERO,
        };
        pair.listen();
        pair.full_join(nonce(9), token(5));
        pair
    }

    fn step(&mut self, op: Op) {
        let now = self.remote.now();
        self.act(op, now);
        self.took(now);
        self.compare_pushes(op);
        for name in NAMES {
            let name = LockName::new(name).unwrap();
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
            Act::Acquire(ask) => {
                let model = self.model.acquire(run, name, by, ask, now);
                let (real, _) = self.remote.acquire(run, name, by, ask).unwrap();
                self.same(&real, &model, now);
            }
            Act::Promote { to } => {
                let model = self.model.promote(run, name, by, to, now);
                assert_eq!(self.remote.promote(run, name, by, to).unwrap(), model);
            }
            Act::Place { to } => {
                self.model.place(name, by, to, now);
                self.remote.place(name, by, to);
            }
            Act::StepBack { to, up_to, place } => {
                let terms = (nonce(to), up_to, place, Duration::from_secs(90));
                self.model.step_back(run, name, by, terms, now);
                self.remote.step_back(run, name, by, terms);
            }
            Act::Extend { slot, hold } => {
                let model = self.model.extend(name, by, (slot, hold), now);
                assert_eq!(self.remote.extend(name, by, (slot, hold)).unwrap(), model);
            }
            Act::Release => {
                let model = self.model.release(run, name, by, now);
                assert_eq!(self.remote.release(run, name, by).unwrap(), model);
            }
            Act::TakePlainly => {
                let (value, life) = (nonce(100), Duration::from_secs(70));
                self.model.take_plainly(name, value, life, now);
                let value = value.to_string();
                let _ = (self.remote).call(&["SET", name.as_str(), &value, "NX", "PX", "70000"]);
            }
            Act::DropPlainly => {
                let value = nonce(100);
                self.model.drop_plainly(name, value);
                let code =
                    "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end";
                let value = value.to_string();
                let _ = self
                    .remote
                    .call(&["EVAL", code, "1", name.as_str(), &value]);
            }
            Act::DropKey => {
                self.model.expire_key(name);
                self.remote.call(&["DEL", name.as_str()]);
            }
            Act::Flush => {
                self.model.flush();
                self.remote.call(&["FLUSHALL"]);
            }
            Act::Save => {
                self.remote.call(&["SAVE"]);
                self.saved = self.model.snapshot();
            }
            Act::Restart => self.restart(),
            Act::Inspect => drop(self.join(JoinCommand::Inspect, own, now)),
            Act::Recall => drop(self.join(JoinCommand::Recall, run, now)),
            Act::Raise { to } => drop(self.join(JoinCommand::Raise { to }, run, now)),
            Act::Join { floor } => self.full_join(by, floor),
        }
    }

    fn restart(&mut self) {
        self.remote.server.restart();
        self.remote.reconnect();
        self.remote.load();
        self.ears = self.remote.server.connect();
        self.listen();
        let (run_id, now) = (self.remote.run.run_id(), self.remote.now());
        self.model = Node::start(run_id, self.saved.clone(), now);
    }

    fn full_join(&mut self, ticket: Nonce, floor: Token) {
        let (own, now) = (self.model.run_id(), self.remote.now());
        let said = self.join(JoinCommand::Notice { ticket }, own, now);
        let JoinReply::Noticed { ticket, .. } = said else {
            panic!("{said:?}")
        };
        let command = JoinCommand::Install {
            ticket,
            floor,
            max_ttl: MAX_TTL,
        };
        let now = self.remote.now();
        assert_eq!(self.join(command, own, now), JoinReply::Installed);
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

    fn listen(&mut self) {
        let subscribe = redis::cmd("SUBSCRIBE").arg(CHANNEL).get_packed_command();
        self.ears.send_packed_command(&subscribe).unwrap();
        self.ears.recv_response().unwrap();
    }

    /// What the waiters were told by this step, up to a mark.
    fn compare_pushes(&mut self, op: Op) {
        self.remote.call(&["PUBLISH", CHANNEL, MARK]);
        let mut real: Vec<(Nonce, Push)> = Vec::new();
        loop {
            let said = self.ears.recv_response().unwrap();
            let (_, _, said): (String, String, Vec<u8>) = redis::from_redis_value(said).unwrap();
            if said == MARK.as_bytes() {
                break;
            }
            real.push(decode_push(&said).expect("a push"));
        }
        let model = self.model.take_pushes().into_iter();
        let model: Vec<_> = model.map(|(_, nonce, push)| (nonce, push)).collect();
        assert_eq!(real, model, "{op:?}");
    }

    fn compare_status(&mut self, name: &LockName) {
        let now = self.remote.now();
        let model = self.model.status(name, now);
        let view = self.remote.status(name).unwrap();
        self.same(&status(&view), &model, now);
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
    let held = view.holders.iter().filter_map(|key| {
        let lease = key.lease.as_ref()?;
        Some((lease.nonce, key.free_in))
    });
    NodeStatus {
        held: held.collect(),
        waiting: view.waiters.iter().map(|waiter| waiter.nonce).collect(),
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
        // The answer but for its length, and that.
        let split = |reply: &Self| match *reply {
            Self::Busy { free_in, holder } => {
                let rest = Self::Busy {
                    free_in: Duration::ZERO,
                    holder,
                };
                (rest, free_in)
            }
            Self::Queued {
                place,
                ahead,
                free_in,
                holder,
            } => {
                let rest = Self::Queued {
                    place,
                    ahead,
                    free_in: Duration::ZERO,
                    holder,
                };
                (rest, free_in)
            }
            other => (other, Duration::ZERO),
        };
        let (one, other) = (split(self), split(other));
        one.0 == other.0 && one.1.near(&other.1, slack)
    }
}

impl Near for NodeStatus {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        let pairs = self.held.iter().zip(&other.held);
        self.held.len() == other.held.len()
            && pairs
                .into_iter()
                .all(|(one, other)| one.0 == other.0 && one.1.near(&other.1, slack))
            && (&self.waiting, self.counter) == (&other.waiting, other.counter)
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
