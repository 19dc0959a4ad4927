//! The node's side, by example.

use std::time::Duration;

use super::*;
use crate::quorum::{Holder, JoinReply};
use crate::{LockName, Mode, Nonce, StoreTime, Token};

const HOLD: Duration = Duration::from_secs(10);
const MAX_TTL: Duration = Duration::from_secs(30);
/// How long places are kept.
const LINE: Duration = Duration::from_secs(20);

fn at(seconds: u64) -> StoreTime {
    StoreTime::from_micros(seconds * 1_000_000)
}

fn run(id: u8) -> RunId {
    RunId::from_bytes([id; 20])
}

fn nonce(id: u8) -> Nonce {
    Nonce::from_bytes([id; 16])
}

fn name(text: &str) -> LockName {
    LockName::new(text).unwrap()
}

fn token(value: u64) -> Token {
    Token::new(value).unwrap()
}

fn ask(mode: Mode, line: Option<Duration>) -> Ask {
    Ask {
        mode,
        slot: 0,
        hold: HOLD,
        line,
        proposal: Token::NONE,
    }
}

/// A node that votes, with floor 100.
fn voting() -> Node {
    let mut node = Node::start(run(1), Data::default(), at(0));
    let _ = node.notice(run(1), nonce(0), at(0));
    let installed = node.install(run(1), nonce(0), token(100), MAX_TTL, at(0));
    assert_eq!(installed, JoinReply::Installed);
    node
}

fn acquire(node: &mut Node, text: &str, id: u8, proposal: u64, now: u64) -> AcquireReply {
    let ask = Ask {
        proposal: token(proposal),
        ..ask(Mode::Exclusive, None)
    };
    node.acquire(run(1), &name(text), nonce(id), ask, at(now))
}

/// Asks for `a`, or for a place.
fn queue(node: &mut Node, id: u8, mode: Mode, now: u64) -> AcquireReply {
    let ask = ask(mode, Some(LINE));
    node.acquire(run(1), &name("a"), nonce(id), ask, at(now))
}

fn release(node: &mut Node, id: u8, now: u64) -> OwnerReply {
    node.release(run(1), &name("a"), nonce(id), at(now))
}

fn granted(counter: u64) -> AcquireReply {
    let counter = token(counter);
    AcquireReply::Granted { counter }
}

fn queued(place: u64, ahead: u32, free_in: u64, holder: Holder) -> AcquireReply {
    AcquireReply::Queued {
        place,
        ahead,
        free_in: Duration::from_secs(free_in),
        holder,
    }
}

fn told(node: &mut Node) -> Vec<(u8, Push)> {
    let pushes = node.take_pushes().into_iter();
    let id = |of: Nonce| (0..=255).find(|&id| nonce(id) == of).unwrap();
    pushes.map(|(_, of, push)| (id(of), push)).collect()
}

fn handed(id: u8, counter: u64) -> (u8, Push) {
    let counter = token(counter);
    (id, Push::Handed { counter })
}

#[test]
fn counters_go_up_and_are_shared_by_names_that_hash_alike() {
    let mut node = voting();
    assert_eq!(acquire(&mut node, "a", 1, 0, 1), granted(101));
    assert_eq!(acquire(&mut node, "b", 2, 0, 1), granted(101));
    assert_eq!(acquire(&mut node, "a", 3, 0, 11), granted(102));
    assert_eq!(acquire(&mut node, "b", 4, 200, 11), granted(200));
    assert_eq!(acquire(&mut node, "a", 5, 150, 21), granted(150));
    let alike = (0..).map(|number| name(&format!("other-{number}")));
    let alike = alike.filter(|other| counter_of(other) == counter_of(&name("a")));
    let alike = alike.clone().next().unwrap();
    assert_eq!(acquire(&mut node, alike.as_str(), 6, 0, 21), granted(151));
    let JoinReply::Inspected(told) = node.inspect(at(21)) else {
        panic!("an inspection");
    };
    assert_eq!(told.mark, token(200));
}

