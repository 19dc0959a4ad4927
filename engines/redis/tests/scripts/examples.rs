//! What the model has no words for: foreign keys, wake-ups, rights, extremes.

use std::time::Duration;

use leasehold_core::quorum::{
    AcquireReply, JoinCommand, JoinReply, OwnerReply, PromoteReply, RunId,
};
use leasehold_core::{LockName, Nonce, Token};
use redis::{PubSubCommands, Value};

use super::remote::{OWNER, Remote, keys, nonce, ours, token, why};
use super::scripts::{BreakReply, decode_join};

const HOLD: Duration = Duration::from_secs(60);

fn name(text: &str) -> LockName {
    LockName::new(text).unwrap()
}

fn take(remote: &mut Remote, name: &LockName, nonce: Nonce, proposal: Token) -> AcquireReply {
    let run = remote.run.run_id();
    let said = remote.acquire(run, name, nonce, HOLD, proposal);
    said.unwrap().0
}

#[test]
fn a_plain_redlock_client_meets_us_on_the_key() {
    let mut remote = Remote::joined(token(100));
    let (job, by) = (name("job"), nonce(1));
    take(&mut remote, &job, by, Token::NONE);
    let set = ["SET", "job", "foreign", "NX", "PX", "9000"];
    assert_eq!(remote.call(&set), Value::Nil);
    assert_eq!(
        remote.call(&["GET", "job"]),
        Value::BulkString(by.to_string().into())
    );
    assert_eq!(remote.release(&job, by).unwrap(), OwnerReply::Done);
    assert_eq!(remote.call(&set), Value::Okay);
    let run = remote.run.run_id();
    // A nonce's 32 digits do not make it ours: other clients write such, too.
    for foreign in ["foreign", &nonce(1).to_string(), &"AB".repeat(16)] {
        remote.call(&["SET", "job", foreign, "PX", "9000"]);
        let (said, view) = (remote.acquire(run, &job, nonce(2), HOLD, token(1))).unwrap();
        let AcquireReply::Busy { free_in, holder } = said else {
            panic!("{said:?}")
        };
        assert_eq!(holder, None);
        assert!(free_in <= Duration::from_secs(9), "{free_in:?}");
        let key = view.unwrap().key.unwrap();
        assert_eq!((key.value, key.lease), (foreign.as_bytes().to_vec(), None));
        assert_eq!(remote.status(&job).unwrap().counter, Some(token(101)));
        assert_eq!(remote.release(&job, nonce(2)).unwrap(), OwnerReply::Gone);
        let broken = remote.break_key(run, &job, Some(nonce(2)), token(1));
        assert_eq!(broken.unwrap(), BreakReply::Gone);
    }
    remote.call(&["PERSIST", "job"]);
    let key = remote.status(&job).unwrap().key.unwrap();
    assert_eq!(key.free_in, Duration::MAX);
}

#[test]
fn who_waits_hears_who_holds() {
    let mut remote = Remote::joined(token(100));
    let job = name("job");
    take(&mut remote, &job, nonce(1), Token::NONE);
    let run = remote.run.run_id();
    let (_, view) = (remote.acquire(run, &job, nonce(2), HOLD, Token::NONE)).unwrap();
    let view = view.unwrap();
    assert_eq!(view.counter, Some(token(101)));
    let lease = view.key.unwrap().lease.unwrap();
    assert_eq!((lease.nonce, lease.owner.as_str()), (nonce(1), OWNER));
    assert_eq!(lease.ttl + lease.grace, HOLD);
    assert!(lease.held_for < HOLD);
}

#[test]
fn a_release_and_a_break_wake_the_waiters() {
    let mut remote = Remote::joined(token(100));
    let job = name("job");
    let keys = keys(&job);
    let run = remote.run.run_id();
    let mut listener = remote.server.connect();
    take(&mut remote, &job, nonce(1), Token::NONE);
    // Subscribed once the first message is there; until then it is published again.
    let wake = keys.wake().to_owned();
    let listening = std::thread::spawn(move || {
        let mut heard = Vec::new();
        let ended = listener.subscribe(&[wake], |message| {
            match message.get_payload::<String>().unwrap() {
                probe if probe == "probe" => {}
                payload => heard.push(payload),
            }
            match heard.len() {
                2 => redis::ControlFlow::Break(()),
                _ => redis::ControlFlow::Continue,
            }
        });
        ended.map(|()| heard)
    });
    super::support::until("the listener has subscribed", || {
        remote.call(&["PUBLISH", keys.wake(), "probe"]) == Value::Int(1)
    });
    let broken = remote.break_key(run, &job, Some(nonce(1)), token(500));
    assert_eq!(broken.unwrap(), BreakReply::Broken(Some(token(500))));
    take(&mut remote, &job, nonce(2), Token::NONE);
    assert_eq!(remote.release(&job, nonce(2)).unwrap(), OwnerReply::Done);
    let heard = listening.join().unwrap().unwrap();
    assert_eq!(heard, [nonce(1).to_string(), nonce(2).to_string()]);
}

