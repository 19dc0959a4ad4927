//! Taking a lock: the client's machine for one attempt.

mod line;

use std::time::Duration;

use super::mutation::{Mutation, made};
use super::{
    AcquireReply, Ask, Command, Fate, MAX_NODES, NodeId, NodeSet, Quorum, Release, Reply, Step,
};
use crate::{Deadline, Instant, Nonce, Token, Ttl};

/// How one attempt is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The configured nodes.
    pub quorum: Quorum,
    /// The lease's TTL.
    pub ttl: Ttl,
    /// The identity of the grant.
    pub nonce: Nonce,
    /// What the nodes are asked. `ask.hold` must be at least the TTL.
    pub ask: Ask,
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
    /// The same, and we have a place in the line on a quorum of the nodes. Grants on
    /// other nodes are kept: whoever has the lock will give us the rest.
    Queued {
        /// How many places are before ours.
        ahead: u32,
        /// When enough nodes are free unless others extend.
        free_in: Duration,
        /// Nobody has a quorum: several asked at once. All but one of them step
        /// back; ask again soon, in case one of them is no more.
        split: bool,
    },
    /// Others hold or wait for permits of this lock, and name another number. Not
    /// applied.
    Clash {
        /// The number that they name.
        permits: u32,
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
    InLine,
    CleaningUp(Box<Release>),
}

/// One attempt to take a lock, and the clean-up if it fails.
///
/// After [`AcquireOutcome::Granted`] it may be dropped: a grant that arrives
/// later is kept. It makes the lease more robust, is released with the rest, and
/// is not promoted: only the quorum's counter matters, and the next proposal for
/// the name is above all of them. After [`AcquireOutcome::Queued`] it may be dropped
/// as well; driven on, it brings the nodes that answer late into the same order.
/// After any other outcome it must be driven on
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
    /// Our place in the line, once the nodes agree on one, and who was told.
    place: Option<u64>,
    placed: NodeSet,
    /// Answers have been late once.
    hedged: bool,
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
            place: None,
            placed: NodeSet::EMPTY,
            hedged: false,
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
        if reply == Reply::Noted {
            return Step::none();
        }
        let fate = &mut self.fates[node.index()];
        match reply {
            Reply::Acquire(answer) if *fate == Fate::Waiting => *fate = Fate::of(answer),
            Reply::Promote(answer) => fate.promoted(answer),
            _ => {}
        }
        match self.phase {
            Phase::Asking => self.judge(now),
            Phase::InLine => self.join_in(node),
            _ => Step::none(),
        }
    }

    /// The wake-up time has come.
    pub fn on_tick(&mut self, now: Instant) -> AcquireStep {
        match &mut self.phase {
            Phase::Asking => self.judge(now),
            Phase::Granted | Phase::InLine => Step::none(),
            Phase::CleaningUp(release) => quiet(release.on_tick(now).send),
        }
    }

    /// The caller went away. Also after a grant that nobody took.
    pub fn cancel(&mut self, now: Instant) -> AcquireStep {
        match self.phase {
            Phase::Asking | Phase::Granted | Phase::InLine => {
                self.fail(AcquireOutcome::Cancelled, now)
            }
            Phase::CleaningUp(_) => Step::none(),
        }
    }

    /// When [`on_tick`](Self::on_tick) is due; `None` if only answers can change
    /// anything.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Asking if self.hedged => Some(self.give_up_at()),
            Phase::Asking => Some(self.hedge_at().min(self.give_up_at())),
            Phase::Granted | Phase::InLine => None,
            Phase::CleaningUp(release) => release.wake_at(),
        }
    }

    /// Whether it may be dropped.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match &self.phase {
            Phase::Asking => false,
            Phase::Granted | Phase::InLine => true,
            Phase::CleaningUp(release) => release.is_done(),
        }
    }

    /// Whether an answer to an acquire is outstanding.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.fates.contains(&Fate::Waiting)
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
        Step::send(Command::Acquire(self.plan.ask), nodes)
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
            if made(Mutation::DeadlineFromAnswer) {
                self.deadline = Deadline::of(now, self.plan.ttl);
            }
            return Step {
                send: None,
                outcome: Some(AcquireOutcome::Granted {
                    token,
                    deadline: self.deadline,
                    on,
                }),
            };
        }
        self.hedged |= now >= self.hedge_at();
        let holders = self.nodes(|fate| fate.counter().is_some());
        let waiting = self.nodes(|fate| *fate == Fate::Waiting);
        let unasked = self.unasked();
        if now >= self.give_up_at() {
            return self.settle_for(self.reason(), now);
        }
        if holders.or(waiting).or(unasked).len() < needed {
            let in_line = self.plan.ask.line.is_some();
            // The rest of the nodes shall know our place as well.
            if in_line && !unasked.is_empty() {
                return self.ask(unasked);
            }
            let settled = self.in_line().len() >= needed && self.someone_has_a_quorum();
            if !in_line || self.hedged || waiting.is_empty() || settled {
                return self.settle_for(self.reason(), now);
            }
            return Step::none();
        }
        if !unasked.is_empty() && (holders.or(waiting).len() < needed || self.hedged) {
            return self.ask(unasked);
        }
        if holders.len() >= needed && (self.hedged || !self.may_agree(waiting)) {
            return self.promote(holders);
        }
        Step::none()
    }

    /// Whether answers on their way may still make a quorum that agrees.
    fn may_agree(&self, waiting: NodeSet) -> bool {
        let counters = self.fates.iter().filter_map(Fate::counter);
        let most = counters.map(|counter| {
            let same = |fate: &Fate| fate.counter() == Some(counter);
            self.nodes(same).len()
        });
        most.max().unwrap_or(0) + waiting.len() >= self.needed()
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
        if made(Mutation::PromoteWithoutQuorum) && self.target > Token::NONE {
            let on = self.nodes(|fate| fate.counter().is_some());
            let one = self.nodes(|fate| fate.counter() == Some(self.target));
            return (on.len() >= self.needed() && !one.is_empty()).then_some((self.target, on));
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
        let target = *counters.select_nth_unstable(self.needed() - 1).1;
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
        let nodes = self.nodes(Fate::may_be_known);
        // A place may outlive a grant.
        let ask = &self.plan.ask;
        let hold = ask.hold.max(ask.line.unwrap_or_default());
        let (release, step) = Release::clean_up(self.plan.quorum, nodes, hold, now);
        self.phase = Phase::CleaningUp(Box::new(release));
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
        let clash = self.fates.iter().find_map(|fate| match fate {
            Fate::Clash(permits) => Some(*permits),
            _ => None,
        });
        if let Some(permits) = clash {
            return AcquireOutcome::Clash { permits };
        }
        let busy = self.nodes(|fate| fate.in_the_way().is_some());
        let could = holders.or(silent).or(self.unasked()).or(busy);
        if busy.is_empty() || could.len() < needed {
            return AcquireOutcome::Unavailable;
        }
        let mut ends = [Duration::MAX; MAX_NODES];
        let mut most = holders.len();
        for node in busy.iter() {
            let Some((holder, free_in)) = self.fates[node.index()].in_the_way() else {
                continue;
            };
            ends[node.index()] = free_in;
            let same = |fate: &Fate| fate.in_the_way().is_some_and(|(other, _)| other == holder);
            most = most.max(self.nodes(same).len());
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
