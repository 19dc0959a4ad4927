//! Any bytes as a record in a store.

use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use leasehold_core::record::{Break, Grant, Record, View, Waiter};
use leasehold_core::{
    AcquireRequest, Acquired, BreakRequest, ExtendRequest, Lifetime, LockName, Mode, Nonce, Owner,
    SessionId, StoreTime, Token, Ttl,
};

use crate::target::{Opened, Shape, Target};

struct Bytes;

pub(crate) fn open(lanes: usize) -> Result<Vec<Opened>> {
    Ok((0..lanes).map(|_| Box::new(Bytes) as Opened).collect())
}

impl Target for Bytes {
    fn check(&mut self, input: &[u8]) -> Result<Shape, String> {
        let record = match Record::decode(input) {
            Ok(record) => record,
            Err(said) => return Ok(Shape::of_text(&said)),
        };
        if Record::decode(&record.encode()).as_ref() != Ok(&record) {
            return Err(format!("does not come back: {record:?}"));
        }
        works(&record)?;
        Ok(Shape::of((
            record.grants.len(),
            record.waiters.len(),
            record.last_break.is_some(),
        )))
    }

    fn invent(&self, random: &mut Rng) -> Vec<u8> {
        any_record(random).encode()
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[
            b"\"v\":1",
            b"\"v\":2",
            b"\"t\":",
            b"\"f\":",
            b"\"g\":[",
            b"\"w\":[",
            b"\"u\":",
            b"\"e\":",
            b"null",
            b"true",
            b"1e308",
            b"-1",
            b"18446744073709551615",
            b"{}",
            b"[]",
            b"\"\\ud800\"",
            b"\"exclusive\"",
            b"\"shared\"",
        ]
    }
}

/// Whatever is asked of the record, nothing panics, and a grant is above its tokens.
fn works(record: &Record) -> Result<(), String> {
    for now in [0, 1 << 40, u64::MAX] {
        let view = View {
            now: StoreTime::from_micros(now),
            floor: Token::NONE,
            session: None,
            is_dead: &|_| now == 0,
        };
        for mode in [Mode::Exclusive, Mode::Shared] {
            let mut changed = record.clone();
            let request = ask(mode, now.is_power_of_two());
            if let Ok(step) = changed.acquire(&request, &view)
                && let Acquired::Granted(granted) = step.answer
            {
                let own = |grant: &Grant| grant.nonce == request.nonce;
                let known = record.grants.iter().any(own);
                if !known && (granted.token <= record.token || granted.token < record.floor) {
                    return Err(format!("granted {} after {}", granted.token, record.token));
                }
            }
            if changed.token < record.token || changed.floor < record.floor {
                return Err(format!("forgets its token: {record:?} becomes {changed:?}"));
            }
            let nonces = changed.grants.iter().map(|grant| grant.nonce);
            for nonce in nonces.chain([request.nonce]).collect::<Vec<_>>() {
                let (name, ttl) = (request.name.clone(), request.ttl);
                let _ = changed.extend(&ExtendRequest { name, nonce, ttl }, &view);
                let _ = changed.release(nonce, &view);
            }
            let reason = "fuzzing".to_owned();
            let (by, name) = (Owner::new("me"), request.name);
            let order = BreakRequest {
                name,
                by,
                reason,
                unix_seconds: now,
                force: false,
            };
            let _ = changed.break_lock(&order, &view);
            if changed.floor <= record.token && record.token < Token::MAX {
                return Err(format!("a break leaves the floor at {}", changed.floor));
            }
            changed.settle(&view);
            let _ = changed.next_expiry();
            changed.restart_clock(view.now);
        }
        if record.folded_into(Token::NONE) < record.token {
            return Err("folds its token into a smaller one".to_owned());
        }
    }
    Ok(())
}

fn ask(mode: Mode, queue: bool) -> AcquireRequest {
    AcquireRequest {
        name: LockName::new("fuzzed").expect("a name"),
        nonce: Nonce::from_bytes([0xaa; 16]),
        owner: Owner::new("me"),
        mode,
        ttl: Ttl::new(Duration::from_secs(30)).expect("a TTL"),
        grace: Duration::from_secs(1),
        lifetime: Lifetime::Process,
        queue: queue.then_some(Duration::from_secs(1)),
    }
}

/// A record with all there can be in it.
pub(super) fn any_record(random: &mut Rng) -> Record {
    let mut token = || Token::new(random.u64(1..1 << 53)).expect("53 bits");
    let mut tokens = [token(), token(), token()];
    tokens.sort();
    let nonce = |random: &mut Rng| Nonce::from_bytes(random.u128(..).to_ne_bytes());
    let length = |random: &mut Rng| Duration::from_micros(random.u64(..) >> random.u32(..64));
    let time = |random: &mut Rng| StoreTime::from_micros(random.u64(..) >> random.u32(..64));
    let session = |random: &mut Rng| {
        random
            .bool()
            .then(|| SessionId::from_bytes(random.u128(..).to_ne_bytes()))
    };
    let mode = match random.u32(..3) {
        0 => Mode::Exclusive,
        1 => Mode::Shared,
        _ => Mode::permit_of(random.u32(1..9)).expect("not zero"),
    };
    let mut record = Record::new();
    record.floor = tokens[0];
    record.token = tokens[2];
    record.changed = time(random);
    for _ in 0..random.usize(..3) {
        record.grants.push(Grant {
            mode,
            nonce: nonce(random),
            owner: Owner::new("host/7 \"quoted\" ünï"),
            token: tokens[1],
            ttl: length(random),
            grace: length(random),
            session: session(random),
            granted: time(random),
            renewed: time(random),
            unclaimed: random.bool().then(|| length(random)),
        });
    }
    for _ in 0..random.usize(..3) {
        record.waiters.push(Waiter {
            mode,
            nonce: nonce(random),
            owner: Owner::new("w"),
            ttl: length(random),
            grace: length(random),
            session: session(random),
            since: time(random),
            refreshed: time(random),
            interval: length(random),
        });
    }
    if random.bool() {
        record.last_break = Some(Break {
            by: Owner::new("op"),
            reason: "stuck".to_owned(),
            unix_seconds: random.u64(..),
            ended: vec![tokens[1]],
        });
    }
    record
}
