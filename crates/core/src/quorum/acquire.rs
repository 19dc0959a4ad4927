//! Taking a lock: the client's machine for one attempt.

use std::time::Duration;

use super::mutation::{Mutation, made};
use super::{
    AcquireReply, Command, Fate, MAX_NODES, NodeId, NodeSet, Quorum, Release, Reply, Step,
};
use crate::{Deadline, Instant, Token, Ttl};

/// How one attempt is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The configured nodes.
    pub quorum: Quorum,
    /// The lease's TTL.
    pub ttl: Ttl,
    /// How long the nodes keep the key: TTL plus grace.
    pub hold: Duration,
    /// The smallest token wanted; see [`Proposals`](super::Proposals).
    pub proposal: Token,
    /// Whom to ask first. All nodes for a lease that is to be held and extended:
    /// then a node that forgets costs it nothing. A quorum of them for a short
    /// lease: fewer messages, and the rest is asked when an answer is late or is
    /// no grant.
    pub first: NodeSet,
    /// When an answer is late.
    pub hedge_after: Duration,
    /// Nodes known to be out of reach; they are not asked.
    pub skip: NodeSet,
    /// When to give up waiting for answers. The deadline ends the wait as well.
    pub patience: Duration,
}

/// What came of an acquire (C5). The reasons node by node are
/// [`Acquire::fates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireOutcome {
    /// The lease is ours.
    Granted {
        /// Its fencing token.
        token: Token,
        /// Its deadline.
        deadline: Deadline,
        /// The nodes known to have the key now. More may follow.
        on: NodeSet,
    },
    /// Others hold enough keys. Not applied; ours, if any, are being released.
    Busy {
        /// When enough of those keys have run out unless they are extended.
        free_in: Duration,
        /// Nobody can have a quorum: several tried at once. Try again soon,
        /// after a short random pause, instead of waiting for keys to run out.
        split: bool,
    },
    /// Too many nodes cannot be asked. Not applied: no quorum can have our key.
    Unavailable,
    /// Too many nodes did not answer. **The lock may be held** until TTL + grace
    /// have passed, unless the releases that are under way get through.
    Indeterminate,
    /// A quorum agreed when the deadline had passed. Being released.
    TooLate,
    /// The caller went away. What was or may have been granted is being released.
    Cancelled,
}

#[derive(Clone, Debug)]
enum Phase {
    Asking,
    Granted,
    CleaningUp(Release),
}

/// One attempt to take a lock, and the clean-up if it fails.
///
/// After [`AcquireOutcome::Granted`] it may be dropped: a grant that arrives
/// later is kept. It makes the lease more robust, is released with the rest, and
/// is not promoted: only the quorum's counter matters, and the next proposal for
/// the name is above all of them. After any other outcome it must be driven on
/// until [`is_done`](Self::is_done), so that the keys it may have left are
/// released (C5, C7).
#[derive(Clone, Debug)]
pub struct Acquire {
    plan: Plan,
    sent: Instant,
    deadline: Deadline,
    fates: [Fate; MAX_NODES],
    /// What the holders are being promoted to, and who was told.
    target: Token,
    told: NodeSet,
    phase: Phase,
}

type AcquireStep = Step<Command, AcquireOutcome>;

impl Acquire {
    /// Starts an attempt. `now` must be read before the first byte leaves (C2).
    pub fn start(plan: Plan, now: Instant) -> (Self, AcquireStep) {
        let mut acquire = Self {
            plan,
            sent: now,
            deadline: Deadline::of(now, plan.ttl),
            fates: [Fate::NotAsked; MAX_NODES],
            target: Token::NONE,
            told: NodeSet::EMPTY,
            phase: Phase::Asking,
        };
        for node in plan.skip.and(plan.quorum.all()).iter() {
            acquire.fates[node.index()] = Fate::NotSent;
        }
        let step = acquire.ask(plan.first);
        match step.send {
            Some(_) => (acquire, step),
            None => {
                let step = acquire.judge(now);
                (acquire, step)
            }
        }
    }

