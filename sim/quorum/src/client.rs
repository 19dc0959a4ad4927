//! The clients of the timed world: each drives the shipped machines.

use std::time::Duration;

use fastrand::Rng;
use leasehold_core::quorum::{
    Acquire, AcquireOutcome, Command, Extend, ExtendOutcome, Failure, NodeId, NodeSet, OwnerReply,
    Plan, Proposals, Quorum, Release, ReleaseOutcome, Reply, Step,
};
use leasehold_core::{Deadline, Instant, LockName, Nonce, Ttl};

use crate::network::Clock;
use crate::server::Answer;

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) clock: Clock,
    pub(crate) paused_until: u64,
    /// What it waits for.
    pub(crate) op: Option<usize>,
    pub(crate) lease: Option<Lease>,
    pub(crate) proposals: Proposals,
}

/// A lease it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) name: usize,
    pub(crate) nonce: Nonce,
    pub(crate) deadline: Deadline,
}

/// What happens to an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Heard {
    Start,
    Tick,
    Answer(NodeId, Command, Result<Answer, Failure>),
}

/// What it has to say.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) send: Option<(Command, NodeSet)>,
    pub(crate) wake: Option<Instant>,
    pub(crate) acquired: Option<AcquireOutcome>,
    pub(crate) extended: Option<ExtendOutcome>,
    pub(crate) released: bool,
    /// It is over, and nothing of it should be left.
    pub(crate) clean: bool,
}

#[derive(Clone, Copy, Debug)]
enum Todo {
    Acquire(Plan, bool),
    Extend {
        ttl: Ttl,
        deadline: Deadline,
        nodes: NodeSet,
        patience: Duration,
    },
    Release(Duration),
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most are acquires")]
enum Machine {
    None,
    Acquire(Acquire, bool),
    Extend(Extend),
    Release(Release),
}

/// An operation of a client.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) client: usize,
    pub(crate) name: usize,
    pub(crate) nonce: Nonce,
    pub(crate) asked: u64,
    pub(crate) ttl: Ttl,
    pub(crate) promoted: bool,
    /// Its client has died.
    pub(crate) dead: bool,
    quorum: Quorum,
    todo: Todo,
    machine: Machine,
}

impl Op {
    #[expect(clippy::too_many_arguments, reason = "all that an acquire has")]
    pub(crate) fn acquire(
        client: usize,
        name: usize,
        nonce: Nonce,
        rng: &mut Rng,
        quorum: Quorum,
        skip: NodeSet,
        patience: Duration,
        asked: u64,
    ) -> Self {
        let ttl = ttl(rng);
        let plan = Plan {
            quorum,
            ttl,
            hold: ttl.get() + Duration::from_millis([0, 30][rng.usize(0..2)]),
            proposal: leasehold_core::Token::NONE,
            first: match rng.bool() {
                true => quorum.all(),
                false => NodeSet::first(quorum.size()),
            },
            hedge_after: Duration::from_millis(rng.u64(1..30)),
            skip,
            patience,
        };
        let hasty = rng.u8(0..12) == 0;
        Self::new(
            client,
            name,
            nonce,
            quorum,
            ttl,
            asked,
            Todo::Acquire(plan, hasty),
        )
    }

    pub(crate) fn extend(
        client: usize,
        lease: Lease,
        rng: &mut Rng,
        quorum: Quorum,
        skip: NodeSet,
        patience: Duration,
    ) -> Self {
        let ttl = ttl(rng);
        let todo = Todo::Extend {
            ttl,
            deadline: lease.deadline,
            nodes: quorum.all().without(skip),
            patience,
        };
        Self::new(client, lease.name, lease.nonce, quorum, ttl, 0, todo)
    }

    pub(crate) fn release(client: usize, lease: Lease, quorum: Quorum, patience: Duration) -> Self {
        let todo = Todo::Release(patience);
        Self::new(client, lease.name, lease.nonce, quorum, Ttl::MIN, 0, todo)
    }

    fn new(
        client: usize,
        name: usize,
        nonce: Nonce,
        quorum: Quorum,
        ttl: Ttl,
        asked: u64,
        todo: Todo,
    ) -> Self {
        Self {
            client,
            name,
            nonce,
            asked,
            ttl,
            promoted: false,
            dead: false,
            quorum,
            todo,
            machine: Machine::None,
        }
    }

