//! Prolonging a lease.

use std::time::Duration;

use super::mutation::{Mutation, made};
use super::{Command, Failure, NodeId, NodeSet, OwnerReply, Quorum, Step};
use crate::{Deadline, Instant, Ttl};

/// What came of an extend (C5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendOutcome {
    /// A quorum of nodes keeps the key for another TTL.
    Extended {
        /// The new deadline; never before the old one.
        deadline: Deadline,
    },
    /// So many nodes no longer have the key that no quorum can: the lease is
    /// over, though its old deadline may lie ahead.
    Lost,
    /// The old deadline came first. The lease is over; an answer that comes now
    /// does not revive it.
    TooLate,
    /// Too few answers. The holder keeps its old deadline and may try again: what
    /// an extend did on some nodes never brings an end forward.
    Indeterminate,
}

/// An extend: conditional on the nonce, decided at a quorum of the *configured*
/// nodes. One that misses it releases nothing anywhere: the lease is as good as
/// before until its old deadline, and the next try may do better.
///
/// Dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Extend {
    quorum: Quorum,
    ttl: Ttl,
    sent: Instant,
    current: Deadline,
    give_up_at: Instant,
    waiting: NodeSet,
    extended: NodeSet,
    /// Nodes that may have the key but will not say.
    silent: NodeSet,
    decided: bool,
}

type ExtendStep = Step<Command, ExtendOutcome>;

impl Extend {
    /// Extends on these nodes: all that were ever asked for the lease, except
    /// those known to be out of reach.
    ///
    /// `now` must be read before the first byte leaves (C2); `current` is the
    /// deadline that the lease has; `slot` is its permit, 0 for the other modes; `hold`
    /// is TTL plus grace.
    pub fn start(
        quorum: Quorum,
        nodes: NodeSet,
        ttl: Ttl,
        (slot, hold): (u32, Duration),
        current: Deadline,
        patience: Duration,
        now: Instant,
    ) -> (Self, ExtendStep) {
        let mut extend = Self {
            quorum,
            ttl,
            sent: now,
            current,
            give_up_at: now.saturating_add(patience).min(current.at()),
            waiting: nodes,
            extended: NodeSet::EMPTY,
            silent: quorum.all().without(nodes),
            decided: false,
        };
        let mut step = Step::send(Command::Extend { slot, hold }, nodes);
        step.outcome = extend.judge(now);
        if step.outcome.is_some() {
            step.send = None;
        }
        (extend, step)
    }

    /// A node answered, or failed to.
    pub fn on_reply(
        &mut self,
        node: NodeId,
        reply: Result<OwnerReply, Failure>,
        now: Instant,
    ) -> ExtendStep {
        let only = NodeSet::only(node);
        if self.waiting.and(only).is_empty() {
            return Step::none();
        }
        self.waiting = self.waiting.without(only);
        match reply {
            Ok(OwnerReply::Done) => self.extended = self.extended.or(only),
            Ok(OwnerReply::Gone) => {}
            Err(_) => self.silent = self.silent.or(only),
        }
        self.step(now)
    }

    /// The wake-up time has come.
    pub fn on_tick(&mut self, now: Instant) -> ExtendStep {
        self.step(now)
    }

    /// When [`on_tick`](Self::on_tick) is due; `None` once decided.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        (!self.decided).then_some(self.give_up_at)
    }

    fn step(&mut self, now: Instant) -> ExtendStep {
        Step {
            send: None,
            outcome: self.judge(now),
        }
    }

    fn judge(&mut self, now: Instant) -> Option<ExtendOutcome> {
        if self.decided {
            return None;
        }
        let needed = self.quorum.size();
        let outcome = if self.current.has_passed(now) {
            ExtendOutcome::TooLate
        } else if self.extended.len() >= needed {
            // Never earlier: nodes keep the longer of two ends.
            let from = match made(Mutation::DeadlineFromAnswer) {
                true => now,
                false => self.sent,
            };
            let deadline = Deadline::of(from, self.ttl).max(self.current);
            ExtendOutcome::Extended { deadline }
        } else if self.extended.or(self.waiting).or(self.silent).len() < needed {
            ExtendOutcome::Lost
        } else if now >= self.give_up_at {
            ExtendOutcome::Indeterminate
        } else if self.extended.or(self.waiting).len() >= needed
            // The rest may still tell that it is lost.
            || self.extended.or(self.silent).len() < needed && !self.waiting.is_empty()
        {
            return None;
        } else {
            ExtendOutcome::Indeterminate
        };
        self.decided = true;
        Some(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_start(Duration::from_millis(millis))
    }

    fn node(place: usize) -> NodeId {
        NodeId::new(place).unwrap()
    }

    /// A lease of 10 s, taken at 0, is extended at 4 s.
    fn of_three() -> (Extend, Deadline) {
        let quorum = Quorum::of(3).unwrap();
        let ttl = Ttl::new(Duration::from_secs(10)).unwrap();
        let current = Deadline::of(at(0), ttl);
        let (extend, step) = Extend::start(
            quorum,
            quorum.all(),
            ttl,
            (0, ttl.get()),
            current,
            Duration::from_secs(1),
            at(4000),
        );
        let hold = ttl.get();
        assert_eq!(
            step.send,
            Some((Command::Extend { slot: 0, hold }, quorum.all()))
        );
        (extend, Deadline::of(at(4000), ttl))
    }

    #[test]
    fn the_deadline_counts_from_before_sending() {
        let (mut extend, deadline) = of_three();
        let done = Ok(OwnerReply::Done);
        assert_eq!(extend.on_reply(node(0), done, at(4100)).outcome, None);
        assert_eq!(
            extend.on_reply(node(1), done, at(4900)).outcome,
            Some(ExtendOutcome::Extended { deadline })
        );
        assert_eq!(extend.on_reply(node(2), done, at(4901)), Step::none());
        assert_eq!(extend.wake_at(), None);
    }

    #[test]
    fn missing_the_quorum_releases_nothing() {
        let (mut extend, _) = of_three();
        let lost = Err(Failure::Lost);
        assert_eq!(extend.on_reply(node(0), lost, at(4100)), Step::none());
        let step = extend.on_reply(node(1), lost, at(4200));
        assert_eq!(step.outcome, Some(ExtendOutcome::Indeterminate));
        assert_eq!(step.send, None);
    }

    #[test]
    fn gone_from_too_many_is_lost_and_silence_is_not() {
        let (mut extend, _) = of_three();
        let gone = Ok(OwnerReply::Gone);
        assert_eq!(extend.on_reply(node(0), gone, at(4100)).outcome, None);
        let step = extend.on_reply(node(1), gone, at(4100));
        assert_eq!(step.outcome, Some(ExtendOutcome::Lost));
        let (mut extend, _) = of_three();
        let due = extend.wake_at().unwrap();
        let step = extend.on_tick(due);
        assert_eq!(step.outcome, Some(ExtendOutcome::Indeterminate));
    }

    #[test]
    fn an_answer_after_the_old_deadline_does_not_revive() {
        let (mut extend, _) = of_three();
        let done = Ok(OwnerReply::Done);
        assert_eq!(extend.on_reply(node(0), done, at(4100)).outcome, None);
        let step = extend.on_reply(node(1), done, at(9_898));
        assert_eq!(step.outcome, Some(ExtendOutcome::TooLate));
    }
}
