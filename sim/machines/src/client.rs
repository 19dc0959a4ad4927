//! The clients of the timed world, and what they are at.

use std::time::Duration;

use leasehold_core::quorum::{
    AcquireOutcome, Command, Extend, ExtendOutcome, Failure, NodeId, NodeSet, Plan, Proposals,
    Push, Quorum, Release, Step,
};
use leasehold_core::{Deadline, Instant, LockName, Mode, Nonce, Token, Ttl};

use crate::network::Clock;
use crate::server::Answer;
use crate::wish::{Said as WishSaid, Wish, Won, owner};

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) clock: Clock,
    /// How far its wall clock is from the nodes', in microseconds.
    pub(crate) skew: i64,
    pub(crate) paused_until: u64,
    /// What it waits for.
    pub(crate) op: Option<usize>,
    /// Since when it has waited for a lock.
    pub(crate) waits_since: Option<u64>,
    pub(crate) lease: Option<Lease>,
    pub(crate) proposals: Proposals,
}

/// A lease it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) name: usize,
    pub(crate) nonce: Nonce,
    pub(crate) mode: Mode,
    pub(crate) slot: u32,
    pub(crate) deadline: Deadline,
    pub(crate) token: Token,
    /// When it began, and when its holder knew of it.
    pub(crate) granted: (u64, u64),
}

/// What happens to an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Heard {
    Tick,
    /// It waits, and its time to ask again has come, for this permit.
    Again(u32),
    /// Its caller goes away.
    Cancel,
    /// An answer to a command of this attempt, sent at that moment.
    Answer(NodeId, (Command, u32, Instant), Result<Answer, Failure>),
    Push(NodeId, Push),
    /// The connection broke.
    Lost(NodeId),
}

/// What it has to say.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) send: Option<(Command, NodeSet)>,
    pub(crate) wake: Option<Instant>,
    pub(crate) won: Option<Won>,
    pub(crate) outcome: Option<AcquireOutcome>,
    pub(crate) stir: bool,
    pub(crate) extended: Option<ExtendOutcome>,
    pub(crate) released: bool,
    /// It is over, and nothing of it should be left.
    pub(crate) clean: bool,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most are wishes")]
enum Machine {
    Wish(Wish),
    Extend(Extend),
    Release(Release),
}

/// An operation of a client.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) client: usize,
    pub(crate) name: usize,
    pub(crate) nonce: Nonce,
    /// Its client has died.
    pub(crate) dead: bool,
    /// When it is to ask again; an earlier plan is void.
    pub(crate) again_at: u64,
    /// What the client's clock showed before it last asked, and for how long.
    pub(crate) asked: Instant,
    pub(crate) ttl: Ttl,
    machine: Machine,
}

impl Op {
    pub(crate) fn wish(
        client: usize,
        name: usize,
        plan: Plan,
        lock: &LockName,
        proposals: &Proposals,
        now: Instant,
    ) -> (Self, Said) {
        let (wish, said) = Wish::new(plan, lock.clone(), proposals, now);
        let op = Self::new(
            client,
            name,
            plan.nonce,
            (now, plan.ttl),
            Machine::Wish(wish),
        );
        let said = op.wish_said(said);
        (op, said)
    }

    pub(crate) fn extend(client: usize, lease: Lease, plan: Plan, now: Instant) -> (Self, Said) {
        let (extend, step) = Extend::start(
            plan.quorum,
            plan.first.without(plan.skip),
            plan.ttl,
            (lease.slot, plan.ask.hold),
            lease.deadline,
            plan.patience,
            now,
        );
        let op = Self::new(
            client,
            lease.name,
            lease.nonce,
            (now, plan.ttl),
            Machine::Extend(extend),
        );
        let said = op.extend_said(step);
        (op, said)
    }

    pub(crate) fn release(
        client: usize,
        (name, nonce): (usize, Nonce),
        quorum: Quorum,
        patience: Duration,
        now: Instant,
    ) -> (Self, Said) {
        let (release, step) = Release::start(
            quorum,
            quorum.all(),
            Duration::from_millis(300),
            Duration::from_millis(5),
            patience,
            now,
        );
        let op = Self::new(
            client,
            name,
            nonce,
            (now, Ttl::MIN),
            Machine::Release(release),
        );
        let said = op.release_said(step);
        (op, said)
    }

    fn new(
        client: usize,
        name: usize,
        nonce: Nonce,
        (asked, ttl): (Instant, Ttl),
        machine: Machine,
    ) -> Self {
        Self {
            client,
            name,
            nonce,
            dead: false,
            again_at: u64::MAX,
            asked,
            ttl,
            machine,
        }
    }

    pub(crate) fn as_wish(&self) -> Option<&Wish> {
        match &self.machine {
            Machine::Wish(wish) => Some(wish),
            _ => None,
        }
    }

    /// What it gets from now on is not driven on.
    pub(crate) fn end(&mut self) {
        if let Machine::Wish(wish) = &mut self.machine {
            wish.end();
        }
    }

    pub(crate) fn drive(&mut self, heard: Heard, now: Instant, proposals: &mut Proposals) -> Said {
        match &mut self.machine {
            Machine::Wish(wish) => {
                if let Heard::Again(_) = heard {
                    self.asked = now;
                }
                let said = match heard {
                    Heard::Tick => wish.tick(now),
                    Heard::Again(slot) => wish.again(slot, proposals, now),
                    Heard::Cancel => wish.cancel(now),
                    Heard::Answer(node, sent, answer) => {
                        wish.answered(node, sent, answer, proposals, now)
                    }
                    Heard::Push(node, push) => wish.pushed(node, push, proposals, now),
                    Heard::Lost(node) => wish.lost(node),
                };
                self.wish_said(said)
            }
            Machine::Extend(extend) => {
                let step = match heard {
                    Heard::Answer(node, _, answer) => extend.on_reply(node, owner(answer), now),
                    _ => extend.on_tick(now),
                };
                self.extend_said(step)
            }
            Machine::Release(release) => {
                let step = match heard {
                    Heard::Answer(node, _, answer) => release.on_reply(node, owner(answer), now),
                    _ => release.on_tick(now),
                };
                self.release_said(step)
            }
        }
    }

    fn wish_said(&self, said: WishSaid) -> Said {
        let Machine::Wish(wish) = &self.machine else {
            return Said::default();
        };
        Said {
            send: said.send,
            wake: wish.wake_at(),
            won: said.won,
            outcome: said.outcome,
            stir: said.stir && wish.in_line(),
            // Earlier attempts may have asked others: those are released besides.
            clean: wish.is_cleaned_up() && wish.attempt == 0,
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

    fn release_said(&self, step: Step<Command, leasehold_core::quorum::ReleaseOutcome>) -> Said {
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