#[test]
fn a_node_that_does_not_vote_is_broken_without_a_count() {
    let mut remote = Remote::joined(token(100));
    let job = name("job");
    take(&mut remote, &job, nonce(1), Token::NONE);
    let before = remote.join(JoinCommand::Recall, None);
    let astray = RunId::from_bytes([7; 20]);
    let broken = remote.break_key(astray, &job, Some(nonce(1)), token(500));
    assert_eq!(broken.unwrap(), BreakReply::Broken(None));
    assert_eq!(remote.life("job"), -2);
    assert_eq!(remote.status(&job).unwrap().counter, Some(token(101)));
    let after = remote.join(JoinCommand::Recall, None);
    let mark = |said| match said {
        JoinReply::Recalled(said) => said.mark,
        other => panic!("{other:?}"),
    };
    assert_eq!(mark(before), mark(after));
}

#[test]
fn a_notice_of_an_earlier_run_is_written_anew() {
    let mut remote = Remote::start(HOLD);
    for ticket in [nonce(1), nonce(2)] {
        for asked in [ticket, nonce(3)] {
            let said = remote.join(JoinCommand::Notice { ticket: asked }, None);
            assert!(matches!(said, JoinReply::Noticed { ticket: t, .. } if t == ticket));
        }
        remote.call(&["SAVE"]);
        remote.server.restart();
        remote.reconnect();
    }
}

#[test]
fn a_break_is_remembered_and_one_of_a_free_lock_counts() {
    let mut remote = Remote::joined(token(100));
    let (job, run) = (name("job"), remote.run.run_id());
    assert_eq!(remote.status(&job).unwrap().last_break, None);
    let broken = remote.break_key(run, &job, None, token(200)).unwrap();
    assert_eq!(broken, BreakReply::Broken(Some(token(200))));
    let said = take(&mut remote, &job, nonce(1), Token::NONE);
    let counter = token(201);
    assert!(matches!(said, AcquireReply::Granted { counter: c, .. } if c == counter));
    let view = remote.status(&job).unwrap();
    assert_eq!(view.last_break, Some(why()));
    assert!(
        remote.life(&ours(&job, "break")) > 0,
        "it runs out with the counter"
    );
    assert!(view.key.unwrap().lease.is_some());
    // It is not free now, and a foreign key without a value is not free either.
    let broken = remote.break_key(run, &job, None, token(300)).unwrap();
    assert_eq!(broken, BreakReply::Gone);
    remote.call(&["SET", "job", ""]);
    let broken = remote.break_key(run, &job, None, token(300)).unwrap();
    assert_eq!(broken, BreakReply::Gone);
    assert_eq!(remote.life("job"), -1);
    assert_eq!(remote.status(&job).unwrap().counter, Some(counter));
}

#[test]
fn counters_are_exact_to_the_last() {
    let max = Token::MAX.get();
    let mut remote = Remote::joined(token(max - 3));
    let run = remote.run.run_id();
    for (job, counter) in [("a", max - 2), ("b", max - 1), ("c", max)] {
        let said = take(&mut remote, &name(job), nonce(1), Token::NONE);
        let counter = token(counter);
        let high = counter;
        assert_eq!(said, AcquireReply::Granted { counter, high });
        assert_eq!(remote.status(&name(job)).unwrap().counter, Some(counter));
    }
    let said = take(&mut remote, &name("d"), nonce(1), Token::NONE);
    assert_eq!(said, AcquireReply::Exhausted);
    for key in ["d", &ours(&name("d"), "fence"), &ours(&name("d"), "lease")] {
        assert_eq!(remote.life(key), -2, "{key}");
    }
    let said = remote.promote(run, &name("a"), nonce(1), Token::MAX);
    assert_eq!(said.unwrap(), PromoteReply::At(Token::MAX));
    let JoinReply::Recalled(said) = remote.join(JoinCommand::Recall, None) else {
        panic!()
    };
    assert_eq!(said.mark, Token::MAX);
}