#[test]
fn a_held_key_is_busy_and_ours_is_a_grant() {
    let mut node = voting();
    assert_eq!(acquire(&mut node, "a", 1, 0, 1), granted(101));
    let busy = AcquireReply::Busy {
        free_in: Duration::from_secs(7),
        holder: Holder::Lease(nonce(1)),
    };
    assert_eq!(acquire(&mut node, "a", 2, 0, 4), busy);
    assert_eq!(acquire(&mut node, "a", 1, 0, 5), granted(101));
    let status = node.status(&name("a"), at(5));
    assert_eq!(status.held, [(nonce(1), HOLD)]);
    assert_eq!(status.counter, Some(token(101)));
    assert_eq!(acquire(&mut node, "a", 2, 0, 15), granted(102));
}

#[test]
fn promotes_go_by_the_nonce() {
    let mut node = voting();
    let a = name("a");
    assert_eq!(acquire(&mut node, "a", 1, 0, 1), granted(101));
    let mut promote = |id, to, now| node.promote(run(1), &a, nonce(id), token(to), at(now));
    assert_eq!(promote(1, 120, 2), PromoteReply::At(token(120)));
    assert_eq!(promote(1, 110, 2), PromoteReply::At(token(120)));
    assert_eq!(promote(2, 130, 2), PromoteReply::Gone);
    assert_eq!(promote(1, 130, 11), PromoteReply::Gone);
    assert_eq!(acquire(&mut node, "a", 3, 0, 12), granted(121));
}

#[test]
fn shared_leases_are_never_promoted_to_one_number() {
    let mut node = voting();
    assert_eq!(queue(&mut node, 1, Mode::Shared, 1), granted(101));
    assert_eq!(queue(&mut node, 2, Mode::Shared, 1), granted(102));
    let a = name("a");
    let mut promote = |id, to| node.promote(run(1), &a, nonce(id), token(to), at(2));
    assert_eq!(promote(1, 102), PromoteReply::At(token(103)));
    assert_eq!(promote(2, 103), PromoteReply::At(token(104)));
}

#[test]
fn extends_go_by_the_nonce_and_neither_create_nor_shorten() {
    let mut node = voting();
    let a = name("a");
    let second = Duration::from_secs(1);
    let extend = |node: &mut Node, id, hold, now| node.extend(&a, nonce(id), (0, hold), at(now));
    assert_eq!(extend(&mut node, 1, HOLD, 1), OwnerReply::Gone);
    assert_eq!(node.status(&a, at(1)).held, []);
    assert_eq!(acquire(&mut node, "a", 1, 0, 1), granted(101));
    assert_eq!(extend(&mut node, 2, MAX_TTL, 2), OwnerReply::Gone);
    assert_eq!(extend(&mut node, 1, second, 2), OwnerReply::Done);
    assert_eq!(node.status(&a, at(2)).held, [(nonce(1), second * 9)]);
    assert_eq!(extend(&mut node, 1, HOLD, 5), OwnerReply::Done);
    assert_eq!(node.status(&a, at(5)).held, [(nonce(1), HOLD)]);
    assert_eq!(extend(&mut node, 1, HOLD, 15), OwnerReply::Gone);
}

#[test]
fn releases_go_by_the_nonce() {
    let mut node = voting();
    assert_eq!(acquire(&mut node, "a", 1, 0, 1), granted(101));
    assert_eq!(release(&mut node, 2, 2), OwnerReply::Gone);
    assert_eq!(release(&mut node, 1, 2), OwnerReply::Done);
    assert_eq!(release(&mut node, 1, 2), OwnerReply::Gone);
    assert_eq!(acquire(&mut node, "a", 2, 0, 2), granted(102));
}

#[test]
fn a_release_hands_over_to_the_first_in_line() {
    let mut node = voting();
    assert_eq!(queue(&mut node, 1, Mode::Exclusive, 1), granted(101));
    let lease = Holder::Lease(nonce(1));
    assert_eq!(
        queue(&mut node, 2, Mode::Exclusive, 2),
        queued(1, 0, 9, lease)
    );
    assert_eq!(
        queue(&mut node, 3, Mode::Exclusive, 3),
        queued(2, 1, 8, lease)
    );
    assert_eq!(
        queue(&mut node, 2, Mode::Exclusive, 4),
        queued(1, 0, 7, lease)
    );
    assert_eq!(node.status(&name("a"), at(4)).waiting, [nonce(2), nonce(3)]);
    assert_eq!(release(&mut node, 1, 5), OwnerReply::Done);
    assert_eq!(told(&mut node), [handed(2, 102)]);
    // Claimed by asking again; nobody passes.
    assert_eq!(queue(&mut node, 2, Mode::Exclusive, 6), granted(102));
    let refused = acquire(&mut node, "a", 4, 0, 6);
    assert!(matches!(refused, AcquireReply::Busy { .. }), "{refused:?}");
    // Leaving the line is a release, too.
    assert_eq!(release(&mut node, 3, 7), OwnerReply::Done);
    assert_eq!(release(&mut node, 2, 8), OwnerReply::Done);
    assert_eq!(told(&mut node), []);
}

