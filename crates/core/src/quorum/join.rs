//! How a node that has forgotten comes to vote again.

use std::time::Duration;

use super::mutation::{Mutation, made};
use super::{
    Failure, Inspection, JoinCommand, JoinReply, MAX_NODES, NodeId, NodeSet, Quorum, Recalled, Step,
};
use crate::{Instant, Nonce, Token};

/// How far a node that joins starts above all that others remember.
///
/// Much less than an era has in a second (2²⁰): nodes that forget again and again,
/// each time leaping ahead, must not outrun the clock that a new era starts from.
pub(super) const LEAP: u64 = 1 << 16;
/// How long before the other nodes are asked once more.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// Servers tell their uptime in whole seconds.
const UPTIME_STEP: Duration = Duration::from_secs(1);

/// How a node joins.
#[derive(Clone, Copy, Debug)]
pub struct JoinPlan {
    /// The configured nodes.
    pub quorum: Quorum,
    /// The one that joins.
    pub node: NodeId,
    /// The longest hold it is to grant.
    pub max_ttl: Duration,
    /// It is declared to keep whatever it has answered (`appendfsync always`).
    pub durable: bool,
    /// The set is declared to be new. Believed as long as no node of it has been
    /// voting for longer than a quarantine lasts: the word may stay in a URL for
    /// years.
    pub fresh: bool,
    /// A new era begins by itself; else it waits for an operator.
    pub era: bool,
    /// Fresh random bits.
    pub ticket: Nonce,
}

/// What an operator should hear of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinEvent {
    /// The node votes. It had forgotten nothing.
    Kept,
    /// The node votes, above what the others remember.
    Rejoined {
        /// All its counters are above.
        floor: Token,
    },
    /// The node votes, and no quorum was left to ask: tokens go on from a clock.
    /// Worth a warning.
    NewEra {
        /// All its counters are above.
        floor: Token,
    },
    /// It has to wait until all that it may have forgotten has run out.
    Quarantined {
        /// How much longer.
        left: Duration,
    },
    /// Too few of the other nodes answer.
    WaitsForOthers {
        /// How many that vote answered; a quorum is needed.
        voting: usize,
        /// How many are known to have forgotten, this one included.
        forgotten: usize,
    },
    /// No quorum is left to ask, and a new era needs an operator's word.
    WaitsForEra,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Inspecting,
    Keeping,
    Noticing,
    /// Until then.
    Pausing(Instant),
    Recalling,
    Raising {
        floor: Token,
        raised: usize,
    },
    Installing(JoinEvent),
    Done,
}

/// The join of one node, on one connection to it. If that connection breaks,
/// drop the join and start another on the next one. Any number of clients may
/// join the same node at once.
///
/// Dropping it at any time is harmless.
#[derive(Clone, Debug)]
pub struct Join {
    plan: JoinPlan,
    phase: Phase,
    /// What is written on the node.
    ticket: Nonce,
    own: Own,
    others: [Option<Recalled>; MAX_NODES],
    waiting: NodeSet,
    give_up_at: Instant,
    patience: Duration,
}

/// What the node says of itself.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    /// How long ago it forgot, at least.
    elapsed: Duration,
    /// The longest hold that it may have granted, as far as known.
    longest: Duration,
    /// The greatest counter it remembers.
    mark: Token,
    unix_micros: u64,
    had_record: bool,
}

type JoinStep = Step<JoinCommand, JoinEvent>;

impl Join {
    /// Starts; other nodes are waited for at most `patience`.
    pub fn start(plan: JoinPlan, patience: Duration) -> (Self, JoinStep) {
        let join = Self {
            plan,
            phase: Phase::Inspecting,
            ticket: plan.ticket,
            own: Own::default(),
            others: [None; MAX_NODES],
            waiting: NodeSet::EMPTY,
            give_up_at: Instant::from_start(Duration::ZERO),
            patience,
        };
        let step = join.to_self(JoinCommand::Inspect);
        (join, step)
    }

