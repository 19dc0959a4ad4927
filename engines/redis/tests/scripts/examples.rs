//! What the model does not know: breaks, other applications, spoilt keys.

use std::time::Duration;

use leasehold_core::quorum::{AcquireReply, Ask, OwnerReply};
use leasehold_core::{LockName, Mode, Token};
use redis::Value;

use super::remote::{GRACE, OWNER, Remote, nonce, ours, token, why};
use super::scripts::BreakReply;

const HOLD: Duration = Duration::from_secs(60);

fn name() -> LockName {
    LockName::new("a").unwrap()
}

fn ask(line: bool) -> Ask {
    Ask {
        mode: Mode::Exclusive,
        slot: 0,
        hold: HOLD,
        line: line.then_some(HOLD),
        proposal: Token::NONE,
    }
}

fn take(remote: &mut Remote, of: u8, line: bool) -> AcquireReply {
    let run = remote.run.run_id();
    remote
        .acquire(run, &name(), nonce(of), ask(line))
        .unwrap()
        .0
}

fn granted(counter: u64) -> AcquireReply {
    let counter = token(counter);
    AcquireReply::Granted { counter }
}

#[test]
fn the_lock_is_what_every_redlock_client_writes() {
    let mut remote = Remote::joined(token(100));
    assert_eq!(take(&mut remote, 1, false), granted(101));
    let text = nonce(1).to_string();
    assert_eq!(remote.call(&["GET", "a"]), Value::BulkString(text.into()));
    let life = remote.life("a");
    assert!((59_000..=60_000).contains(&life), "{life}");
    let view = remote.status(&name()).unwrap();
    let lease = view.holders[0].lease.clone().unwrap();
    assert_eq!((lease.owner.as_str(), lease.counter), (OWNER, token(101)));
    assert_eq!((lease.grace, lease.ttl), (GRACE, HOLD - GRACE));
    let run = remote.run.run_id();
    let released = remote.release(run, &name(), nonce(1)).unwrap();
    assert_eq!(released, OwnerReply::Done);
    for key in [
        "a".to_owned(),
        ours(&name(), "lease"),
        ours(&name(), "line"),
    ] {
        assert_eq!(remote.life(&key), -2, "{key} is left behind");
    }
}

#[test]
fn a_break_ends_what_it_names_raises_the_counter_and_hands_over() {
    let mut remote = Remote::joined(token(100));
    let run = remote.run.run_id();
    assert_eq!(take(&mut remote, 1, false), granted(101));
    assert!(matches!(
        take(&mut remote, 2, true),
        AcquireReply::Queued { .. }
    ));
    let of = |id| vec![nonce(id).to_string().into_bytes()];
    let broken = remote.break_keys(run, &name(), &of(3), token(500)).unwrap();
    assert_eq!(broken, BreakReply::Gone);
    let broken = remote.break_keys(run, &name(), &of(1), token(500)).unwrap();
    let BreakReply::Broken(Some(counter)) = broken else {
        panic!("{broken:?}")
    };
    assert!(counter >= token(500));
    let view = remote.status(&name()).unwrap();
    assert_eq!(view.last_break, Some(why()));
    let next = view.holders[0].lease.clone().unwrap();
    assert_eq!(next.nonce, nonce(2));
    assert!(next.counter > token(500), "{next:?}");
}

#[test]
fn a_key_of_another_type_is_left_alone() {
    let mut remote = Remote::joined(token(100));
    remote.call(&["HSET", "a", "field", "value"]);
    let run = remote.run.run_id();
    for line in [false, true] {
        let said = remote.acquire(run, &name(), nonce(1), ask(line));
        assert_eq!(said.unwrap_err().code(), Some("WRONGTYPE"));
    }
    assert!(remote.status(&name()).is_err());
    assert_eq!(remote.call(&["HLEN", "a"]), Value::Int(1));
    assert_eq!(remote.life(&ours(&name(), "lease")), -2);
}

#[test]
fn what_is_spoilt_is_named_and_nothing_is_granted() {
    let mut remote = Remote::joined(token(100));
    let run = remote.run.run_id();
    let line = ours(&name(), "line");
    for spoilt in ["x", "", "\u{81}", "\u{93}\u{1}"] {
        remote.call(&["SET", &line, spoilt]);
        let said = remote.acquire(run, &name(), nonce(1), ask(true));
        let said = said.unwrap_err().to_string();
        assert!(said.contains(&line), "{said}");
        assert_eq!(remote.life("a"), -2);
    }
    remote.call(&["DEL", &line]);
    assert_eq!(take(&mut remote, 1, false), granted(101));
    let lease = ours(&name(), "lease");
    remote.call(&["SET", &lease, "nonsense", "KEEPTTL"]);
    let said = remote.acquire(run, &name(), nonce(2), ask(true));
    let said = said.unwrap_err().to_string();
    assert!(said.contains(&lease), "{said}");
}
