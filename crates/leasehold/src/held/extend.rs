//! Prolonging a lease, in the background and at its holder's wish.
//!
//! One extend at a time, so that the store's last word on the TTL is known to be
//! the last; one whose outcome is not known makes the deadline sooner, never later.

use std::sync::Arc;

use leasehold_core::{Deadline, Error, ExtendRequest, Extended, Instant, Loss, Operation, Ttl};

use super::{Held, State, wake_all};
use crate::Event;
use crate::race::{First, race};
use crate::upkeep::Due;

impl Held {
    /// The TTL to ask for, if this is still the extend to send.
    pub(crate) fn current(&self, attempt: u32) -> Option<Ttl> {
        let state = self.state();
        (state.end.is_none() && state.attempt == attempt).then(|| state.upkeep.ttl())
    }

    /// Prolongs the lease at its holder's wish.
    pub(crate) async fn extend(self: &Arc<Self>, ttl: Ttl) -> Result<Deadline, Error> {
        let attempt = self.turn_to_extend(ttl).await?;
        let sent = self.driver.now();
        // If this future is dropped now, the extend may happen all the same.
        let mut unsettled = Unsettled {
            held: self,
            attempt,
            ttl,
            sent,
            armed: true,
        };
        let request = ExtendRequest {
            name: self.name.clone(),
            nonce: self.nonce,
            ttl,
        };
        let extend = self.driver.engine.extend(&request);
        let answer = match race(extend, self.settled(attempt)).await {
            First::Left(answer) => answer,
            First::Right(()) => Err(self.no_answer()),
        };
        unsettled.armed = false;
        self.settle(attempt, ttl, sent, answer)
    }

    /// Waits until no extend is out, then counts as the one that is.
    async fn turn_to_extend(self: &Arc<Self>, ttl: Ttl) -> Result<u32, Error> {
        loop {
            let waiting_for = {
                let mut state = self.state();
                if let Some(error) = self.lost(&state) {
                    return Err(error);
                }
                if state.asking.is_none() {
                    let attempt = state.begin_extend(self.driver.now(), ttl);
                    self.reschedule(&mut state);
                    return Ok(attempt);
                }
                state.attempt
            };
            self.settled(waiting_for).await;
        }
    }

    /// Takes in the answer to an extend that was sent at `sent`.
    pub(crate) fn settle(
        self: &Arc<Self>,
        attempt: u32,
        ttl: Ttl,
        sent: Instant,
        answer: Result<Extended, Error>,
    ) -> Result<Deadline, Error> {
        let mut state = self.state();
        if let Some(error) = self.lost(&state) {
            return Err(error);
        }
        if state.attempt != attempt || state.asking.is_none() {
            return Err(self.no_answer());
        }
        state.asking = None;
        let wakers = state.on_settled.take();
        let now = self.driver.now();
        let why = match (state.upkeep.due(now), &answer) {
            // Somebody may have seen it invalid by now; it does not come back.
            (Due::Lost(why), _) => Some(why),
            (_, Ok(Extended::Lost)) => Some(Loss::Gone),
            _ => None,
        };
        if let Some(why) = why {
            self.lose(state, why);
            wake_all(wakers);
            return Err(self.lost_error(why));
        }
        let result = match answer {
            Ok(_) => {
                state.upkeep.extended(sent, ttl);
                Ok(state.upkeep.deadline())
            }
            Err(error) => {
                tracing::debug!(lock = %self.name, %error, "renewal failed");
                if error.may_be_held() {
                    state.upkeep.doubt(sent, ttl);
                }
                state.upkeep.retry(now);
                Err(error)
            }
        };
        self.reschedule(&mut state);
        drop(state);
        wake_all(wakers);
        if let Ok(deadline) = result {
            self.driver.tell(&Event::Renewed {
                name: self.name.clone(),
                token: self.token,
                nonce: self.nonce,
                deadline,
            });
        }
        result
    }

    fn no_answer(&self) -> Error {
        Error::Indeterminate {
            operation: Operation::Extend,
            engine: self.driver.engine.kind(),
            detail: "no answer came within a third of the TTL".to_owned(),
        }
    }
}

impl State {
    pub(super) fn begin_extend(&mut self, now: Instant, ttl: Ttl) -> u32 {
        self.asking = Some((now, ttl));
        self.attempt = self.attempt.wrapping_add(1);
        self.upkeep.asking(now, ttl);
        self.attempt
    }
}

/// An extend whose caller may go away.
struct Unsettled<'a> {
    held: &'a Arc<Held>,
    attempt: u32,
    ttl: Ttl,
    sent: Instant,
    armed: bool,
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        if self.armed {
            let dropped = Err(self.held.no_answer());
            // The lease keeps its old deadline, or the new one if that is sooner.
            let _ = self.held.settle(self.attempt, self.ttl, self.sent, dropped);
        }
    }
}