#[test]
fn what_is_handed_over_lasts_no_longer_than_asked_for_nor_than_the_place() {
    let mut node = voting();
    assert_eq!(queue(&mut node, 1, Mode::Exclusive, 1), granted(101));
    for id in [2, 3] {
        let _ = queue(&mut node, id, Mode::Exclusive, 1);
    }
    assert_eq!(release(&mut node, 1, 2), OwnerReply::Done);
    assert_eq!(node.status(&name("a"), at(2)).held, [(nonce(2), HOLD)]);
    assert_eq!(release(&mut node, 2, 12), OwnerReply::Gone);
    // Nobody released it: whoever asks next sets it in motion.
    assert_eq!(told(&mut node), [handed(2, 102)]);
    let late = queue(&mut node, 4, Mode::Exclusive, 14);
    let lease = Holder::Lease(nonce(3));
    assert_eq!(late, queued(3, 0, 7, lease));
    assert_eq!(told(&mut node), [handed(3, 103)]);
}

#[test]
fn whoever_steps_back_waits_again_and_the_other_goes_first() {
    let mut node = voting();
    assert_eq!(queue(&mut node, 1, Mode::Exclusive, 1), granted(101));
    for id in [2, 3] {
        let _ = queue(&mut node, id, Mode::Exclusive, 1);
    }
    let a = name("a");
    let terms = |up_to| (nonce(3), token(up_to), 1, LINE);
    // A later grant than was meant stays.
    node.step_back(run(1), &a, nonce(1), terms(100), at(2));
    assert_eq!(told(&mut node), []);
    node.step_back(run(1), &a, nonce(1), terms(101), at(2));
    assert_eq!(told(&mut node), [handed(3, 102)]);
    assert_eq!(node.status(&a, at(2)).waiting, [nonce(1), nonce(2)]);
}

#[test]
fn a_crowd_of_readers_is_let_in_together_and_a_writer_after_the_last() {
    let mut node = voting();
    assert_eq!(queue(&mut node, 1, Mode::Exclusive, 1), granted(101));
    for (id, mode) in [(2, Mode::Shared), (3, Mode::Shared), (4, Mode::Exclusive)] {
        let _ = queue(&mut node, id, mode, 1);
    }
    assert_eq!(release(&mut node, 1, 2), OwnerReply::Done);
    assert_eq!(told(&mut node), [handed(2, 102), handed(3, 103)]);
    // Behind a waiting writer a reader waits.
    let late = queue(&mut node, 5, Mode::Shared, 3);
    assert!(
        matches!(late, AcquireReply::Queued { ahead: 1, .. }),
        "{late:?}"
    );
    assert_eq!(release(&mut node, 2, 4), OwnerReply::Done);
    assert_eq!(told(&mut node), []);
    assert_eq!(release(&mut node, 3, 4), OwnerReply::Done);
    assert_eq!(told(&mut node), [handed(4, 104)]);
}