    /// A node answered, or failed to.
    pub fn on_reply(&mut self, node: NodeId, reply: Reply, now: Instant) -> AcquireStep {
        if let Phase::CleaningUp(release) = &mut self.phase {
            let step = match reply {
                Reply::Release(reply) => release.on_reply(node, reply, now),
                Reply::Acquire(Ok(AcquireReply::Granted { .. })) => release.on_late_grant(node),
                _ => Step::none(),
            };
            return quiet(step.send);
        }
        let fate = &mut self.fates[node.index()];
        match reply {
            Reply::Acquire(answer) if *fate == Fate::Waiting => *fate = Fate::of(answer),
            Reply::Promote(answer) => fate.promoted(answer),
            _ => {}
        }
        match self.phase {
            Phase::Asking => self.judge(now),
            _ => Step::none(),
        }
    }

    /// The wake-up time has come.
    pub fn on_tick(&mut self, now: Instant) -> AcquireStep {
        match &mut self.phase {
            Phase::Asking => self.judge(now),
            Phase::Granted => Step::none(),
            Phase::CleaningUp(release) => quiet(release.on_tick(now).send),
        }
    }

    /// The caller went away. Also after a grant that nobody took.
    pub fn cancel(&mut self, now: Instant) -> AcquireStep {
        match self.phase {
            Phase::Asking | Phase::Granted => self.fail(AcquireOutcome::Cancelled, now),
            Phase::CleaningUp(_) => Step::none(),
        }
    }