    /// A node answered, or failed to. The failure of a command to the node itself
    /// ends in another try.
    pub fn on_reply(
        &mut self,
        node: NodeId,
        reply: Result<JoinReply, Failure>,
        now: Instant,
    ) -> JoinStep {
        match (self.phase, reply) {
            (Phase::Inspecting, Ok(JoinReply::Inspected(own))) => self.inspected(own),
            (Phase::Keeping, Ok(JoinReply::Installed)) => self.done(JoinEvent::Kept),
            (
                Phase::Noticing,
                Ok(JoinReply::Noticed {
                    ticket,
                    ago,
                    inspection,
                }),
            ) => self.noticed(ticket, inspection, ago, now),
            (Phase::Recalling, reply) if self.waiting.contains(node) => {
                self.waiting = self.waiting.without(NodeSet::only(node));
                if let Ok(JoinReply::Recalled(memory)) = reply {
                    self.others[node.index()] = Some(memory);
                }
                self.recalled(now)
            }
            (Phase::Raising { floor, raised }, reply) if self.waiting.contains(node) => {
                self.waiting = self.waiting.without(NodeSet::only(node));
                let raised = raised + usize::from(reply == Ok(JoinReply::Raised));
                self.raising(floor, raised, now)
            }
            (Phase::Installing(event), Ok(JoinReply::Installed)) => self.done(event),
            (
                Phase::Inspecting | Phase::Keeping | Phase::Noticing | Phase::Installing(_),
                Err(_) | Ok(JoinReply::Refused),
            ) => self.pause(RETRY_AFTER, None, now),
            _ => Step::none(),
        }
    }

    /// The wake-up time has come.
    pub fn on_tick(&mut self, now: Instant) -> JoinStep {
        match self.phase {
            Phase::Pausing(until) if until <= now => {
                self.phase = Phase::Inspecting;
                self.to_self(JoinCommand::Inspect)
            }
            Phase::Recalling if self.is_late(now) => self.recalled(now),
            Phase::Raising { floor, raised } if self.is_late(now) => {
                self.raising(floor, raised, now)
            }
            _ => Step::none(),
        }
    }

