//! The acquire machine, by example.

use std::time::Duration;

use super::*;
use crate::{Deadline, Instant, Mode, Nonce, Token, Ttl};

fn at(millis: u64) -> Instant {
    Instant::from_start(Duration::from_millis(millis))
}

fn node(place: usize) -> NodeId {
    NodeId::new(place).unwrap()
}

fn nodes(places: &[usize]) -> NodeSet {
    places.iter().map(|&place| node(place)).collect()
}

fn nonce(id: u8) -> Nonce {
    Nonce::from_bytes([id; 16])
}

fn token(value: u64) -> Token {
    Token::new(value).unwrap()
}

fn ttl() -> Ttl {
    Ttl::new(Duration::from_secs(10)).unwrap()
}

fn plan(count: usize) -> Plan {
    let quorum = Quorum::of(count).unwrap();
    Plan {
        quorum,
        ttl: ttl(),
        nonce: nonce(9),
        ask: Ask {
            mode: Mode::Exclusive,
            slot: 0,
            hold: Duration::from_secs(12),
            line: None,
            proposal: token(1),
        },
        first: quorum.all(),
        hedge_after: Duration::from_millis(5),
        skip: NodeSet::EMPTY,
        patience: Duration::from_millis(500),
    }
}

fn start(plan: Plan) -> Acquire {
    let (acquire, step) = Acquire::start(plan, at(0));
    let (_, to) = step.send.unwrap();
    assert_eq!(to, plan.first.without(plan.skip));
    acquire
}

fn granted(counter: u64) -> Reply {
    let counter = token(counter);
    Reply::Acquire(Ok(AcquireReply::Granted { counter }))
}

fn busy(seconds: u64, holder: u8) -> Reply {
    Reply::Acquire(Ok(AcquireReply::Busy {
        free_in: Duration::from_secs(seconds),
        holder: Holder::Lease(nonce(holder)),
    }))
}

fn queued(place: u64, ahead: u32, holder: u8) -> Reply {
    Reply::Acquire(Ok(AcquireReply::Queued {
        place,
        ahead,
        free_in: Duration::from_secs(9),
        holder: Holder::Lease(nonce(holder)),
    }))
}

fn promoted(counter: u64) -> Reply {
    Reply::Promote(Ok(PromoteReply::At(token(counter))))
}

const LOST: Reply = Reply::Acquire(Err(Failure::Lost));
const NOTHING: Step<Command, AcquireOutcome> = Step {
    send: None,
    outcome: None,
};

fn release_to(places: &[usize]) -> Option<(Command, NodeSet)> {
    Some((Command::Release, nodes(places)))
}

fn promote_to(counter: u64, places: &[usize]) -> Option<(Command, NodeSet)> {
    let to = token(counter);
    Some((Command::Promote { to }, nodes(places)))
}

fn is_granted(step: Step<Command, AcquireOutcome>, counter: u64, places: &[usize]) {
    assert_eq!(
        step.outcome,
        Some(AcquireOutcome::Granted {
            token: token(counter),
            deadline: Deadline::of(at(0), ttl()),
            on: nodes(places),
        })
    );
    assert_eq!(step.send, None);
}

#[test]
fn nodes_that_agree_grant_in_one_round_and_the_slowest_is_not_waited_for() {
    let mut acquire = start(plan(5));
    assert_eq!(acquire.on_reply(node(4), granted(7), at(1)), NOTHING);
    assert_eq!(acquire.on_reply(node(0), granted(7), at(1)), NOTHING);
    is_granted(acquire.on_reply(node(2), granted(7), at(2)), 7, &[0, 2, 4]);
    assert!(acquire.is_done() && acquire.wake_at().is_none());
    // Kept, not promoted, and among those to extend and release on.
    assert_eq!(acquire.on_reply(node(1), granted(3), at(3)), NOTHING);
    assert_eq!(acquire.may_hold(), nodes(&[0, 1, 2, 3, 4]));
}

