//! The driver settles what the store leaves open.

use std::time::Duration;

use leasehold_core::{
    AcquireRequest, Acquired, BreakRequest, Engine, EngineUrl, Error, ExtendRequest, Extended,
    Lifetime, LockName, Mode, Nonce, Released, Token, Ttl,
};
use leasehold_memory::{Clock, Fault, ManualClock, MemoryEngine, MemoryStore};
use pollster::block_on;

const UNSURE: [Fault; 4] = [
    Fault::AnswerLost,
    Fault::RequestLost,
    Fault::Late,
    Fault::Conflict,
];

fn request(id: u8) -> AcquireRequest {
    AcquireRequest {
        name: LockName::new("x").unwrap(),
        nonce: Nonce::from_bytes([id; 16]),
        owner: "test".into(),
        mode: Mode::Exclusive,
        ttl: Ttl::new(Duration::from_secs(10)).unwrap(),
        grace: Duration::from_secs(1),
        lifetime: Lifetime::Process,
        queue: None,
    }
}

fn queueing(id: u8) -> AcquireRequest {
    AcquireRequest {
        queue: Some(Duration::from_secs(5)),
        ..request(id)
    }
}

fn token(answer: Result<Acquired, Error>) -> u64 {
    match answer.unwrap() {
        Acquired::Granted(granted) => granted.token.get(),
        other => panic!("{other:?}"),
    }
}

fn fresh() -> MemoryEngine {
    MemoryStore::with_clock(Clock::Manual(ManualClock::new())).client()
}

#[test]
fn an_acquire_is_granted_once_whatever_went_wrong() {
    for fault in UNSURE {
        let engine = fresh();
        engine.inject([fault]);
        assert_eq!(token(block_on(engine.acquire(&request(1)))), 1, "{fault:?}");
        let status = block_on(engine.inspect(&request(1).name)).unwrap();
        assert_eq!(status.holders.len(), 1, "{fault:?}");
        assert_eq!(status.token.get(), 1, "{fault:?}");
    }
}

#[test]
fn an_extend_and_a_release_are_settled() {
    for fault in UNSURE {
        let engine = fresh();
        let one = request(1);
        token(block_on(engine.acquire(&one)));
        let extend = ExtendRequest {
            name: one.name.clone(),
            nonce: one.nonce,
            ttl: one.ttl,
        };
        engine.inject([fault]);
        assert_eq!(
            block_on(engine.extend(&extend)).unwrap(),
            Extended::Extended,
            "{fault:?}"
        );
        engine.inject([fault]);
        assert_eq!(
            block_on(engine.release(&one.name, one.nonce)).unwrap(),
            Released::Released,
            "{fault:?}"
        );
        assert_eq!(token(block_on(engine.acquire(&request(2)))), 2, "{fault:?}");
    }
}

#[test]
fn two_unknown_outcomes_in_a_row_are_indeterminate_and_released() {
    for faults in [
        [Fault::AnswerLost, Fault::RequestLost],
        [Fault::RequestLost, Fault::RequestLost],
        [Fault::RequestLost, Fault::AnswerLost],
        [Fault::RequestLost, Fault::Late],
    ] {
        let engine = fresh();
        engine.inject(faults);
        match block_on(engine.acquire(&request(1))) {
            // The read back found the first swap carried out.
            Ok(Acquired::Granted(_)) => {}
            Err(error) => assert!(error.may_be_held(), "{error}"),
            other => panic!("{other:?}"),
        }
        block_on(engine.release(&request(1).name, request(1).nonce)).unwrap();
        token(block_on(engine.acquire(&request(2))));
    }
}

#[test]
fn a_late_swap_never_undoes_a_later_one() {
    let engine = fresh();
    engine.inject([Fault::Late, Fault::RequestLost]);
    assert!(
        block_on(engine.acquire(&request(1)))
            .unwrap_err()
            .may_be_held()
    );
    let other = engine.client();
    // The late swap comes first; so the other finds the lock busy.
    assert!(matches!(
        block_on(other.acquire(&request(2))),
        Ok(Acquired::Busy(_))
    ));
    block_on(engine.release(&request(1).name, request(1).nonce)).unwrap();
    assert_eq!(token(block_on(other.acquire(&request(2)))), 2);
}

#[test]
fn a_break_of_unknown_outcome_spares_the_next_holder() {
    let engine = fresh();
    let other = engine.client();
    token(block_on(engine.acquire(&request(1))));
    assert!(matches!(
        block_on(other.acquire(&queueing(2))),
        Ok(Acquired::Queued(_))
    ));
    engine.inject([Fault::AnswerLost]);
    let asked = BreakRequest {
        name: request(1).name,
        by: "op".into(),
        reason: "stuck".into(),
        unix_seconds: 7,
        force: false,
    };
    if let Err(error) = block_on(engine.break_lock(&asked)) {
        assert!(error.may_be_held(), "{error}");
    }
    let status = block_on(engine.inspect(&asked.name)).unwrap();
    assert_eq!(status.holders.len(), 1, "{status:?}");
    assert_eq!(status.holders[0].nonce, request(2).nonce);
    assert_eq!(
        status.last_break.unwrap().ended,
        [Token::new(1).unwrap()],
        "the record of the break names what it ended"
    );
    token(block_on(other.acquire(&queueing(2))));
}

#[test]
fn a_killed_client_holds_nothing_and_its_waiter_is_told() {
    let engine = fresh();
    let other = engine.client();
    token(block_on(engine.acquire(&request(1))));
    assert!(matches!(
        block_on(other.acquire(&queueing(2))),
        Ok(Acquired::Queued(_))
    ));
    engine.kill();
    block_on(other.hint(&request(2).name, request(2).nonce));
    assert_eq!(token(block_on(other.acquire(&queueing(2)))), 2);
    assert!(matches!(
        block_on(engine.acquire(&request(3))),
        Err(Error::Unavailable { .. })
    ));
}

#[test]
fn urls_name_stores() {
    let open = |url: &str| MemoryEngine::from_url(EngineUrl::parse(url).unwrap());
    let (fresh, a, again) = (
        open("memory:").unwrap(),
        open("memory:urls").unwrap(),
        open("memory:urls").unwrap(),
    );
    assert_eq!(token(block_on(a.acquire(&request(1)))), 1);
    assert!(matches!(
        block_on(again.acquire(&request(2))),
        Ok(Acquired::Busy(_))
    ));
    assert_eq!(token(block_on(fresh.acquire(&request(3)))), 1);
    for bad in ["memory:?colour=red", "local:x"] {
        assert!(matches!(open(bad), Err(Error::Invalid { .. })), "{bad}");
    }
}

#[test]
fn time_by_hand_ends_a_lease() {
    let clock = ManualClock::new();
    let engine = MemoryStore::with_clock(Clock::Manual(clock.clone())).client();
    token(block_on(engine.acquire(&request(1))));
    clock.advance(Duration::from_secs(11));
    assert!(matches!(
        block_on(engine.acquire(&request(2))),
        Ok(Acquired::Busy(_))
    ));
    clock.advance(Duration::from_micros(1));
    assert_eq!(token(block_on(engine.acquire(&request(2)))), 2);
}
