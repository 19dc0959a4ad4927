//! Random sequences of commands on a real server and on the model: same answers,
//! and waiters are told the same.
//!
//! The model is told the server's clock as it was just before each command, so
//! lengths may differ by how long commands took. Grants and places outlast a case;
//! what is to be gone is deleted by hand.

use std::time::Duration;

use leasehold_core::quorum::{Ask, Data, JoinCommand, JoinReply, Node, NodeStatus, Push, RunId};
use leasehold_core::{LockName, Mode, Nonce, StoreTime, Token};
use proptest::prelude::*;
use redis::Connection;

use super::near::Near;
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
    Many(Batch),
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

/// Several locks in one call.
#[derive(Clone, Copy, Debug)]
struct Batch {
    kind: Kind,
    hold: Duration,
    line: Option<Duration>,
    locks: [Wanted; 4],
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Acquire,
    Extend,
    Release,
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    name: usize,
    nonce: u8,
    proposal: Token,
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

fn batch() -> impl Strategy<Value = Batch> {
    let kind = prop_oneof![
        4 => Just(Kind::Acquire),
        1 => Just(Kind::Extend),
        3 => Just(Kind::Release),
    ];
    // Longer than a node takes, at times.
    let hold = prop_oneof![9 => long(), 1 => Just(Duration::from_secs(301))];
    let wanted = (0..NAMES.len(), 1..6_u8, tokens()).prop_map(|(name, nonce, proposal)| Wanted {
        name,
        nonce,
        proposal,
    });
    let line = proptest::option::weighted(0.7, long());
    (kind, hold, line, prop::array::uniform4(wanted)).prop_map(|(kind, hold, line, locks)| Batch {
        kind,
        hold,
        line,
        locks,
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
        20 => batch().prop_map(Act::Many),
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
            Act::Many(batch) => self.many(run, batch, now),
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

    /// What is answered in one call is as if each had been asked alone, in order; what
    /// is not had no effect, and is asked alone afterwards.
    fn many(&mut self, run: RunId, batch: Batch, now: StoreTime) {
        let Batch {
            kind, hold, line, ..
        } = batch;
        let locks = batch.locks.map(|wanted| {
            let name = LockName::new(NAMES[wanted.name]).unwrap();
            (name, nonce(wanted.nonce), wanted.proposal)
        });
        let owned = locks.clone().map(|(name, by, _)| (name, by));
        match kind {
            Kind::Acquire => {
                let said = (self.remote)
                    .acquire_many(run, (hold, line), &locks)
                    .unwrap();
                let ask = |proposal| Ask {
                    mode: Mode::Exclusive,
                    slot: 0,
                    hold,
                    line,
                    proposal,
                };
                for ((name, by, proposal), said) in locks.iter().zip(&said) {
                    if let Some(said) = said {
                        let model = self.model.acquire(run, name, *by, ask(*proposal), now);
                        self.same(said, &model, now);
                    }
                }
                for ((name, by, proposal), _) in alone(&locks, &said) {
                    let model = self.model.acquire(run, name, *by, ask(*proposal), now);
                    let (real, _) = (self.remote)
                        .acquire(run, name, *by, ask(*proposal))
                        .unwrap();
                    self.same(&real, &model, now);
                }
            }
            Kind::Extend => {
                let said = self.remote.extend_many(hold, &owned).unwrap();
                for ((name, by), said) in owned.iter().zip(&said) {
                    if let Some(said) = said {
                        assert_eq!(*said, self.model.extend(name, *by, (0, hold), now));
                    }
                }
                for ((name, by), _) in alone(&owned, &said) {
                    let model = self.model.extend(name, *by, (0, hold), now);
                    assert_eq!(self.remote.extend(name, *by, (0, hold)).unwrap(), model);
                }
            }
            Kind::Release => {
                let said = self.remote.release_many(&owned).unwrap();
                for ((name, by), said) in owned.iter().zip(&said) {
                    if let Some(said) = said {
                        assert_eq!(*said, self.model.release(run, name, *by, now));
                    }
                }
                for ((name, by), _) in alone(&owned, &said) {
                    let model = self.model.release(run, name, *by, now);
                    assert_eq!(self.remote.release(run, name, *by).unwrap(), model);
                }
            }
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

/// Those that a call left alone.
fn alone<'a, T, S>(
    locks: &'a [T],
    said: &'a [Option<S>],
) -> impl Iterator<Item = (&'a T, &'a Option<S>)> {
    locks.iter().zip(said).filter(|(_, said)| said.is_none())
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
