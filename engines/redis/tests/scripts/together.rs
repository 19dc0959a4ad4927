//! Several locks in one call: who is left alone, and that nobody suffers for another.

use std::time::Duration;

use leasehold_core::quorum::{AcquireReply, Ask, OwnerReply, counter_of};
use leasehold_core::{LockName, Mode, Nonce, Token};

use super::remote::{Remote, nonce, ours, token};

const TERMS: (Duration, Option<Duration>) = (Duration::from_secs(60), Some(Duration::from_secs(3)));

fn name(text: &str) -> LockName {
    LockName::new(text).unwrap()
}

fn granted(counter: u64) -> Option<AcquireReply> {
    let counter = token(counter);
    Some(AcquireReply::Granted { counter })
}

fn wanted(text: &str, of: u8) -> (LockName, Nonce, Token) {
    (name(text), nonce(of), Token::NONE)
}

fn take(remote: &mut Remote, names: &[&str]) -> Vec<Option<AcquireReply>> {
    let run = remote.run.run_id();
    let locks: Vec<_> = names.iter().map(|text| wanted(text, 1)).collect();
    remote.acquire_many(run, TERMS, &locks).unwrap()
}

/// Another name that shares the counter of this one.
fn sibling(of: &str) -> String {
    let same = |text: &String| text != of && counter_of(&name(text)) == counter_of(&name(of));
    let mut names = (0..).map(|number| format!("n{number}"));
    names.find(same).unwrap()
}

#[test]
fn locks_are_taken_and_given_back_together() {
    let mut remote = Remote::joined(token(100));
    assert_eq!(take(&mut remote, &["a", "b"]), [granted(101), granted(101)]);
    for text in ["a", "b"] {
        let view = remote.status(&name(text)).unwrap();
        let lease = view.holders[0].lease.clone().unwrap();
        assert_eq!((lease.counter, lease.nonce), (token(101), nonce(1)));
        assert!((59_000..=60_000).contains(&remote.life(text)));
    }
    let both = [(name("a"), nonce(1)), (name("b"), nonce(1))];
    let long = Duration::from_secs(90);
    let done = Some(OwnerReply::Done);
    assert_eq!(remote.extend_many(long, &both).unwrap(), [done, done]);
    assert!(remote.life("b") > 80_000 && remote.life(&ours(&name("b"), "lease")) > 80_000);
    // Never shorter.
    remote.extend_many(TERMS.0, &both).unwrap();
    assert!(remote.life("b") > 80_000);
    let other = [(name("a"), nonce(2)), (name("b"), nonce(1))];
    let gone = Some(OwnerReply::Gone);
    assert_eq!(remote.release_many(&other).unwrap(), [gone, done]);
    let twice = [(name("a"), nonce(1)), (name("a"), nonce(1))];
    assert_eq!(remote.release_many(&twice).unwrap(), [done, gone]);
    for text in ["a", "b"] {
        assert_eq!(remote.life(text), -2);
        assert_eq!(remote.life(&ours(&name(text), "lease")), -2);
    }
}

#[test]
fn one_that_is_held_or_waited_for_or_of_another_type_is_left_alone() {
    let mut remote = Remote::joined(token(100));
    remote.call(&["SET", "foreign", "somebody", "PX", "60000"]);
    remote.call(&["HSET", "hash", "field", "value"]);
    let run = remote.run.run_id();
    for (of, line) in [(2, None), (3, Some(TERMS.0))] {
        let ask = Ask {
            mode: Mode::Exclusive,
            slot: 0,
            hold: TERMS.0,
            line,
            proposal: Token::NONE,
        };
        remote.acquire(run, &name("line"), nonce(of), ask).unwrap();
    }
    let said = take(&mut remote, &["foreign", "a", "hash", "line"]);
    assert_eq!(said, [None, granted(101), None, None]);
    assert_eq!(remote.life(&ours(&name("foreign"), "lease")), -2);
    assert_eq!(remote.life(&ours(&name("hash"), "lease")), -2);
    // The holder of a lock that somebody waits for has to hand it over.
    let both = [(name("line"), nonce(2)), (name("a"), nonce(1))];
    let said = remote.release_many(&both).unwrap();
    assert_eq!(said, [None, Some(OwnerReply::Done)]);
    assert_eq!(remote.status(&name("line")).unwrap().waiters.len(), 1);
}

#[test]
fn of_one_counter_only_the_first_is_taken() {
    let mut remote = Remote::joined(token(100));
    let other = sibling("a");
    let said = take(&mut remote, &["a", &other, "a"]);
    assert_eq!(said, [granted(101), None, None]);
    assert_eq!(remote.life(&other), -2);
    assert_eq!(take(&mut remote, &[&other]), [granted(102)]);
}

#[test]
fn nothing_is_done_by_a_node_that_does_not_vote_or_for_too_long() {
    let mut remote = Remote::joined(token(100));
    let locks = [wanted("a", 1), wanted("b", 1)];
    let astray = leasehold_core::quorum::RunId::from_bytes([7; 20]);
    let said = remote.acquire_many(astray, TERMS, &locks).unwrap();
    let not_joined = Some(AcquireReply::NotJoined);
    assert_eq!(said, [not_joined, not_joined]);
    let run = remote.run.run_id();
    let (short, long) = (TERMS.0, Duration::from_secs(101));
    for terms in [(long, None), (short, Some(long))] {
        assert_eq!(
            remote.acquire_many(run, terms, &locks).unwrap(),
            [None, None]
        );
    }
    assert_eq!((remote.life("a"), remote.life("b")), (-2, -2));
    // Used up for one, and not for the other.
    let last = Token::MAX;
    let locks = [(name("a"), nonce(1), last), wanted("b", 1)];
    let said = remote.acquire_many(run, TERMS, &locks).unwrap();
    assert_eq!(said, [granted(last.get()), granted(101)]);
    remote.release_many(&[(name("a"), nonce(1))]).unwrap();
    assert_eq!(take(&mut remote, &["a", "c"]), [None, granted(101)]);
}
