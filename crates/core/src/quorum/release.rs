//! Giving a lease back, and cleaning up after an acquire that came to nothing.

use std::time::Duration;

use super::{Command, Failure, MAX_NODES, NodeId, NodeSet, OwnerReply, Quorum, Step};
use crate::Instant;

/// How long before a release that did not get through is sent once more.
const RESEND_AFTER: Duration = Duration::from_millis(100);

/// What came of a release (C5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// A quorum of nodes had our key and deleted it; or some did, and so few may
    /// still have it that nobody is kept from the lock.
    Released,
    /// So many nodes no longer had our key that no quorum can have had it.
    AlreadyLost,
    /// Neither is known. **The lock may stay held** until TTL + grace have
    /// passed, unless a straggler still carries it out.
    Indeterminate,
}

/// One node's part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// Nothing to do there (or no more).
    Idle,
    /// Sent, no answer yet.
    Sent,
    /// To be sent again at this moment.
    Again(Instant),
    /// Answered.
    Answered(OwnerReply),
}

/// A release: sent to every node at once, answered at the quorum, and kept up
/// for the stragglers until they answer or their keys have run out. A release
/// under way on a connection that stands is waited for: it will be answered, or
/// the connection will break.
///
/// Dropping it stops the resending and nothing else.
#[derive(Clone, Debug)]
pub struct Release {
    quorum: Quorum,
    slots: [Slot; MAX_NODES],
    /// Nodes whose grant became known after the release was sent.
    regranted: NodeSet,
    /// When the caller is told `Indeterminate`; `None` once it has an answer, or
    /// if nobody asked.
    give_up_at: Option<Instant>,
    /// From when on an answer is late: then those that are out are not waited for if
    /// the lock is free without them.
    late_at: Option<Instant>,
    /// How long a node keeps the key, on a clock as slow as the margin allows.
    hold: Duration,
    /// When every key has run out by itself, so that nothing need be sent again.
    ends: Instant,
}

type ReleaseStep = Step<Command, ReleaseOutcome>;

impl Release {
    /// Releases a lease on these nodes: all that were ever asked for it.
    ///
    /// The caller is answered within `patience`, and soon after `hedge_after` if a
    /// minority is late. `hold` is the longest that a node
    /// was asked to keep the key; nothing is sent again when it has run out.
    pub fn start(
        quorum: Quorum,
        nodes: NodeSet,
        hold: Duration,
        hedge_after: Duration,
        patience: Duration,
        now: Instant,
    ) -> (Self, ReleaseStep) {
        let (mut release, mut step) = Self::clean_up(quorum, nodes, hold, now);
        release.late_at = Some(now.saturating_add(hedge_after));
        release.give_up_at = Some(now.saturating_add(patience));
        step.outcome = release.judge();
        (release, step)
    }

    /// Removes the keys of an acquire that came to nothing. Nobody waits for it.
    pub(super) fn clean_up(
        quorum: Quorum,
        nodes: NodeSet,
        hold: Duration,
        now: Instant,
    ) -> (Self, ReleaseStep) {
        let mut slots = [Slot::Idle; MAX_NODES];
        for node in nodes.iter() {
            slots[node.index()] = Slot::Sent;
        }
        let hold = hold + hold / 100 + Duration::from_millis(2);
        let release = Self {
            quorum,
            slots,
            regranted: NodeSet::EMPTY,
            give_up_at: None,
            late_at: None,
            hold,
            ends: now.saturating_add(hold),
        };
        (release, Step::send(Command::Release, nodes))
    }

    /// A node answered, or failed to.
    pub fn on_reply(
        &mut self,
        node: NodeId,
        reply: Result<OwnerReply, Failure>,
        now: Instant,
    ) -> ReleaseStep {
        let slot = &mut self.slots[node.index()];
        if !matches!(slot, Slot::Sent) {
            return Step::none();
        }
        *slot = match reply {
            // The grant overtook its release, or it ran out: once more will tell.
            Ok(OwnerReply::Gone) if self.regranted.contains(node) => {
                self.regranted = self.regranted.without(NodeSet::only(node));
                return Step::send(Command::Release, NodeSet::only(node));
            }
            Ok(reply) => Slot::Answered(reply),
            Err(failure) => {
                // Whatever was sent before it may have been carried out until now.
                if failure == Failure::Lost {
                    self.ends = self.ends.max(now.saturating_add(self.hold));
                }
                Slot::Again(now.saturating_add(RESEND_AFTER))
            }
        };
        Step {
            send: None,
            outcome: self.judge(),
        }
    }

    /// A grant of the acquire that is being cleaned up has come to light.
    pub(super) fn on_late_grant(&mut self, node: NodeId) -> ReleaseStep {
        match self.slots[node.index()] {
            // On one connection the release goes behind the acquire and will
            // find the key; its answer tells.
            Slot::Sent | Slot::Again(_) => {
                self.regranted = self.regranted.with(node);
                Step::none()
            }
            Slot::Answered(OwnerReply::Done) => Step::none(),
            Slot::Idle | Slot::Answered(OwnerReply::Gone) => {
                self.slots[node.index()] = Slot::Sent;
                Step::send(Command::Release, NodeSet::only(node))
            }
        }
    }

    /// The wake-up time has come.
    pub fn on_tick(&mut self, now: Instant) -> ReleaseStep {
        let mut due = NodeSet::EMPTY;
        for node in self.quorum.all().iter() {
            let slot = &mut self.slots[node.index()];
            match slot {
                Slot::Again(_) if now >= self.ends => *slot = Slot::Idle,
                Slot::Again(at) if *at <= now => {
                    *slot = Slot::Sent;
                    due = due.with(node);
                }
                _ => {}
            }
        }
        let mut step = Step::send(Command::Release, due);
        if self.late_at.is_some_and(|at| at <= now) {
            self.late_at = None;
            step.outcome = self.judge();
        }
        if self
            .give_up_at
            .is_some_and(|at| at <= now || self.is_done())
        {
            self.give_up_at = None;
            step.outcome = Some(ReleaseOutcome::Indeterminate);
        }
        step
    }