#[test]
fn permits_are_taken_by_slot_and_called_not_handed_over() {
    let two = Mode::permit_of(2).unwrap();
    let mut node = voting();
    let permit = |node: &mut Node, id, slot| {
        let ask = Ask {
            slot,
            ..ask(two, Some(LINE))
        };
        node.acquire(run(1), &name("a"), nonce(id), ask, at(1))
    };
    assert_eq!(permit(&mut node, 1, 0), granted(101));
    let taken = permit(&mut node, 2, 0);
    assert!(matches!(taken, AcquireReply::Queued { .. }), "{taken:?}");
    assert_eq!(told(&mut node), [(2, Push::Free { slot: 1 })]);
    assert_eq!(permit(&mut node, 2, 1), granted(102));
    for slot in [0, 1, 2] {
        let full = permit(&mut node, 3, slot);
        assert!(matches!(full, AcquireReply::Queued { .. }), "{full:?}");
    }
    let three = ask(Mode::permit_of(3).unwrap(), None);
    let clash = node.acquire(run(1), &name("a"), nonce(4), three, at(1));
    assert_eq!(clash, AcquireReply::Clash { permits: 2 });
    assert_eq!(release(&mut node, 1, 2), OwnerReply::Done);
    assert_eq!(told(&mut node), [(3, Push::Free { slot: 0 })]);
    assert_eq!(permit(&mut node, 3, 0), granted(103));
}

#[test]
fn a_stranger_is_waited_for_and_its_key_voids_what_was_granted() {
    let mut node = voting();
    let a = name("a");
    assert!(node.take_plainly(&a, nonce(7), HOLD, at(1)));
    let waits = queue(&mut node, 1, Mode::Exclusive, 2);
    assert!(
        matches!(
            waits,
            AcquireReply::Queued {
                holder: Holder::Foreign(_),
                ..
            }
        ),
        "{waits:?}"
    );
    node.drop_plainly(&a, nonce(7));
    assert_eq!(queue(&mut node, 1, Mode::Exclusive, 3), granted(101));
    // Deleted by hand, and taken by the stranger.
    node.expire_key(&a);
    assert!(node.take_plainly(&a, nonce(7), HOLD, at(4)));
    assert_eq!(release(&mut node, 1, 4), OwnerReply::Gone);
    assert_eq!(node.status(&a, at(4)).held, []);
}

#[test]
fn who_forgot_does_not_vote() {
    let mut node = voting();
    assert_eq!(acquire(&mut node, "a", 1, 0, 1), granted(101));
    let _ = queue(&mut node, 3, Mode::Exclusive, 1);
    let a = name("a");
    // A restart from its own data: the run id is another one.
    let mut restarted = Node::start(run(2), node.snapshot(), at(2));
    let to = token(500);
    let reply = restarted.acquire(run(2), &a, nonce(2), ask(Mode::Exclusive, None), at(2));
    assert_eq!(reply, AcquireReply::NotJoined);
    let reply = restarted.promote(run(2), &a, nonce(1), to, at(2));
    assert_eq!(reply, PromoteReply::NotJoined);
    assert_eq!(restarted.raise(run(2), to), JoinReply::Refused);
    // Extend and release are harmless throughout; nothing is handed over.
    let extended = restarted.extend(&a, nonce(1), (0, HOLD), at(2));
    assert_eq!(extended, OwnerReply::Done);
    let released = restarted.release(run(2), &a, nonce(1), at(2));
    assert_eq!(released, OwnerReply::Done);
    assert_eq!(told(&mut restarted), [(3, Push::Free { slot: 0 })]);
    node.flush();
    assert_eq!(acquire(&mut node, "a", 2, 0, 2), AcquireReply::NotJoined);
}

#[test]
fn what_is_too_much_is_refused() {
    let mut node = voting();
    let hour = Duration::from_secs(3600);
    let a = name("a");
    let long = Ask {
        hold: hour,
        ..ask(Mode::Exclusive, None)
    };
    let reply = node.acquire(run(1), &a, nonce(1), long, at(1));
    assert_eq!(reply, AcquireReply::TooLong { most: MAX_TTL });
    let patient = ask(Mode::Exclusive, Some(hour));
    let reply = node.acquire(run(1), &a, nonce(1), patient, at(1));
    assert_eq!(reply, AcquireReply::TooLong { most: MAX_TTL });
    assert_eq!(node.keep(run(1), hour), JoinReply::Installed);
    assert_eq!(
        node.acquire(run(1), &a, nonce(1), long, at(1)),
        granted(101)
    );
    let last = Token::MAX.get();
    assert_eq!(acquire(&mut node, "b", 1, last, 1), granted(last));
    assert_eq!(
        acquire(&mut node, "b", 2, last, 20),
        AcquireReply::Exhausted
    );
    assert_eq!(node.status(&name("b"), at(20)).held, []);
}
