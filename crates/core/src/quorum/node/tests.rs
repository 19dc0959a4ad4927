//! The node's side, by example.

use std::time::Duration;

use super::*;
use crate::{LockName, Nonce, StoreTime, Token};

const HOLD: Duration = Duration::from_secs(10);
const MAX_TTL: Duration = Duration::from_secs(30);

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

/// A node that votes, with floor 100, and keeps counters for an hour.
fn voting() -> Node {
    let mut node = Node::start(run(1), Data::default(), HOLD * 360, at(0));
    let _ = node.notice(run(1), nonce(0), at(0));
    let installed = node.install(run(1), nonce(0), token(100), MAX_TTL, at(0));
    assert_eq!(installed, JoinReply::Installed);
    node
}

fn acquire(node: &mut Node, text: &str, id: u8, proposal: u64, now: u64) -> AcquireReply {
    node.acquire(
        run(1),
        &name(text),
        nonce(id),
        HOLD,
        token(proposal),
        at(now),
    )
}

fn granted(counter: u64, high: u64) -> AcquireReply {
    AcquireReply::Granted {
        counter: token(counter),
        high: token(high),
    }
}

#[test]
fn counters_go_up_by_name_and_a_new_name_starts_above_all() {
    let mut node = voting();
    assert_eq!(acquire(&mut node, "a", 1, 0, 1), granted(101, 101));
    assert_eq!(acquire(&mut node, "b", 2, 0, 1), granted(102, 102));
    assert_eq!(acquire(&mut node, "a", 3, 0, 11), granted(102, 102));
    assert_eq!(acquire(&mut node, "b", 4, 200, 11), granted(200, 200));
    assert_eq!(acquire(&mut node, "a", 5, 150, 21), granted(150, 200));
    assert_eq!(acquire(&mut node, "c", 6, 0, 21), granted(201, 201));
}

#[test]
fn a_counter_that_ran_out_is_replaced_by_a_greater_one() {
    let mut node = voting();
    assert_eq!(acquire(&mut node, "a", 1, 0, 1), granted(101, 101));
    assert_eq!(acquire(&mut node, "b", 2, 150, 2), granted(150, 150));
    // An hour later both are gone from the tables; `high` has them.
    assert_eq!(acquire(&mut node, "a", 3, 0, 3700), granted(151, 151));
    node.expire_fence(&name("a"));
    node.expire_key(&name("a"));
    assert_eq!(acquire(&mut node, "a", 4, 0, 3701), granted(152, 152));
}

#[test]
fn a_held_key_is_busy_and_ours_is_a_grant() {
    let mut node = voting();
    assert_eq!(acquire(&mut node, "a", 1, 0, 1), granted(101, 101));
    let busy = AcquireReply::Busy {
        free_in: Duration::from_secs(7),
        holder: Some(nonce(1)),
    };
    assert_eq!(acquire(&mut node, "a", 2, 0, 4), busy);
    assert_eq!(acquire(&mut node, "a", 1, 500, 5), granted(101, 101));
    let status = node.status(&name("a"), at(5));
    assert_eq!(status.held, Some((nonce(1), HOLD)));
    assert_eq!(status.counter, Some(token(101)));
    assert_eq!(acquire(&mut node, "a", 2, 0, 15), granted(102, 102));
}

#[test]
fn promotes_go_by_the_nonce() {
    let mut node = voting();
    let a = name("a");
    assert_eq!(acquire(&mut node, "a", 1, 0, 1), granted(101, 101));
    let promote = |node: &mut Node, id, to, now| node.promote(run(1), &a, nonce(id), to, at(now));
    assert_eq!(
        promote(&mut node, 1, token(120), 2),
        PromoteReply::At(token(120))
    );
    assert_eq!(
        promote(&mut node, 1, token(110), 2),
        PromoteReply::At(token(120))
    );
    assert_eq!(promote(&mut node, 2, token(130), 2), PromoteReply::Gone);
    assert_eq!(promote(&mut node, 1, token(130), 11), PromoteReply::Gone);
    assert_eq!(acquire(&mut node, "b", 3, 0, 12), granted(121, 121));
}