    /// When [`on_tick`](Self::on_tick) is due; `None` when nothing is left to do.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        let slots = self.slots.iter().filter_map(|slot| match slot {
            Slot::Again(at) => Some((*at).min(self.ends)),
            _ => None,
        });
        let asked = self
            .give_up_at
            .map(|at| self.late_at.map_or(at, |late| late.min(at)));
        slots.chain(asked).min()
    }

    /// Whether every node has answered or no longer matters.
    #[must_use]
    pub fn is_done(&self) -> bool {
        !self
            .slots
            .iter()
            .any(|slot| matches!(slot, Slot::Sent | Slot::Again(_)))
    }

    fn judge(&mut self) -> Option<ReleaseOutcome> {
        self.give_up_at?;
        let count = |wanted: fn(&Slot) -> bool| self.slots.iter().filter(|s| wanted(s)).count();
        let done = count(|slot| matches!(slot, Slot::Answered(OwnerReply::Done)));
        let open = count(|slot| matches!(slot, Slot::Sent | Slot::Again(_)));
        let outcome = if done >= self.quorum.size() {
            ReleaseOutcome::Released
        } else if done + open < self.quorum.size() {
            ReleaseOutcome::AlreadyLost
        } else if self.late_at.is_none() && done > 0 && open <= self.quorum.spare() {
            ReleaseOutcome::Released
        } else {
            return None;
        };
        self.give_up_at = None;
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

    fn of_three() -> Release {
        let quorum = Quorum::of(3).unwrap();
        let (release, step) = Release::start(
            quorum,
            quorum.all(),
            Duration::from_secs(10),
            Duration::from_millis(5),
            Duration::from_millis(500),
            at(0),
        );
        assert_eq!(step.send, Some((Command::Release, quorum.all())));
        release
    }

    #[test]
    fn is_answered_at_the_quorum_and_done_with_the_last() {
        let mut release = of_three();
        let done = Ok(OwnerReply::Done);
        assert_eq!(release.on_reply(node(0), done, at(1)).outcome, None);
        assert_eq!(
            release.on_reply(node(2), done, at(2)).outcome,
            Some(ReleaseOutcome::Released)
        );
        assert!(!release.is_done());
        assert_eq!(release.on_reply(node(1), done, at(3)), Step::none());
        assert!(release.is_done() && release.wake_at().is_none());
    }

    #[test]
    fn a_minority_that_is_late_is_not_waited_for() {
        let mut release = of_three();
        let done = Ok(OwnerReply::Done);
        assert_eq!(
            release
                .on_reply(node(0), Ok(OwnerReply::Gone), at(1))
                .outcome,
            None
        );
        assert_eq!(release.on_reply(node(1), done, at(1)).outcome, None);
        assert_eq!(release.wake_at(), Some(at(5)));
        let said = release.on_tick(at(5)).outcome;
        assert_eq!(said, Some(ReleaseOutcome::Released));
        assert!(!release.is_done());
    }

    #[test]
    fn keys_gone_from_too_many_nodes_are_an_answer_not_an_error() {
        let mut release = of_three();
        let gone = Ok(OwnerReply::Gone);
        assert_eq!(release.on_reply(node(0), gone, at(1)).outcome, None);
        assert_eq!(
            release.on_reply(node(1), gone, at(2)).outcome,
            Some(ReleaseOutcome::AlreadyLost)
        );
    }

    #[test]
    fn what_got_lost_is_sent_again_until_the_keys_run_out() {
        let mut release = of_three();
        let lost = Err(Failure::Lost);
        assert_eq!(release.on_reply(node(0), lost, at(1)), Step::none());
        assert_eq!(release.on_tick(at(5)), Step::none());
        let due = release.wake_at().unwrap();
        assert_eq!(
            release.on_tick(due).send,
            Some((Command::Release, NodeSet::only(node(0))))
        );
        assert_eq!(
            release.on_tick(at(500)).outcome,
            Some(ReleaseOutcome::Indeterminate)
        );
        // The key may have been set until the connection broke.
        let refused = Err(Failure::NotSent);
        assert_eq!(release.on_reply(node(0), refused, at(600)), Step::none());
        assert!(release.on_tick(at(10_000)).send.is_some());
        assert_eq!(release.on_reply(node(0), refused, at(10_001)), Step::none());
        assert_eq!(release.on_tick(at(10_200)), Step::none());
        let gone = Ok(OwnerReply::Gone);
        for other in [node(1), node(2)] {
            assert!(!release.is_done());
            assert_eq!(release.on_reply(other, gone, at(20_000)), Step::none());
        }
        assert!(release.is_done() && release.wake_at().is_none());
    }

    #[test]
    fn a_grant_that_shows_up_late_is_released_again_if_the_release_missed_it() {
        let quorum = Quorum::of(3).unwrap();
        let (mut release, _) =
            Release::clean_up(quorum, quorum.all(), Duration::from_secs(1), at(0));
        let again = Some((Command::Release, NodeSet::only(node(0))));
        assert_eq!(release.on_late_grant(node(0)), Step::none());
        let gone = Ok(OwnerReply::Gone);
        assert_eq!(release.on_reply(node(0), gone, at(1)).send, again);
        assert_eq!(release.on_reply(node(0), gone, at(2)).send, None);
        assert_eq!(release.on_late_grant(node(0)).send, again);
    }
}
