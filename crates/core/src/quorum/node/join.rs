//! The steps of a join, on the node's side.

use std::time::Duration;

use super::super::mutation::{Mutation, made};
use super::super::{Inspection, JoinReply, Recalled, RunId};
use super::{Node, Notice, Record, joined};
use crate::{Nonce, StoreTime, Token};

impl Node {
    /// Join, step 1: what the server says of itself. Changes nothing.
    #[must_use]
    pub fn inspect(&self, now: StoreTime) -> JoinReply {
        JoinReply::Inspected(self.inspection(now))
    }

    /// Join, step 2: writes down that the loss was noticed, unless it is written
    /// already, and says when and under which ticket.
    pub fn notice(&mut self, run_id: RunId, ticket: Nonce, now: StoreTime) -> JoinReply {
        let fresh = Notice {
            run_id,
            ticket,
            at: now,
        };
        let known = self.data.notice.filter(|notice| notice.run_id == run_id);
        let notice = *self.data.notice.insert(known.unwrap_or(fresh));
        JoinReply::Noticed {
            ticket: notice.ticket,
            ago: now.saturating_since(notice.at),
            inspection: self.inspection(now),
        }
    }

    /// Join, step 3, asked of the *other* nodes: what they remember. `run_id` is
    /// this node's, as read by the connection that asks. Changes nothing.
    #[must_use]
    pub fn recall(&self, run_id: RunId, now: StoreTime) -> JoinReply {
        let record = self.data.record.as_ref();
        JoinReply::Recalled(Recalled {
            joined_for: record
                .filter(|record| record.joined == run_id)
                .map(|record| now.saturating_since(record.since)),
            mark: record.map_or(Token::NONE, Record::mark),
            max_ttl: record.map_or(Duration::ZERO, |r| r.max_ttl),
            unix_micros: now.as_micros(),
        })
    }

    /// Join, step 4, asked of the *other* nodes: remember at least this.
    pub fn raise(&mut self, run_id: RunId, to: Token) -> JoinReply {
        let Some(record) = joined(&mut self.data.record, run_id) else {
            return JoinReply::Refused;
        };
        record.backed = record.backed.max(to);
        JoinReply::Raised
    }

    /// Join, step 5: votes from now on, if it has not forgotten once more since
    /// the notice was written.
    pub fn install(
        &mut self,
        run_id: RunId,
        ticket: Nonce,
        floor: Token,
        max_ttl: Duration,
        now: StoreTime,
    ) -> JoinReply {
        let current = self
            .data
            .notice
            .is_some_and(|notice| notice.run_id == run_id && notice.ticket == ticket);
        if !current && !made(Mutation::NoTicket) {
            return JoinReply::Refused;
        }
        let old = self.data.record.take();
        let (counters, backed, before, longest) = match old {
            Some(old) => (old.counters, old.backed, old.floor, old.max_ttl),
            None => Default::default(),
        };
        self.data.notice = None;
        self.data.record = Some(Record {
            counters,
            floor: before.max(floor),
            backed,
            joined: run_id,
            since: now,
            max_ttl: longest.max(max_ttl),
        });
        JoinReply::Installed
    }

    /// Join, step 1 of a node that kept its record: the same under this run id.
    ///
    /// A longer `max_ttl` may come into force at any time: a node that forgets
    /// learns it from the others that took such a TTL.
    pub fn adopt(&mut self, run_id: RunId, max_ttl: Duration) -> JoinReply {
        match &mut self.data.record {
            Some(record) => {
                record.joined = run_id;
                record.max_ttl = record.max_ttl.max(max_ttl);
                JoinReply::Installed
            }
            None => JoinReply::Refused,
        }
    }

    /// Join, step 1 of a node that lost nothing but the scripts.
    pub fn keep(&mut self, run_id: RunId, max_ttl: Duration) -> JoinReply {
        match joined(&mut self.data.record, run_id) {
            Some(_) => self.adopt(run_id, max_ttl),
            None => JoinReply::Refused,
        }
    }

    fn inspection(&self, now: StoreTime) -> Inspection {
        let record = self.data.record.as_ref();
        Inspection {
            run_id: self.run_id,
            joined: record.map(|record| record.joined),
            mark: record.map_or(Token::NONE, Record::mark),
            max_ttl: record.map_or(Duration::ZERO, |r| r.max_ttl),
            uptime: now.saturating_since(self.started),
            disturbed: self.disturbed,
            unix_micros: now.as_micros(),
        }
    }
}