#[test]
fn our_own_keys_of_another_type_leave_nothing_held() {
    let mut remote = Remote::joined(token(1));
    let job = name("job");
    let run = remote.run.run_id();
    remote.call(&["SET", &ours(&job, "lease"), "not a hash"]);
    let said = remote.acquire(run, &job, nonce(1), HOLD, Token::NONE);
    assert!(said.unwrap_err().to_string().contains("WRONGTYPE"));
    assert_eq!(remote.life("job"), -2);
}

#[test]
fn without_the_right_to_publish_a_release_still_releases() {
    let mut remote = Remote::joined(token(1));
    let job = name("job");
    let acl = [
        "ACL",
        "SETUSER",
        "u",
        "on",
        ">p",
        "~*",
        "resetchannels",
        "+@all",
    ];
    assert_eq!(remote.call(&acl), Value::Okay);
    assert_eq!(remote.call(&["AUTH", "u", "p"]), Value::Okay);
    take(&mut remote, &job, nonce(1), Token::NONE);
    assert_eq!(remote.release(&job, nonce(1)).unwrap(), OwnerReply::Done);
    assert_eq!(remote.life("job"), -2);
}

#[test]
fn the_rights_told_are_enough() {
    let mut remote = Remote::start(HOLD);
    let mut acl = vec![
        "ACL",
        "SETUSER",
        "u",
        "on",
        ">p",
        "resetchannels",
        "&leasehold:*",
    ];
    acl.extend(["~leasehold:*", "~job", "-@all", "+script|load"]);
    let rights = "evalsha info time get mget set del pttl pexpire hmget hset hdel publish";
    let rights: Vec<_> = rights.split(' ').map(|right| format!("+{right}")).collect();
    acl.extend(rights.iter().map(String::as_str));
    assert_eq!(remote.call(&acl), Value::Okay);
    assert_eq!(remote.call(&["AUTH", "u", "p"]), Value::Okay);
    let (job, run) = (name("job"), remote.run.run_id());
    assert!(matches!(
        remote.join(JoinCommand::Inspect, None),
        JoinReply::Inspected(_)
    ));
    remote.join_at(token(5), HOLD);
    remote.load();
    let max_ttl = HOLD;
    for command in [
        JoinCommand::Keep { max_ttl },
        JoinCommand::Raise { to: token(9) },
    ] {
        assert_ne!(remote.join(command, None), JoinReply::Refused);
    }
    assert!(matches!(
        remote.join(JoinCommand::Recall, None),
        JoinReply::Recalled(_)
    ));
    for _ in 0..2 {
        take(&mut remote, &job, nonce(1), Token::NONE);
        assert!(matches!(
            take(&mut remote, &job, nonce(2), Token::NONE),
            AcquireReply::Busy { .. }
        ));
        remote.promote(run, &job, nonce(1), token(20)).unwrap();
        assert_eq!(
            remote.extend(&job, nonce(1), HOLD * 2).unwrap(),
            OwnerReply::Done
        );
        assert!(remote.status(&job).unwrap().key.is_some());
        assert_eq!(remote.release(&job, nonce(1)).unwrap(), OwnerReply::Done);
    }
    take(&mut remote, &job, nonce(3), Token::NONE);
    let broken = remote
        .break_key(run, &job, Some(nonce(3)), token(30))
        .unwrap();
    assert_eq!(broken, BreakReply::Broken(Some(token(30))));
}

#[test]
fn a_server_that_lost_keys_while_running_says_so() {
    for disturb in [
        &["FLUSHALL"][..],
        &["FLUSHDB"],
        &["SWAPDB", "0", "1"],
        &["REPLICAOF", "NO", "ONE"],
        &["CONFIG", "RESETSTAT"],
    ] {
        let mut remote = Remote::start(HOLD);
        assert!(!remote.info().disturbed);
        remote.call(disturb);
        assert!(remote.info().disturbed, "{disturb:?}");
    }
}

#[test]
fn a_join_notices_that_it_talks_to_another_server() {
    let mut one = Remote::start(HOLD);
    let other = Remote::start(HOLD);
    for command in [
        JoinCommand::Inspect,
        JoinCommand::Notice { ticket: nonce(1) },
    ] {
        let said = one.ask_all(&one.scripts.join(command, &other.run));
        assert!(decode_join(command, &other.run, &said).is_err());
    }
}
