//! Histories for tests, in milliseconds.

use crate::history::{Band, Call, Record, Scope, WriteTo};
use crate::protocol::{Answer, Event, Happening, Kind, Outcome, What};

/// Writes a history down.
#[derive(Default)]
pub(crate) struct Sample {
    pub(crate) records: Vec<Record>,
    next: u64,
}

pub(crate) const TTL: u64 = 1_000;

impl Sample {
    /// A call of client `client`, asked and sent at `sent` and answered at `got`.
    pub(crate) fn call(
        &mut self,
        client: u32,
        what: What,
        sent: u64,
        answer: Option<Answer>,
    ) -> u64 {
        self.next += 1;
        let id = self.next;
        let ended_us = answer.as_ref().map_or(sent * 1_000, |answer| answer.got_us);
        self.records.push(Record::Call(Call {
            id,
            client,
            process: client,
            what,
            asked_us: sent * 1_000,
            ended_us,
            answer: answer.map(|answer| Answer { id, ..answer }),
        }));
        id
    }

    pub(crate) fn acquire(
        &mut self,
        client: u32,
        kind: Kind,
        sent: u64,
        ended: u64,
        ok: Outcome,
        token: Option<u64>,
    ) -> u64 {
        let what = What::Acquire {
            client: 0,
            name: "x".into(),
            ttl_ms: TTL,
            wait_ms: 5_000,
            mode: kind,
            renew: false,
            cancel_after_ms: None,
        };
        let mut said = answer(ok, sent, ended);
        said.token = token;
        #[allow(clippy::cast_precision_loss)]
        let valid = (sent + TTL).saturating_sub(ended) as f64;
        said.valid_ms = (ok == Outcome::Granted).then_some(valid);
        self.call(client, what, sent, Some(said))
    }

    /// An exclusive grant, valid for one TTL from `sent` on.
    pub(crate) fn grant(&mut self, client: u32, token: u64, sent: u64, got: u64) -> u64 {
        self.acquire(
            client,
            Kind::Exclusive,
            sent,
            got,
            Outcome::Granted,
            Some(token),
        )
    }

    pub(crate) fn release(&mut self, client: u32, lease: u64, sent: u64, ok: Outcome) {
        self.call(
            client,
            What::Release { lease },
            sent,
            Some(answer(ok, sent, sent + 1)),
        );
    }

    pub(crate) fn used(&mut self, client: u32, lease: u64, sent: u64, got: u64) {
        let pause_ms = got - sent;
        self.call(
            client,
            What::Use { lease, pause_ms },
            sent,
            Some(answer(Outcome::Used, sent, got)),
        );
    }

    pub(crate) fn extend(&mut self, client: u32, lease: u64, sent: u64, got: u64) {
        let mut said = answer(Outcome::Extended, sent, got);
        #[allow(clippy::cast_precision_loss)]
        let valid = (sent + TTL - got) as f64;
        said.valid_ms = Some(valid);
        self.call(
            client,
            What::Extend { lease, ttl_ms: TTL },
            sent,
            Some(said),
        );
    }

    pub(crate) fn write(&mut self, lease: u64, token: u64, at: u64, accepted: bool) {
        self.records.push(Record::Write(WriteTo {
            lease,
            name: "x".into(),
            token: Some(token),
            at_us: at * 1_000,
            accepted: Some(accepted),
        }));
    }

    pub(crate) fn lost(&mut self, lease: u64, at: u64) {
        let event = Event {
            event: Happening::Lost,
            lease,
            at_us: at * 1_000,
            valid_ms: None,
        };
        self.records.push(Record::Event { process: 0, event });
    }

    pub(crate) fn band(&mut self, scope: Scope, voids: bool, from: u64, to: u64) {
        self.records.push(Record::Fault(Band {
            kind: "fault".into(),
            target: "server 1".into(),
            scope,
            voids,
            from_us: from * 1_000,
            to_us: to * 1_000,
            tail_us: 0,
            processes: Vec::new(),
        }));
    }
}

pub(crate) fn answer(ok: Outcome, sent: u64, got: u64) -> Answer {
    Answer {
        id: 0,
        ok,
        token: None,
        valid_ms: None,
        sent_us: sent * 1_000,
        got_us: got * 1_000,
        text: None,
    }
}
