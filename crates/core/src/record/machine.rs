//! What may happen to a record. Read the rules in the module above first.

use std::time::Duration;

use super::{Break, Grant, Record, Waiter};
use crate::{
    AcquireRequest, Acquired, BreakRequest, Broken, Error, ExtendRequest, Extended, Granted,
    Lifetime, Mode, Nonce, Queued, Released, SessionId, StoreTime, Token,
};

/// Added to the wait for an expiry, so that the clock is past it on arrival.
const PAST: Duration = Duration::from_millis(1);

/// What the store knows besides the record.
pub struct View<'a> {
    /// The store's clock.
    pub now: StoreTime,
    /// The smallest value any next token in this store may take.
    pub floor: Token,
    /// The session of whoever asks.
    pub session: Option<SessionId>,
    /// Whether a session is known to be dead. Asked only where it matters, since
    /// finding out may cost a system call.
    pub is_dead: &'a dyn Fn(SessionId) -> bool,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<T> {
    /// The answer for whoever asked.
    pub answer: T,
    /// Whether the record changed and must be written before the answer is given.
    pub changed: bool,
    /// Whom to wake, once the record is written.
    pub hints: Vec<Hint>,
}

/// A waiter to wake: it was handed the lock, or it is now first in line and
/// should know whose death to look out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The waiter's request.
    pub nonce: Nonce,
    /// Its session.
    pub session: Option<SessionId>,
}

impl Record {
    /// Takes the lock, or a place in its line.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the request names another number of permits than the
    /// holders and waiters do; [`Error::Damaged`] if the tokens are used up. The
    /// record is as good as unchanged then: only what had run out is gone.
    pub fn acquire(
        &mut self,
        request: &AcquireRequest,
        view: &View<'_>,
    ) -> Result<Step<Acquired>, Error> {
        let head = self.head();
        let mut changed = self.prune_expired(view.now);
        if self.claim(request, view).is_none() && !self.refresh(request, view, &mut changed) {
            changed |= self.refuse_permits_clash(request, view)?;
        }
        // The line first: what is free belongs to whoever waits longest.
        let mut hints = self.advance(head, view, &mut changed);
        // Whoever asks has its answer.
        hints.retain(|hint| hint.nonce != request.nonce);
        let answer = if let Some(granted) = self.claim(request, view) {
            changed = true;
            Acquired::Granted(granted)
        } else if let Some(ahead) = self.place_of(request.nonce) {
            if ahead == 0 && self.fits(self.waiters[0].mode) {
                // Free, and still not handed over.
                return Err(tokens_used_up(request));
            }
            Acquired::Queued(self.queued(ahead, view.now))
        } else if self.waiters.is_empty() && self.makes_room_for(request.mode, view, &mut changed) {
            changed = true;
            Acquired::Granted(self.grant(request, view)?)
        } else if let Some(interval) = request.queue {
            changed = true;
            self.waiters.push(Waiter {
                mode: request.mode,
                nonce: request.nonce,
                owner: request.owner.clone(),
                ttl: request.ttl.get(),
                grace: request.grace,
                session: session_of(request, view),
                since: view.now,
                refreshed: view.now,
                interval,
            });
            Acquired::Queued(self.queued(self.waiters.len() - 1, view.now))
        } else {
            Acquired::Busy(
                self.grants
                    .iter()
                    .map(|grant| grant.held_by(view.now))
                    .collect(),
            )
        };
        Ok(self.step(answer, changed, hints, view.now))
    }

    /// Prolongs the grant of a nonce, if it is claimed and within its TTL.
    pub fn extend(&mut self, request: &ExtendRequest, view: &View<'_>) -> Step<Extended> {
        let grant = self
            .grants
            .iter_mut()
            .find(|grant| grant.nonce == request.nonce && grant.is_extendable(view.now));
        let (answer, changed) = match grant {
            Some(grant) => {
                grant.renew(request.ttl, view.now);
                (Extended::Extended, true)
            }
            None => (Extended::Lost, false),
        };
        self.step(answer, changed, Vec::new(), view.now)
    }