#[test]
fn nodes_that_differ_are_promoted_until_a_quorum_agrees() {
    let mut acquire = start(plan(3));
    assert_eq!(acquire.on_reply(node(0), granted(5), at(1)), NOTHING);
    assert_eq!(acquire.on_reply(node(1), granted(9), at(1)), NOTHING);
    let step = acquire.on_tick(at(5));
    assert_eq!(step.send, promote_to(9, &[0]));
    is_granted(acquire.on_reply(node(0), promoted(9), at(6)), 9, &[0, 1]);
}

#[test]
fn a_promote_that_comes_back_higher_raises_the_token() {
    let mut acquire = start(plan(3));
    assert_eq!(acquire.on_reply(node(0), granted(5), at(1)), NOTHING);
    assert_eq!(acquire.on_reply(node(1), granted(9), at(1)), NOTHING);
    let step = acquire.on_tick(at(5));
    assert_eq!(step.send, promote_to(9, &[0]));
    let step = acquire.on_reply(node(0), promoted(20), at(6));
    assert_eq!(step.send, promote_to(20, &[1]));
    is_granted(acquire.on_reply(node(1), promoted(20), at(7)), 20, &[0, 1]);
}

#[test]
fn an_answer_that_makes_a_quorum_agree_is_better_than_a_promote() {
    let mut acquire = start(plan(3));
    assert_eq!(acquire.on_reply(node(0), granted(5), at(1)), NOTHING);
    assert_eq!(acquire.on_reply(node(1), granted(9), at(1)), NOTHING);
    let step = acquire.on_tick(at(5));
    assert_eq!(step.send, promote_to(9, &[0]));
    is_granted(acquire.on_reply(node(2), granted(5), at(6)), 5, &[0, 2]);
}

#[test]
fn a_node_whose_key_is_gone_no_longer_counts() {
    let mut acquire = start(plan(3));
    assert_eq!(acquire.on_reply(node(0), granted(5), at(1)), NOTHING);
    assert_eq!(acquire.on_reply(node(1), granted(9), at(1)), NOTHING);
    let step = acquire.on_tick(at(5));
    assert_eq!(step.send, promote_to(9, &[0]));
    let gone = Reply::Promote(Ok(PromoteReply::Gone));
    assert_eq!(acquire.on_reply(node(0), gone, at(6)), NOTHING);
    let step = acquire.on_reply(node(2), granted(9), at(7));
    is_granted(step, 9, &[1, 2]);
}

#[test]
fn busy_is_told_at_once_and_what_was_won_is_given_back() {
    let mut acquire = start(plan(5));
    assert_eq!(acquire.on_reply(node(0), granted(5), at(1)), NOTHING);
    assert_eq!(acquire.on_reply(node(1), busy(9, 1), at(1)), NOTHING);
    assert_eq!(acquire.on_reply(node(2), busy(3, 1), at(1)), NOTHING);
    let step = acquire.on_reply(node(3), busy(6, 1), at(1));
    assert_eq!(
        step.outcome,
        Some(AcquireOutcome::Busy {
            // One node is ours, one may be; one more is needed.
            free_in: Duration::from_secs(3),
            split: false,
        })
    );
    assert_eq!(step.send, release_to(&[0, 4]));
    assert!(!acquire.is_done());
    let done = Reply::Release(Ok(OwnerReply::Done));
    assert_eq!(acquire.on_reply(node(0), done, at(2)), NOTHING);
    // The answer to the acquire, then the one to the release behind it.
    assert_eq!(acquire.on_reply(node(4), granted(5), at(2)), NOTHING);
    assert_eq!(acquire.on_reply(node(4), done, at(2)), NOTHING);
    assert!(acquire.is_done());
}

#[test]
fn a_split_vote_is_not_worth_waiting_out() {
    let mut acquire = start(plan(5));
    assert_eq!(acquire.on_reply(node(0), granted(5), at(1)), NOTHING);
    assert_eq!(acquire.on_reply(node(1), granted(5), at(1)), NOTHING);
    assert_eq!(acquire.on_reply(node(2), busy(9, 1), at(1)), NOTHING);
    assert_eq!(acquire.on_reply(node(3), busy(9, 1), at(1)), NOTHING);
    let step = acquire.on_reply(node(4), busy(9, 2), at(1));
    let free_in = Duration::from_secs(9);
    let split = true;
    assert_eq!(step.outcome, Some(AcquireOutcome::Busy { free_in, split }));
    assert_eq!(step.send, release_to(&[0, 1]));
}