    /// When [`on_tick`](Self::on_tick) is due; `None` if only answers can change
    /// anything.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Asking if self.unasked().is_empty() => Some(self.give_up_at()),
            Phase::Asking => Some(self.hedge_at().min(self.give_up_at())),
            Phase::Granted => None,
            Phase::CleaningUp(release) => release.wake_at(),
        }
    }

    /// Whether it may be dropped.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match &self.phase {
            Phase::Asking => false,
            Phase::Granted => true,
            Phase::CleaningUp(release) => release.is_done(),
        }
    }

    /// Whether it came to nothing and its keys are being, or were, released.
    #[must_use]
    pub const fn is_cleaning_up(&self) -> bool {
        matches!(self.phase, Phase::CleaningUp(_))
    }

    /// What became of each node, by its place.
    #[must_use]
    pub fn fates(&self) -> &[Fate] {
        &self.fates[..self.plan.quorum.nodes()]
    }

    /// The nodes that have or may have our key: those to release and extend on.
    #[must_use]
    pub fn may_hold(&self) -> NodeSet {
        self.nodes(|fate| fate.may_hold())
    }

    /// Sends the acquire to those of the nodes that were not asked yet.
    fn ask(&mut self, nodes: NodeSet) -> AcquireStep {
        let nodes = nodes.and(self.unasked());
        for node in nodes.iter() {
            self.fates[node.index()] = Fate::Waiting;
        }
        let command = Command::Acquire {
            hold: self.plan.hold,
            proposal: self.plan.proposal,
        };
        Step::send(command, nodes)
    }

    /// Decides if it can be decided; else asks for what is missing.
    fn judge(&mut self, now: Instant) -> AcquireStep {
        let needed = self.needed();
        if let Some((token, on)) = self.agreed() {
            // Validity is judged last: agreement may have taken too long (C2).
            if self.deadline.has_passed(now) {
                return self.fail(AcquireOutcome::TooLate, now);
            }
            self.phase = Phase::Granted;
            return Step {
                send: None,
                outcome: Some(AcquireOutcome::Granted {
                    token,
                    deadline: self.deadline,
                    on,
                }),
            };
        }
        let holders = self.nodes(|fate| fate.counter().is_some());
        let waiting = self.nodes(|fate| *fate == Fate::Waiting);
        let unasked = self.unasked();
        if holders.or(waiting).or(unasked).len() < needed || now >= self.give_up_at() {
            return self.fail(self.reason(), now);
        }
        if !unasked.is_empty() && (holders.or(waiting).len() < needed || now >= self.hedge_at()) {
            return self.ask(unasked);
        }
        if holders.len() >= needed {
            return self.promote(holders);
        }
        Step::none()
    }

    /// The counter that a quorum has answered exactly, and who did.
    ///
    /// Not necessarily the greatest: a node with a greater one is not needed for
    /// the proof, which is about the nodes of the quorum alone.
    fn agreed(&self) -> Option<(Token, NodeSet)> {
        if made(Mutation::NoPromote) {
            let on = self.nodes(|fate| fate.counter().is_some());
            let greatest = self.fates.iter().filter_map(Fate::counter).max();
            return greatest
                .filter(|_| on.len() >= self.needed())
                .map(|c| (c, on));
        }
        self.fates.iter().filter_map(Fate::counter).find_map(|c| {
            let on = self.nodes(|fate| fate.counter() == Some(c));
            (on.len() >= self.needed()).then_some((c, on))
        })
    }

    /// Brings the holders to the smallest counter that a quorum of them can have.
    fn promote(&mut self, holders: NodeSet) -> AcquireStep {
        let mut counters = [Token::MAX; MAX_NODES];
        for node in holders.iter() {
            let counter = self.fates[node.index()].counter();
            counters[node.index()] = counter.unwrap_or(Token::MAX);
        }
        let place = self.needed() - 1;
        let target = *counters.select_nth_unstable(place).1;
        if target > self.target {
            self.target = target;
            self.told = NodeSet::EMPTY;
        }
        let below = holders
            .iter()
            .filter(|node| self.fates[node.index()].counter() < Some(self.target));
        let to = below.collect::<NodeSet>().without(self.told);
        self.told = self.told.or(to);
        Step::send(Command::Promote { to: self.target }, to)
    }

    /// Gives up, and releases wherever our key is or may be.
    fn fail(&mut self, outcome: AcquireOutcome, now: Instant) -> AcquireStep {
        let (nodes, hold) = (self.may_hold(), self.plan.hold);
        let (release, step) = Release::clean_up(self.plan.quorum, nodes, hold, now);
        self.phase = Phase::CleaningUp(release);
        Step {
            send: step.send,
            outcome: Some(outcome),
        }
    }

    /// Why there is no quorum.
    fn reason(&self) -> AcquireOutcome {
        let needed = self.needed();
        let holders = self.nodes(|fate| fate.counter().is_some());
        let silent = self.may_hold().without(holders);
        if holders.or(silent).len() >= needed {
            return AcquireOutcome::Indeterminate;
        }
        let busy = self.nodes(|fate| matches!(fate, Fate::Busy { .. }));
        let could = holders.or(silent).or(self.unasked()).or(busy);
        if busy.is_empty() || could.len() < needed {
            return AcquireOutcome::Unavailable;
        }
        let mut ends = [Duration::MAX; MAX_NODES];
        let mut most = 0;
        for node in busy.iter() {
            if let Fate::Busy { free_in, holder } = self.fates[node.index()] {
                ends[node.index()] = free_in;
                most = most.max(
                    self.nodes(|f| matches!(f, Fate::Busy { holder: h, .. } if *h == holder))
                        .len(),
                );
            }
        }
        // So many of the busy ones must come free, besides those we can have.
        let wanted = needed.saturating_sub(holders.or(silent).len());
        let place = wanted.clamp(1, busy.len()) - 1;
        let unheard = self.plan.quorum.all().without(busy.or(holders));
        AcquireOutcome::Busy {
            free_in: *ends.select_nth_unstable(place).1,
            split: most + unheard.len() < self.plan.quorum.size(),
        }
    }

    fn needed(&self) -> usize {
        if made(Mutation::ReachableQuorum) {
            let out = self.nodes(Fate::is_out_of_reach);
            return (self.plan.quorum.nodes() - out.len()) / 2 + 1;
        }
        self.plan.quorum.size()
    }

    fn unasked(&self) -> NodeSet {
        self.nodes(|fate| *fate == Fate::NotAsked)
    }

    fn nodes(&self, wanted: impl Fn(&Fate) -> bool) -> NodeSet {
        let all = self.plan.quorum.all().iter();
        all.filter(|node| wanted(&self.fates[node.index()]))
            .collect()
    }

    fn hedge_at(&self) -> Instant {
        self.sent.saturating_add(self.plan.hedge_after)
    }

    fn give_up_at(&self) -> Instant {
        let patience = self.sent.saturating_add(self.plan.patience);
        patience.min(self.deadline.at())
    }
}

/// A step of the clean-up: nobody is told what came of it.
fn quiet(send: Option<(Command, NodeSet)>) -> AcquireStep {
    Step {
        send,
        outcome: None,
    }
}