    /// Gives back the grant of a nonce, or its place in the line, and hands the
    /// lock on.
    pub fn release(&mut self, nonce: Nonce, view: &View<'_>) -> Step<Released> {
        let head = self.head();
        let grant = self.grants.iter().position(|grant| grant.nonce == nonce);
        let grant = grant.map(|at| self.grants.remove(at));
        let place = self.place_of(nonce).map(|at| self.waiters.remove(at));
        let mut found = grant.is_some() || place.is_some();
        let in_time = place.is_some_and(|place| view.now <= place.ends())
            || grant.is_some_and(|grant| match grant.unclaimed {
                Some(_) => view.now <= grant.ends(),
                None => grant.is_extendable(view.now),
            });
        let answer = if in_time {
            Released::Released
        } else {
            Released::AlreadyLost
        };
        let mut hints = Vec::new();
        if found {
            self.prune_expired(view.now);
            hints = self.advance(head, view, &mut found);
        }
        self.step(answer, found, hints, view.now)
    }

    /// Ends every grant by force, raises the floor above their tokens, and hands
    /// the lock on.
    pub fn break_lock(&mut self, request: &BreakRequest, view: &View<'_>) -> Step<Broken> {
        let head = self.head();
        self.prune_expired(view.now);
        let ended = std::mem::take(&mut self.grants);
        self.floor = self.floor.max(self.token.saturating_add(1)).max(view.floor);
        self.last_break = Some(Break {
            by: request.by.clone(),
            reason: request.reason.clone(),
            unix_seconds: request.unix_seconds,
            ended: ended.iter().map(|grant| grant.token).collect(),
        });
        let answer = Broken {
            ended: ended.iter().map(|grant| grant.held_by(view.now)).collect(),
            floor: self.floor,
            at: view.now,
        };
        let hints = self.advance(head, view, &mut true);
        self.step(answer, true, hints, view.now)
    }

    /// Drops whatever has run out or died, without handing anything on.
    pub fn settle(&mut self, view: &View<'_>) {
        self.prune_expired(view.now);
        self.prune_dead(view);
        self.waiters
            .retain(|w| !w.session.is_some_and(|s| (view.is_dead)(s)));
    }

    /// When this record may change by itself next: the first expiry of a grant or
    /// a waiter. `None` if nothing in it can run out.
    #[must_use]
    pub fn next_expiry(&self) -> Option<StoreTime> {
        let grants = self.grants.iter().map(Grant::ends);
        grants.chain(self.waiters.iter().map(Waiter::ends)).min()
    }

    /// If the nonce has the lock already, counts its lease from now on.
    fn claim(&mut self, request: &AcquireRequest, view: &View<'_>) -> Option<Granted> {
        let grant = self
            .grants
            .iter_mut()
            .find(|grant| grant.nonce == request.nonce)?;
        grant.renew(request.ttl, view.now);
        grant.grace = request.grace;
        Some(Granted::whole(grant.token))
    }

    /// If the nonce has a place in the line, notes that it asked again.
    fn refresh(&mut self, request: &AcquireRequest, view: &View<'_>, changed: &mut bool) -> bool {
        let Some(at) = self.place_of(request.nonce) else {
            return false;
        };
        let waiter = &mut self.waiters[at];
        // A waiter woken often need not write as often.
        if view.now.saturating_since(waiter.refreshed) >= waiter.interval / 2 {
            waiter.refreshed = view.now;
            *changed = true;
        }
        true
    }

    /// Hands the lock to the first live waiters that fit. The hints tell them, and
    /// tell the one who is first in line now, if another one was `before`.
    fn advance(&mut self, before: Option<Nonce>, view: &View<'_>, changed: &mut bool) -> Vec<Hint> {
        let mut hints = Vec::new();
        while let Some(head) = self.waiters.first() {
            if head.session.is_some_and(|session| (view.is_dead)(session)) {
                self.waiters.remove(0);
                *changed = true;
                continue;
            }
            let mode = head.mode;
            if !self.makes_room_for(mode, view, changed) {
                break;
            }
            let Some(token) = self.next_token(view) else {
                break;
            };
            let head = self.waiters.remove(0);
            *changed = true;
            self.token = token;
            hints.push(head.hint());
            self.grants.push(Grant {
                unclaimed: Some(head.patience()),
                mode: head.mode,
                nonce: head.nonce,
                owner: head.owner,
                token,
                ttl: head.ttl,
                grace: head.grace,
                session: head.session,
                granted: view.now,
                renewed: view.now,
            });
        }
        let head = self.waiters.first();
        hints.extend(head.filter(|h| Some(h.nonce) != before).map(Waiter::hint));
        hints
    }