#[test]
fn too_many_nodes_that_cannot_vote_are_unavailable() {
    let mut acquire = start(plan(3));
    let not_joined = Reply::Acquire(Ok(AcquireReply::NotJoined));
    assert_eq!(acquire.on_reply(node(0), not_joined, at(1)), NOTHING);
    let refused = Reply::Acquire(Err(Failure::Refused));
    let step = acquire.on_reply(node(1), refused, at(1));
    assert_eq!(step.outcome, Some(AcquireOutcome::Unavailable));
    assert_eq!(step.send, release_to(&[2]));
    assert_eq!(
        acquire.fates(),
        [Fate::NotJoined, Fate::Refused, Fate::Waiting]
    );
}

#[test]
fn no_answer_from_a_quorum_is_indeterminate() {
    let mut acquire = start(plan(3));
    assert_eq!(acquire.on_reply(node(0), LOST, at(1)), NOTHING);
    assert_eq!(acquire.on_tick(at(5)), NOTHING);
    let due = acquire.wake_at().unwrap();
    assert_eq!(due, at(500));
    let step = acquire.on_tick(due);
    assert_eq!(step.outcome, Some(AcquireOutcome::Indeterminate));
    assert_eq!(step.send, release_to(&[0, 1, 2]));
}

#[test]
fn with_too_few_nodes_left_nothing_is_asked() {
    let mut plan = plan(3);
    plan.skip = nodes(&[0, 1]);
    plan.first = nodes(&[0, 1]);
    let (acquire, step) = Acquire::start(plan, at(0));
    assert_eq!(step.outcome, Some(AcquireOutcome::Unavailable));
    assert_eq!(step.send, None);
    assert!(acquire.is_done());
}

#[test]
fn agreement_after_the_deadline_is_too_late() {
    let mut plan = plan(3);
    plan.patience = Duration::from_secs(60);
    let mut acquire = start(plan);
    assert_eq!(acquire.on_tick(at(5)), NOTHING);
    assert_eq!(acquire.wake_at(), Some(Deadline::of(at(0), ttl()).at()));
    assert_eq!(acquire.on_reply(node(0), granted(5), at(1)), NOTHING);
    let step = acquire.on_reply(node(1), granted(5), at(9_900));
    assert_eq!(step.outcome, Some(AcquireOutcome::TooLate));
    assert_eq!(step.send, release_to(&[0, 1, 2]));
}

#[test]
fn a_preferred_quorum_is_asked_first_and_the_rest_when_one_is_late() {
    let mut plan = plan(5);
    plan.first = nodes(&[1, 3, 4]);
    let mut acquire = start(plan);
    assert_eq!(acquire.on_reply(node(1), granted(5), at(1)), NOTHING);
    assert_eq!(acquire.on_reply(node(3), granted(5), at(1)), NOTHING);
    assert_eq!(acquire.wake_at(), Some(at(5)));
    let (_, to) = acquire.on_tick(at(5)).send.unwrap();
    assert_eq!(to, nodes(&[0, 2]));
    assert_eq!(acquire.wake_at(), Some(at(500)));
    is_granted(acquire.on_reply(node(0), granted(5), at(6)), 5, &[0, 1, 3]);
}

#[test]
fn a_preferred_node_that_refuses_has_the_rest_asked_at_once() {
    let mut plan = plan(5);
    plan.first = nodes(&[0, 1, 2]);
    let mut acquire = start(plan);
    let (_, to) = acquire.on_reply(node(1), LOST, at(1)).send.unwrap();
    assert_eq!(to, nodes(&[3, 4]));
}

