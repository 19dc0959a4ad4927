//! What must hold in every state, and what must be reached at all.

use leasehold_core::Mode;
use stateright::Property;

use crate::model::{Fate, Lock};
use crate::rules::may_join;
use crate::scope::CLIENTS;
use crate::state::{Body, Client, State};

/// No step breaks one of the rules of `rules`; the state says which, if it did.
pub(crate) const STEPS: &str = "every step keeps the rules";

/// What holders rely on by their own clocks excludes each other.
pub(crate) const C3: &str = "C3";

/// Once trouble ends, everybody who waits is served.
pub(crate) const SERVED: &str = "served in the end";

/// How much time may pass until everybody is served: three leases that nobody gives
/// back, and three handovers that nobody claims.
const UNITS: usize = 3 * 4 + 3 * 2;

pub(crate) fn all() -> Vec<Property<Lock>> {
    let mut all = vec![Property::always(STEPS, |_, state: &State| {
        state.broken.is_none()
    })];
    all.push(Property::always(C3, |lock: &Lock, state: &State| {
        let mut held = Vec::new();
        state.relying(lock.modes()).all(|mode: Mode| {
            let fits = may_join(mode, &held);
            held.push(mode);
            fits
        })
    }));
    all.push(Property::always(SERVED, served_in_the_end));
    all.extend(reached());
    all
}

/// What a check that proves anything must have come across.
fn reached() -> Vec<Property<Lock>> {
    vec![
        Property::sometimes("somebody relies on the lock", |lock: &Lock, s: &State| {
            s.relying(lock.modes()).next().is_some()
        }),
        Property::sometimes("a handover is not claimed yet", |_, s: &State| {
            s.record.grants.iter().any(|g| g.unclaimed.is_some())
        }),
        Property::sometimes("one holds and one waits", |_, s: &State| {
            !s.record.grants.is_empty() && !s.record.waiters.is_empty()
        }),
        Property::sometimes("the record was collected", |_, s: &State| {
            s.floor.get() > 0 && s.record.is_idle()
        }),
    ]
}

/// No more requests, deaths or losses; those who wait keep asking, and holders
/// either give the lock back or fall silent.
fn served_in_the_end(lock: &Lock, state: &State) -> bool {
    let nobody_asks = |client: &Client| !matches!(client, Client::Asking(_));
    if state.broken.is_some() || state.clients.iter().all(nobody_asks) {
        return true;
    }
    [false, true].into_iter().all(|silent| {
        let mut state = state.clone();
        state.stray = None;
        (0..UNITS).any(|_| {
            let quiet = one_unit(lock, &mut state, silent);
            state.tick(lock.scope.ttl);
            quiet
        })
    })
}

/// Says whether nobody wants anything any more.
fn one_unit(lock: &Lock, state: &mut State, silent: bool) -> bool {
    for at in 0..CLIENTS {
        let client = state.clients[at];
        let body = match client {
            Client::Dead | Client::Idle => continue,
            Client::Holding(..) if silent => {
                state.clients[at] = Client::Idle;
                continue;
            }
            Client::Asking(_) if lock.scope.clients[at].waits => Body::Acquire,
            Client::Holding(..) | Client::Asking(_) => Body::Release,
        };
        let Some(id) = client.id() else { continue };
        if lock.send(state, id, body, Fate::Answered).is_err() {
            return false;
        }
    }
    state.clients.iter().all(|client| client.id().is_none())
}