    /// Whether a grant of this mode fits, if need be after dropping dead ones.
    fn makes_room_for(&mut self, mode: Mode, view: &View<'_>, changed: &mut bool) -> bool {
        if self.fits(mode) {
            return true;
        }
        let pruned = self.prune_dead(view);
        *changed |= pruned;
        pruned && self.fits(mode)
    }

    fn grant(&mut self, request: &AcquireRequest, view: &View<'_>) -> Result<Granted, Error> {
        let token = self
            .next_token(view)
            .ok_or_else(|| tokens_used_up(request))?;
        self.token = token;
        self.grants.push(Grant {
            mode: request.mode,
            nonce: request.nonce,
            owner: request.owner.clone(),
            token,
            ttl: request.ttl.get(),
            grace: request.grace,
            session: session_of(request, view),
            granted: view.now,
            renewed: view.now,
            unclaimed: None,
        });
        Ok(Granted::whole(token))
    }

    /// The greatest token of all is not granted: no floor could lie above it, and
    /// it would be granted again.
    fn next_token(&self, view: &View<'_>) -> Option<Token> {
        let next = self.token.next()?.max(self.floor).max(view.floor);
        (next < Token::MAX).then_some(next)
    }

    /// Who is first in line.
    fn head(&self) -> Option<Nonce> {
        self.waiters.first().map(|waiter| waiter.nonce)
    }

    fn fits(&self, mode: Mode) -> bool {
        mode.fits(self.grants.iter().map(|grant| grant.mode))
    }

    fn place_of(&self, nonce: Nonce) -> Option<usize> {
        self.waiters.iter().position(|waiter| waiter.nonce == nonce)
    }

    fn queued(&self, ahead: usize, now: StoreTime) -> Queued {
        let interval = self.waiters[ahead].interval;
        let expiry = self.next_expiry().map(|at| at.saturating_since(now) + PAST);
        Queued {
            ahead,
            holders: self.grants.iter().map(|grant| grant.held_by(now)).collect(),
            recheck_after: expiry.map_or(interval, |expiry| expiry.min(interval)),
        }
    }

    /// Drops what has run out by time.
    fn prune_expired(&mut self, now: StoreTime) -> bool {
        let before = self.grants.len() + self.waiters.len();
        self.grants.retain(|grant| now <= grant.ends());
        self.waiters.retain(|waiter| now <= waiter.ends());
        self.grants.len() + self.waiters.len() < before
    }

    /// Drops the grants of dead sessions, and what has run out by time.
    fn prune_dead(&mut self, view: &View<'_>) -> bool {
        let before = self.grants.len();
        self.grants.retain(|grant| {
            view.now <= grant.ends() && !grant.session.is_some_and(|s| (view.is_dead)(s))
        });
        self.grants.len() < before
    }

    /// Two numbers of permits for one lock are a mistake in somebody's settings,
    /// and waiting would not mend it. Says whether the record changed.
    fn refuse_permits_clash(
        &mut self,
        request: &AcquireRequest,
        view: &View<'_>,
    ) -> Result<bool, Error> {
        let clash = |record: &Self| {
            let grants = record.grants.iter().map(|grant| grant.mode);
            let waiters = record.waiters.iter().map(|waiter| waiter.mode);
            grants
                .chain(waiters)
                .find_map(|mode| request.mode.permits_clash(mode))
        };
        if clash(self).is_none() {
            return Ok(false);
        }
        self.settle(view);
        match clash(self) {
            None => Ok(true),
            Some(others) => Err(Error::invalid(
                "permits",
                request.mode.to_string(),
                format!(
                    "others hold or await lock {:?} as 1 of {others}; give everyone the same number",
                    request.name
                ),
            )),
        }
    }

    fn step<T>(&mut self, answer: T, changed: bool, hints: Vec<Hint>, now: StoreTime) -> Step<T> {
        if changed {
            self.changed = now;
        }
        Step {
            answer,
            changed,
            hints,
        }
    }
}

fn tokens_used_up(request: &AcquireRequest) -> Error {
    Error::damaged(
        format!("lock {:?}", request.name),
        "its tokens have reached 2^53 - 1",
        "use another name for it",
    )
}

fn session_of(request: &AcquireRequest, view: &View<'_>) -> Option<SessionId> {
    match request.lifetime {
        Lifetime::Process => view.session,
        Lifetime::Detached => None,
    }
}
