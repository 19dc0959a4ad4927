//! Requests as the store carries them out, each step under the rules.

use std::time::Duration;

use leasehold_core::record::{Record, Step, View};
use leasehold_core::{
    AcquireRequest, Acquired, BreakRequest, Error, ExtendRequest, Extended, Mode, Nonce, Released,
    SessionId, Token,
};

use crate::client::{Body, Letter, name};
use crate::rules::{Before, Check, Violation, ensure, extend_is_right, may_join};
use crate::world::World;

/// What kind of step it is, as far as the rules differ.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Acquire,
    Extend,
    Release,
    Break,
}

impl World {
    /// Carries a request out, and tells the client if `answered`. Returns when a
    /// waiter should ask again.
    pub(crate) fn send(
        &mut self,
        letter: Letter,
        answered: bool,
    ) -> Result<Option<Duration>, Violation> {
        let same_life = self.clients[letter.client].session() == letter.session;
        let heard = answered && same_life;
        match &letter.body {
            Body::Acquire(request) => self.send_acquire(&letter, request, heard),
            Body::Extend(request) => self.send_extend(&letter, request, heard).map(|()| None),
            Body::Release(nonce) => self.send_release(&letter, *nonce).map(|_| None),
        }
    }

    fn send_acquire(
        &mut self,
        letter: &Letter,
        request: &AcquireRequest,
        heard: bool,
    ) -> Result<Option<Duration>, Violation> {
        let (client, nonce) = (letter.client, request.nonce);
        let believed = self.clients[client].believes(nonce, self.real).is_some();
        let had = self.grant_of(nonce);
        let session = Some(letter.session);
        let machine = self.machine;
        let answer = self.step(Kind::Acquire, Some(nonce), session, |record, view| {
            machine.acquire(record, request, view)
        })?;
        let mut recheck = None;
        match &answer {
            Ok(Acquired::Granted(granted)) => {
                let grant = self.grant_of(nonce);
                let is_so = grant.is_some_and(|(token, claimed)| token == granted.token && claimed);
                ensure(is_so, "answers are true", || {
                    format!("{granted:?}, {grant:?}")
                })?;
            }
            Ok(Acquired::Queued(queued)) => {
                let ahead = self.rules.ahead(nonce);
                ensure(ahead == Some(queued.ahead), "answers are true", || {
                    format!("{queued:?}, but {ahead:?} ahead")
                })?;
                let after = queued.recheck_after;
                let bound = request.queue.unwrap_or(Duration::MAX);
                ensure(!after.is_zero() && after <= bound, "recheck", || {
                    format!("{after:?}")
                })?;
                recheck = Some(after);
            }
            Ok(Acquired::Busy(_)) => {
                let held: Vec<_> = self.record.grants.iter().map(|grant| grant.mode).collect();
                let in_the_way = !self.record.waiters.is_empty() || !may_join(request.mode, &held);
                ensure(
                    in_the_way && request.queue.is_none(),
                    "answers are true",
                    || format!("busy, but {:?}", self.record),
                )?;
            }
            Err(error) => self.is_clash(request.mode, error)?,
        }
        let granted = matches!(answer, Ok(Acquired::Granted(_)));
        ensure(granted || !believed || had.is_none(), "C4", || {
            format!("a valid lease was answered {answer:?}")
        })?;
        match answer {
            Ok(answer) if heard => {
                self.clients[client].hear_acquired(request, letter.sent, &answer)
            }
            Err(_) if heard && self.clients[client].nonce() == Some(nonce) => {
                self.clients[client].attempt = None;
            }
            _ => {}
        }
        Ok(recheck)
    }

    fn send_extend(&mut self, letter: &Letter, request: &ExtendRequest, heard: bool) -> Check {
        let believes = self.clients[letter.client].believes(request.nonce, self.real);
        let before = self.record.clone();
        let now = self.now();
        let machine = self.machine;
        let answer = self
            .step(Kind::Extend, Some(request.nonce), None, |record, view| {
                Ok(machine.extend(record, request, view))
            })?
            .map_err(never)?;
        extend_is_right(request.nonce, now, &before, &self.record, answer)?;
        let extended = answer == Extended::Extended;
        ensure(believes.is_none() || extended, "C4", || {
            "a valid lease was lost at its renewal".to_owned()
        })?;
        if heard {
            let client = &mut self.clients[letter.client];
            let heard_at = client.clock(self.real);
            client.hear_extended(request, letter.sent, heard_at, answer);
        }
        Ok(())
    }