#[test]
fn extends_go_by_the_nonce_and_neither_create_nor_shorten() {
    let mut node = voting();
    let a = name("a");
    let hour = Duration::from_secs(3600);
    assert_eq!(node.extend(&a, nonce(1), HOLD, at(1)), OwnerReply::Gone);
    assert_eq!(node.status(&a, at(1)).held, None);
    assert_eq!(acquire(&mut node, "a", 1, 0, 1), granted(101, 101));
    assert_eq!(node.extend(&a, nonce(2), hour, at(2)), OwnerReply::Gone);
    let second = Duration::from_secs(1);
    assert_eq!(node.extend(&a, nonce(1), second, at(2)), OwnerReply::Done);
    assert_eq!(node.status(&a, at(2)).held, Some((nonce(1), second * 9)));
    assert_eq!(node.extend(&a, nonce(1), HOLD, at(5)), OwnerReply::Done);
    assert_eq!(node.status(&a, at(5)).held, Some((nonce(1), HOLD)));
    assert_eq!(node.extend(&a, nonce(1), HOLD, at(15)), OwnerReply::Gone);
}

#[test]
fn releases_go_by_the_nonce() {
    let mut node = voting();
    let a = name("a");
    assert_eq!(acquire(&mut node, "a", 1, 0, 1), granted(101, 101));
    assert_eq!(node.release(&a, nonce(2), at(2)), OwnerReply::Gone);
    assert_eq!(node.release(&a, nonce(1), at(2)), OwnerReply::Done);
    assert_eq!(node.release(&a, nonce(1), at(2)), OwnerReply::Gone);
    assert_eq!(acquire(&mut node, "a", 2, 0, 2), granted(102, 102));
}

#[test]
fn who_forgot_does_not_vote() {
    let mut node = voting();
    assert_eq!(acquire(&mut node, "a", 1, 0, 1), granted(101, 101));
    let a = name("a");
    // A restart from its own data: the run id is another one.
    let mut restarted = Node::start(run(2), node.snapshot(), HOLD, at(2));
    let to = token(500);
    let reply = restarted.acquire(run(2), &a, nonce(2), HOLD, to, at(2));
    assert_eq!(reply, AcquireReply::NotJoined);
    let reply = restarted.promote(run(2), &a, nonce(1), to, at(2));
    assert_eq!(reply, PromoteReply::NotJoined);
    assert_eq!(restarted.raise(run(2), to), JoinReply::Refused);
    // Extend and release are harmless throughout.
    assert_eq!(
        restarted.extend(&a, nonce(1), HOLD, at(2)),
        OwnerReply::Done
    );
    assert_eq!(restarted.release(&a, nonce(1), at(2)), OwnerReply::Done);
    node.flush();
    assert_eq!(acquire(&mut node, "a", 2, 0, 2), AcquireReply::NotJoined);
}

#[test]
fn what_is_too_much_is_refused() {
    let mut node = voting();
    let hour = Duration::from_secs(3600);
    let reply = node.acquire(run(1), &name("a"), nonce(1), hour, token(1), at(1));
    assert_eq!(reply, AcquireReply::TooLong { most: MAX_TTL });
    assert_eq!(node.keep(run(1), hour), JoinReply::Installed);
    let reply = node.acquire(run(1), &name("a"), nonce(1), hour, token(1), at(1));
    assert_eq!(reply, granted(101, 101));
    let last = Token::MAX.get();
    assert_eq!(acquire(&mut node, "b", 1, last, 1), granted(last, last));
    assert_eq!(acquire(&mut node, "c", 1, last, 1), AcquireReply::Exhausted);
    assert_eq!(node.status(&name("c"), at(1)).held, None);
}