    /// When [`on_tick`](Self::on_tick) is due.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Pausing(until) => Some(until),
            Phase::Recalling | Phase::Raising { .. } => Some(self.give_up_at),
            _ => None,
        }
    }

    /// Whether the node votes.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    fn to_self(&self, command: JoinCommand) -> JoinStep {
        Step::send(command, NodeSet::only(self.plan.node))
    }

    fn done(&mut self, event: JoinEvent) -> JoinStep {
        self.phase = Phase::Done;
        Step {
            send: None,
            outcome: Some(event),
        }
    }

    /// Begins again after a while.
    fn pause(&mut self, length: Duration, why: Option<JoinEvent>, now: Instant) -> JoinStep {
        self.phase = Phase::Pausing(now.saturating_add(length));
        Step {
            send: None,
            outcome: why,
        }
    }

    /// Step 1: what was lost?
    fn inspected(&mut self, own: Inspection) -> JoinStep {
        let max_ttl = self.plan.max_ttl;
        let command = match own.joined {
            Some(joined) if joined == own.run_id => JoinCommand::Keep { max_ttl },
            Some(_) if self.plan.durable => JoinCommand::Adopt { max_ttl },
            _ => JoinCommand::Notice {
                ticket: self.plan.ticket,
            },
        };
        self.phase = match command {
            JoinCommand::Notice { .. } => Phase::Noticing,
            _ => Phase::Keeping,
        };
        self.to_self(command)
    }

    /// Step 2: has all that may be forgotten run out, as far as this node knows?
    fn noticed(&mut self, ticket: Nonce, own: Inspection, ago: Duration, now: Instant) -> JoinStep {
        self.ticket = ticket;
        let longest = own.max_ttl.max(self.plan.max_ttl);
        self.own = Own {
            elapsed: match own.disturbed {
                false => own.uptime.saturating_sub(UPTIME_STEP),
                true => ago,
            },
            longest,
            mark: own.mark,
            unix_micros: own.unix_micros,
            had_record: own.joined.is_some(),
        };
        if !self.plan.fresh && self.left(longest) > Duration::ZERO {
            return self.quarantine(longest, now);
        }
        self.phase = Phase::Recalling;
        self.others = [None; MAX_NODES];
        self.give_up_at = now.saturating_add(self.patience);
        let others = self.plan.quorum.all();
        self.waiting = others.without(NodeSet::only(self.plan.node));
        match self.waiting.is_empty() {
            true => self.recalled(now),
            false => Step::send(JoinCommand::Recall, self.waiting),
        }
    }

    /// How much of a quarantine of this length is left, by the node's clock.
    fn left(&self, longest: Duration) -> Duration {
        if made(Mutation::NoQuarantine) {
            return Duration::ZERO;
        }
        longest.saturating_sub(self.own.elapsed)
    }

    /// The node is asked again afterwards: its clock decides, not ours.
    fn quarantine(&mut self, longest: Duration, now: Instant) -> JoinStep {
        let left = self.left(longest);
        self.pause(left, Some(JoinEvent::Quarantined { left }), now)
    }

    /// Step 3: the floor, from what a quorum of others remembers.
    fn recalled(&mut self, now: Instant) -> JoinStep {
        let voting = self.answered(|memory| memory.joined_for.is_some());
        if voting.len() < self.plan.quorum.size() && !self.waiting.is_empty() && !self.is_late(now)
        {
            return Step::none();
        }
        // A lease that this node forgot was granted by a quorum; each node of it
        // took its TTL, and one of them has answered.
        let others = || self.others.iter().flatten();
        let longest = others().map(|m| m.max_ttl).fold(self.own.longest, Ord::max);
        let is_old = others().any(|m| m.joined_for.is_some_and(|age| age > longest));
        let fresh = self.plan.fresh && !self.own.had_record && !is_old;
        if !fresh && self.left(longest) > Duration::ZERO {
            return self.quarantine(longest, now);
        }
        self.own.longest = longest;
        let mark = others().map(|m| m.mark).fold(self.own.mark, Ord::max);
        if voting.len() >= self.plan.quorum.size() {
            let leap = if made(Mutation::NoLeap) { 1 } else { LEAP };
            let floor = mark.saturating_add(leap);
            if made(Mutation::NoRaise) {
                return self.install(JoinEvent::Rejoined { floor }, floor);
            }
            self.phase = Phase::Raising { floor, raised: 0 };
            self.waiting = voting;
            self.give_up_at = now.saturating_add(self.patience);
            return Step::send(JoinCommand::Raise { to: floor }, voting);
        }
        let forgotten = 1 + self.answered(|memory| memory.joined_for.is_none()).len();
        if forgotten <= self.plan.quorum.spare() {
            let why = JoinEvent::WaitsForOthers {
                voting: voting.len(),
                forgotten,
            };
            return self.pause(RETRY_AFTER, Some(why), now);
        }
        if !self.plan.era {
            return self.pause(RETRY_AFTER, Some(JoinEvent::WaitsForEra), now);
        }
        let clock = others()
            .map(|m| m.unix_micros)
            .fold(self.own.unix_micros, Ord::max);
        let floor = match mark {
            Token::NONE => era(clock),
            mark => mark.saturating_add(LEAP).max(era(clock)),
        };
        self.install(JoinEvent::NewEra { floor }, floor)
    }

    /// Step 4: the floor must not be known here alone, or a second loss of this
    /// node could hand out its tokens again.
    fn raising(&mut self, floor: Token, raised: usize, now: Instant) -> JoinStep {
        if raised >= self.plan.quorum.size() {
            return self.install(JoinEvent::Rejoined { floor }, floor);
        }
        if self.waiting.is_empty() || self.is_late(now) {
            return self.pause(RETRY_AFTER, None, now);
        }
        self.phase = Phase::Raising { floor, raised };
        Step::none()
    }

    /// Step 5.
    fn install(&mut self, event: JoinEvent, floor: Token) -> JoinStep {
        self.phase = Phase::Installing(event);
        self.to_self(JoinCommand::Install {
            ticket: self.ticket,
            floor,
            max_ttl: self.own.longest,
        })
    }

    fn answered(&self, wanted: impl Fn(&Recalled) -> bool) -> NodeSet {
        let all = self.plan.quorum.all().iter();
        all.filter(|node| self.others[node.index()].as_ref().is_some_and(&wanted))
            .collect()
    }

    fn is_late(&self, now: Instant) -> bool {
        now >= self.give_up_at
    }
}

/// Where a set without memory starts: [`Token::era`], to the microsecond, so that
/// two eras of the same second differ.
fn era(unix_micros: u64) -> Token {
    const MICROS: u64 = 1_000_000;
    let within = (unix_micros % MICROS) * Token::era(1).get() / MICROS;
    Token::era(unix_micros / MICROS).saturating_add(within)
}
