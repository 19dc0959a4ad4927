//! A place in the line, where there is no quorum to be had now.

use super::super::{Command, Fate, Holder, MAX_NODES, NodeId, NodeSet, Step};
use super::{Acquire, AcquireOutcome, AcquireStep, Phase};
use crate::{Instant, Nonce};

impl Acquire {
    /// Nodes that know that we wait: in their line, or by a grant of ours.
    pub(super) fn in_line(&self) -> NodeSet {
        self.nodes(|fate| matches!(fate, Fate::Queued { .. } | Fate::Granted(_)))
    }

    /// There will be no quorum now: a place in the line, if that was asked for and
    /// is to be had, or nothing.
    pub(super) fn settle_for(&mut self, reason: AcquireOutcome, now: Instant) -> AcquireStep {
        let AcquireOutcome::Busy { free_in, split } = reason else {
            return self.fail(reason, now);
        };
        if self.plan.ask.line.is_none() || self.in_line().len() < self.needed() {
            return self.fail(reason, now);
        }
        self.phase = Phase::InLine;
        // A node that has given the lock to one of those before us has it no longer in
        // its line; but not all of them have.
        let ahead = self.fates.iter().filter_map(|fate| match fate {
            Fate::Queued { ahead, .. } => Some(*ahead),
            _ => None,
        });
        let ahead = ahead.max().unwrap_or_default();
        let held = self.nodes(|fate| fate.counter().is_some());
        let rival = self.rival().filter(|_| !held.is_empty());
        self.agree_on_place();
        let mut step = match rival {
            Some(first) => self.step_back(first, held),
            None => self.line_up(),
        };
        step.outcome = Some(AcquireOutcome::Queued {
            ahead,
            free_in,
            split,
        });
        step
    }

    /// The smallest place that a quorum of the nodes can have.
    fn agree_on_place(&mut self) {
        let mut places = [u64::MAX; MAX_NODES];
        let known = self.fates.iter().filter_map(Fate::place);
        let count = known.zip(&mut places).map(|(from, to)| *to = from).count();
        if self.place.is_none() && count >= self.needed() {
            self.place = Some(*places.select_nth_unstable(self.needed() - 1).1);
        }
    }

    /// A node has answered late.
    pub(super) fn join_in(&mut self, node: NodeId) -> AcquireStep {
        let granted = self.fates[node.index()].counter().is_some();
        match self.rival().filter(|_| granted) {
            Some(first) => self.step_back(first, NodeSet::only(node)),
            None => self.line_up(),
        }
    }

    /// Whether one holder is seen on a quorum of the nodes: then nothing is split.
    pub(super) fn someone_has_a_quorum(&self) -> bool {
        let holders = || self.fates.iter().filter_map(Fate::in_the_way);
        let count = |one: Holder| holders().filter(|(other, _)| *other == one).count();
        holders().any(|(one, _)| count(one) >= self.needed())
    }

    /// Brings the nodes' lines into the same order.
    pub(super) fn line_up(&mut self) -> AcquireStep {
        self.agree_on_place();
        let Some(to) = self.place else {
            return Step::none();
        };
        let off = self.nodes(|fate| fate.place().is_some_and(|place| place != to));
        let off = off.without(self.placed);
        self.placed = self.placed.or(off);
        Step::send(Command::Place { to }, off)
    }

    /// After a split vote: whether it is for us to try again first, and for the others
    /// to wait a little longer.
    #[must_use]
    pub fn comes_first(&self) -> bool {
        self.rival().is_none()
    }

    /// If nobody is seen to have a quorum: who has the lock on the most nodes; of
    /// several, the one with the smallest nonce. All who look at the same nodes find
    /// the same one. `None` if it is us.
    ///
    /// Also if the nodes that are not heard of could make it a quorum: they may be
    /// down, and those who share the others would wait for each other.
    fn rival(&self) -> Option<Nonce> {
        let lease = |fate: &Fate| match (fate, fate.in_the_way()) {
            (Fate::Granted(_), _) => Some(self.plan.nonce),
            (_, Some((Holder::Lease(first) | Holder::Several { first }, _))) => Some(first),
            _ => None,
        };
        let all = || self.fates.iter().filter_map(lease);
        let counted = all().map(|one| (all().filter(|other| *other == one).count(), one));
        let (most, first) = counted.max_by_key(|&(count, one)| (count, std::cmp::Reverse(one)))?;
        (most < self.needed() && first != self.plan.nonce).then_some(first)
    }

    fn step_back(&mut self, first: Nonce, held: NodeSet) -> AcquireStep {
        let (Some(line), place) = (self.plan.ask.line, self.place.unwrap_or(1)) else {
            return Step::none();
        };
        let counters = self.fates.iter().filter_map(Fate::counter);
        let command = Command::Yield {
            to: first,
            up_to: counters.max().unwrap_or_default(),
            place,
            line,
        };
        Step::send(command, held)
    }
}