    pub(crate) fn drive(
        &mut self,
        heard: Heard,
        now: Instant,
        proposals: &mut Proposals,
        names: &[LockName],
    ) -> Said {
        if let Heard::Answer(_, _, Ok(Answer::Acquire(reply))) = &heard {
            proposals.on_reply(&names[self.name], reply);
        }
        match (&mut self.machine, heard) {
            (Machine::None, _) => self.start(now, proposals, names),
            (Machine::Acquire(acquire, hasty), heard) => {
                let mut step = match heard {
                    Heard::Tick | Heard::Start => acquire.on_tick(now),
                    Heard::Answer(node, command, answer) => {
                        acquire.on_reply(node, reply(command, answer), now)
                    }
                };
                if *hasty && step.outcome.is_none() && step.send.is_none() && !acquire.is_done() {
                    // Its caller goes away at the first chance.
                    *hasty = false;
                    step = acquire.cancel(now);
                }
                self.promoted |= matches!(step.send, Some((Command::Promote { .. }, _)));
                self.acquire_said(step)
            }
            (Machine::Extend(extend), heard) => {
                let step = match heard {
                    Heard::Tick | Heard::Start => extend.on_tick(now),
                    Heard::Answer(node, _, answer) => extend.on_reply(node, owner(answer), now),
                };
                self.extend_said(step)
            }
            (Machine::Release(release), heard) => {
                let step = match heard {
                    Heard::Tick | Heard::Start => release.on_tick(now),
                    Heard::Answer(node, _, answer) => release.on_reply(node, owner(answer), now),
                };
                self.release_said(step)
            }
        }
    }

    fn start(&mut self, now: Instant, proposals: &mut Proposals, names: &[LockName]) -> Said {
        match self.todo {
            Todo::Acquire(mut plan, hasty) => {
                plan.proposal = proposals.propose(&names[self.name]);
                let (acquire, step) = Acquire::start(plan, now);
                self.machine = Machine::Acquire(acquire, hasty);
                self.acquire_said(step)
            }
            Todo::Extend {
                ttl,
                deadline,
                nodes,
                patience,
            } => {
                let hold = ttl.get();
                let (extend, step) =
                    Extend::start(self.quorum, nodes, ttl, hold, deadline, patience, now);
                self.machine = Machine::Extend(extend);
                self.extend_said(step)
            }
            Todo::Release(patience) => {
                let hold = Duration::from_millis(300);
                let all = self.quorum.all();
                let (release, step) = Release::start(self.quorum, all, hold, patience, now);
                self.machine = Machine::Release(release);
                self.release_said(step)
            }
        }
    }

    fn acquire_said(&self, step: Step<Command, AcquireOutcome>) -> Said {
        let Machine::Acquire(acquire, _) = &self.machine else {
            return Said::default();
        };
        let granted = matches!(step.outcome, Some(AcquireOutcome::Granted { .. }));
        Said {
            send: step.send,
            wake: acquire.wake_at(),
            acquired: step.outcome,
            clean: acquire.is_done() && !granted && acquire.is_cleaning_up(),
            ..Said::default()
        }
    }

    fn extend_said(&self, step: Step<Command, ExtendOutcome>) -> Said {
        let Machine::Extend(extend) = &self.machine else {
            return Said::default();
        };
        Said {
            send: step.send,
            wake: extend.wake_at(),
            extended: step.outcome,
            ..Said::default()
        }
    }

    fn release_said(&self, step: Step<Command, ReleaseOutcome>) -> Said {
        let Machine::Release(release) = &self.machine else {
            return Said::default();
        };
        Said {
            send: step.send,
            wake: release.wake_at(),
            released: step.outcome.is_some(),
            clean: release.is_done(),
            ..Said::default()
        }
    }
}

fn ttl(rng: &mut Rng) -> Ttl {
    Ttl::new(Duration::from_millis(rng.u64(30..=270))).expect("a valid TTL")
}

fn owner(answer: Result<Answer, Failure>) -> Result<OwnerReply, Failure> {
    answer.and_then(|answer| match answer {
        Answer::Owner(reply) => Ok(reply),
        _ => Err(Failure::Refused),
    })
}

/// What the machine hears of an answer to this command.
pub(crate) fn reply(command: Command, answer: Result<Answer, Failure>) -> Reply {
    match (command, answer) {
        (_, Ok(Answer::Acquire(reply))) => Reply::Acquire(Ok(reply)),
        (_, Ok(Answer::Promote(reply))) => Reply::Promote(Ok(reply)),
        (Command::Acquire { .. }, Err(failure)) => Reply::Acquire(Err(failure)),
        (Command::Promote { .. }, Err(failure)) => Reply::Promote(Err(failure)),
        (_, answer) => Reply::Release(owner(answer)),
    }
}