    pub(crate) fn send_release(
        &mut self,
        letter: &Letter,
        nonce: Nonce,
    ) -> Result<Released, Violation> {
        let machine = self.machine;
        let session = Some(letter.session);
        let answer = self
            .step(Kind::Release, Some(nonce), session, |record, view| {
                Ok(machine.release(record, nonce, view))
            })?
            .map_err(never)?;
        let gone = self.grant_of(nonce).is_none() && self.rules.ahead(nonce).is_none();
        ensure(gone, "answers are true", || {
            "released and still there".to_owned()
        })?;
        Ok(answer)
    }

    pub(crate) fn break_lock(&mut self) -> Check {
        let request = BreakRequest {
            name: name(),
            by: "operator".into(),
            reason: "test".into(),
            unix_seconds: 0,
            force: false,
        };
        let held: Vec<_> = self
            .record
            .grants
            .iter()
            .map(|g| (g.nonce, g.token))
            .collect();
        let machine = self.machine;
        let broken = self
            .step(Kind::Break, None, None, |record, view| {
                Ok(machine.break_lock(record, &request, view))
            })?
            .map_err(never)?;
        for client in &mut self.clients {
            let nonce = client.nonce();
            let held_by = client.attempt.as_mut().and_then(|a| a.held.as_mut());
            if let Some(lease) = held_by {
                lease.broken |= held.contains(&(nonce.unwrap(), lease.token));
            }
        }
        let below = held.iter().all(|(_, token)| *token < broken.floor);
        ensure(below, "break", || format!("{broken:?} of {held:?}"))
    }

    pub(crate) fn collect(&mut self) -> Check {
        let (now, floor) = (self.now(), self.floor);
        let clients = &self.clients;
        let is_dead = |session| clients.iter().all(|client| client.session() != session);
        let mut settled = self.record.clone();
        settled.settle(&View {
            now,
            floor,
            session: None,
            is_dead: &is_dead,
        });
        if !settled.is_idle() {
            return Ok(());
        }
        let before = Before {
            record: &self.record,
            now,
            floor,
            is_dead: &is_dead,
            asker: None,
            wants: false,
            gives_up: false,
            is_break: false,
            hands_over: false,
        };
        self.rules.step(&before, &settled, true, None)?;
        self.floor = self.machine.fold(&settled, floor);
        self.record = Record::new();
        Ok(())
    }

    /// One step: through bytes, under the rules, and written only if it changed
    /// something and did not fail.
    fn step<T>(
        &mut self,
        kind: Kind,
        asker: Option<Nonce>,
        session: Option<SessionId>,
        act: impl FnOnce(&mut Record, &View<'_>) -> Result<Step<T>, Error>,
    ) -> Result<Result<T, Error>, Violation> {
        let (now, floor) = (self.now(), self.floor);
        let clients = &self.clients;
        let is_dead = |session| clients.iter().all(|client| client.session() != session);
        let mut after = self.record.clone();
        let view = View {
            now,
            floor,
            session,
            is_dead: &is_dead,
        };
        let step = match act(&mut after, &view) {
            Ok(step) => step,
            Err(error) => return Ok(Err(error)),
        };
        let before = Before {
            record: &self.record,
            now,
            floor,
            is_dead: &is_dead,
            asker,
            wants: kind == Kind::Acquire,
            gives_up: kind == Kind::Release,
            is_break: kind == Kind::Break,
            hands_over: match kind {
                Kind::Acquire | Kind::Break => true,
                Kind::Release => step.changed,
                Kind::Extend => false,
            },
        };
        (self.rules).step(&before, &after, step.changed, Some(&step.hints))?;
        let read_back = Record::decode(&after.encode());
        ensure(read_back.as_ref() == Ok(&after), "bytes", || {
            format!("{after:?} was read back as {read_back:?}")
        })?;
        self.record = after;
        Ok(Ok(step.answer))
    }

    fn grant_of(&self, nonce: Nonce) -> Option<(Token, bool)> {
        let grant = self.record.grants.iter().find(|g| g.nonce == nonce)?;
        Some((grant.token, grant.unclaimed.is_none()))
    }

    /// An acquire fails for one reason only: two numbers of permits.
    fn is_clash(&self, mode: Mode, error: &Error) -> Check {
        let grants = self.record.grants.iter().map(|grant| grant.mode);
        let mut modes = grants.chain(self.record.waiters.iter().map(|waiter| waiter.mode));
        let clash = modes.any(|other| mode.permits_clash(other).is_some());
        ensure(clash, "answers are true", || error.to_string())
    }
}

/// Extend, release and break do not fail.
fn never(error: Error) -> Violation {
    Violation {
        rule: "answers are true",
        detail: error.to_string(),
    }
}
