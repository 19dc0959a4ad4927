//! Hearing that the lock was handed over.

use std::time::Duration;

use super::{MAX_NODES, NodeId, NodeSet, Quorum};
use crate::{Deadline, Instant, Token, Ttl};

/// What a waiter asked for.
#[derive(Clone, Copy, Debug)]
pub struct HandoverTerms {
    /// The configured nodes.
    pub quorum: Quorum,
    /// The lease's TTL.
    pub ttl: Ttl,
    /// How much longer the nodes are to keep the grant.
    pub grace: Duration,
    /// How long each node keeps the place, and what it hands over:
    /// [`Ask::line`](super::Ask::line).
    pub line: Duration,
}

/// What a waiter was told of a handover, node by node.
///
/// A node that has handed over says so unasked, with its counter. When q nodes have
/// told the same counter, the waiter has the lock, and knows it without asking
/// anybody. Each node keeps the grant for at least `line` from when the waiter last
/// asked it, and the waiter knows when that was by its own clock: that gives a
/// deadline as C2 wants it. It is short; an extend makes it longer.
#[derive(Clone, Debug)]
pub struct Handover {
    terms: HandoverTerms,
    /// When each node was asked that last answered with a place.
    asked: [Option<Instant>; MAX_NODES],
    told: [Option<Token>; MAX_NODES],
    /// The greatest counter of each node that we have given up.
    given_up: [Token; MAX_NODES],
}

impl Handover {
    /// Nothing heard yet.
    #[must_use]
    pub const fn new(terms: HandoverTerms) -> Self {
        Self {
            terms,
            asked: [None; MAX_NODES],
            told: [None; MAX_NODES],
            given_up: [Token::NONE; MAX_NODES],
        }
    }

    /// The node has answered a request of this moment, read before its first byte
    /// was sent, with a place in the line; or with a grant, which it keeps no
    /// shorter.
    pub fn on_answer(&mut self, node: NodeId, sent: Instant, granted: Option<Token>) {
        let asked = &mut self.asked[node.index()];
        *asked = (*asked).max(Some(sent));
        match granted {
            Some(counter) => self.on_handed(node, counter),
            // Whatever it had handed over has run out, or was broken.
            None => self.told[node.index()] = None,
        }
    }

    /// The node has handed over, with this counter.
    pub fn on_handed(&mut self, node: NodeId, counter: Token) {
        if counter <= self.given_up[node.index()] {
            return;
        }
        let told = &mut self.told[node.index()];
        *told = (*told).max(Some(counter));
    }

    /// A [`Command::Yield`](super::Command::Yield) is being sent to the node: grants
    /// up to this counter no longer count, whenever it is heard of them.
    pub fn on_yield(&mut self, node: NodeId, up_to: Token) {
        let given_up = &mut self.given_up[node.index()];
        *given_up = up_to.max(*given_up);
        let told = &mut self.told[node.index()];
        *told = told.filter(|counter| *counter > up_to);
    }

    /// The node's connection broke: what it tells from now on may follow on
    /// something that was missed.
    pub fn on_lost(&mut self, node: NodeId) {
        self.asked[node.index()] = None;
        self.told[node.index()] = None;
    }

    /// How many nodes have handed over, as far as is known.
    #[must_use]
    pub fn handed(&self) -> usize {
        self.told.iter().flatten().count()
    }

    /// The lease, if q nodes have handed it over and agree on its token: the token,
    /// the deadline, and those nodes. The deadline may have passed: then nothing is
    /// held for certain, and the nodes have to be asked again.
    #[must_use]
    pub fn granted(&self) -> Option<(Token, Deadline, NodeSet)> {
        let needed = self.terms.quorum.size();
        let of = |token: Token| {
            let nodes = self.terms.quorum.all().iter();
            nodes
                .filter(|node| {
                    let place = node.index();
                    self.told[place] == Some(token) && self.asked[place].is_some()
                })
                .collect::<NodeSet>()
        };
        let agreed = self.told.iter().flatten().find_map(|&token| {
            let on = of(token);
            (on.len() >= needed).then_some((token, on))
        });
        let (token, on) = agreed?;
        let since = on
            .iter()
            .filter_map(|node| self.asked[node.index()])
            .min()?;
        let lasts = self.terms.line.saturating_sub(self.terms.grace);
        let lasts = Ttl::new(lasts.min(self.terms.ttl.get())).ok()?;
        Some((token, Deadline::of(since, lasts), on))
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

    fn of_three(grace: u64) -> Handover {
        let mut handover = Handover::new(HandoverTerms {
            quorum: Quorum::of(3).unwrap(),
            ttl: Ttl::new(Duration::from_secs(30)).unwrap(),
            grace: Duration::from_secs(grace),
            line: Duration::from_secs(3),
        });
        for (place, sent) in [(0, 100), (1, 200), (2, 300)] {
            handover.on_answer(node(place), at(sent), None);
        }
        handover
    }

    #[test]
    fn a_quorum_that_agrees_is_a_grant_from_the_earliest_request_on() {
        let mut handover = of_three(1);
        handover.on_handed(node(2), Token::MAX);
        handover.on_handed(node(1), Token::new(7).unwrap());
        assert_eq!((handover.granted(), handover.handed()), (None, 2));
        handover.on_handed(node(0), Token::new(7).unwrap());
        let (token, deadline, on) = handover.granted().unwrap();
        assert_eq!((token.get(), on.len()), (7, 2));
        let two = Ttl::new(Duration::from_secs(2)).unwrap();
        assert_eq!(deadline, Deadline::of(at(100), two));
    }

    #[test]
    fn what_the_grace_leaves_nothing_of_has_to_be_claimed() {
        let mut handover = of_three(3);
        for place in 0..3 {
            handover.on_handed(node(place), Token::MAX);
        }
        assert_eq!((handover.granted(), handover.handed()), (None, 3));
    }

    #[test]
    fn a_broken_connection_takes_its_node_out() {
        let mut handover = of_three(0);
        handover.on_handed(node(0), Token::MAX);
        handover.on_handed(node(1), Token::MAX);
        handover.on_lost(node(1));
        handover.on_handed(node(1), Token::MAX);
        assert_eq!(handover.granted(), None);
        handover.on_answer(node(1), at(400), Some(Token::MAX));
        assert!(handover.granted().is_some());
    }
}