#[test]
fn who_goes_away_leaves_nothing_held() {
    let mut acquire = start(plan(3));
    assert_eq!(acquire.on_reply(node(0), granted(5), at(1)), NOTHING);
    let step = acquire.cancel(at(2));
    assert_eq!(step.outcome, Some(AcquireOutcome::Cancelled));
    assert_eq!(step.send, release_to(&[0, 1, 2]));
    let gone = Reply::Release(Ok(OwnerReply::Gone));
    assert_eq!(acquire.on_reply(node(1), gone, at(3)), NOTHING);
    // The acquire was overtaken by its release: once more.
    let step = acquire.on_reply(node(1), granted(5), at(4));
    assert_eq!(step.send, release_to(&[1]));
    // A release got lost: once more, after a while.
    let lost = Reply::Release(Err(Failure::Lost));
    assert_eq!(acquire.on_reply(node(2), lost, at(5)), NOTHING);
    let due = acquire.wake_at().unwrap();
    assert_eq!(acquire.on_tick(due).send, release_to(&[2]));
    assert_eq!(acquire.cancel(at(300)), NOTHING);
    // Also one that was granted when nobody was there to take it.
    let mut acquire = start(plan(1));
    is_granted(acquire.on_reply(node(0), granted(5), at(1)), 5, &[0]);
    assert_eq!(acquire.cancel(at(2)).send, release_to(&[0]));
}

#[test]
fn nodes_that_can_all_agree_no_more_are_promoted_at_once() {
    let mut acquire = start(plan(3));
    assert_eq!(acquire.on_reply(node(0), granted(5), at(1)), NOTHING);
    assert_eq!(acquire.on_reply(node(1), granted(9), at(1)), NOTHING);
    let step = acquire.on_reply(node(2), granted(7), at(1));
    assert_eq!(step.send, promote_to(7, &[0]));
    is_granted(acquire.on_reply(node(0), promoted(7), at(2)), 7, &[0, 2]);
}

fn waiting(count: usize, id: u8) -> Acquire {
    let mut plan = plan(count);
    plan.nonce = nonce(id);
    plan.ask.line = Some(Duration::from_secs(3));
    start(plan)
}

#[test]
fn a_place_on_a_quorum_is_a_place_in_the_line_and_nothing_is_given_back() {
    let mut acquire = waiting(3, 9);
    assert_eq!(acquire.on_reply(node(0), queued(4, 1, 1), at(1)), NOTHING);
    let step = acquire.on_reply(node(1), queued(4, 1, 1), at(1));
    let outcome = AcquireOutcome::Queued {
        ahead: 1,
        free_in: Duration::from_secs(9),
        split: false,
    };
    assert_eq!(step.outcome, Some(outcome));
    assert_eq!(step.send, None);
    assert!(acquire.is_done() && acquire.waits());
    // One that answers late is brought into the same order.
    let step = acquire.on_reply(node(2), queued(2, 0, 1), at(2));
    assert_eq!(step.send, Some((Command::Place { to: 4 }, nodes(&[2]))));
    assert!(!acquire.waits());
}

#[test]
fn of_those_who_split_the_vote_all_but_one_step_back() {
    // Each has one node; the smallest nonce is to have them all.
    let others = |id: u8| [1, 2, 3].map(|other| if other == id { 0 } else { other });
    for id in [1, 2, 3] {
        let mut acquire = waiting(3, id);
        let mut last = NOTHING;
        for (place, other) in others(id).into_iter().enumerate() {
            let reply = match other {
                0 => granted(7),
                other => queued(1, 0, other),
            };
            last = acquire.on_reply(node(place), reply, at(1));
        }
        let outcome = last.outcome.unwrap();
        assert!(matches!(
            outcome,
            AcquireOutcome::Queued { split: true, .. }
        ));
        assert_eq!(acquire.comes_first(), id == 1);
        match last.send {
            Some((Command::Yield { to, up_to, .. }, from)) => {
                assert_eq!((to, up_to), (nonce(1), token(7)));
                assert_eq!(from, nodes(&[usize::from(id) - 1]));
            }
            send => assert!(id == 1 && send.is_none(), "{send:?}"),
        }
    }
}

#[test]
fn another_number_of_permits_is_told() {
    let mut acquire = start(plan(3));
    let clash = Reply::Acquire(Ok(AcquireReply::Clash { permits: 4 }));
    assert_eq!(acquire.on_reply(node(0), clash, at(1)), NOTHING);
    let step = acquire.on_reply(node(1), clash, at(1));
    assert_eq!(step.outcome, Some(AcquireOutcome::Clash { permits: 4 }));
}
