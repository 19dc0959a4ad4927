//! A lease as its guard, the background thread and everybody who watches it
//! share it.

mod extend;
mod waits;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use leasehold_core::{
    Deadline, Error, Instant, LockName, Loss, Mode, Nonce, Owner, Released, Token, Ttl,
};

use crate::Event;
use crate::driver::{CleanUp, Driver, Job, Reason, TimerId};
use crate::upkeep::{Due, Upkeep};
use waits::Wakers;

/// One lease.
pub(crate) struct Held {
    driver: Arc<Driver>,
    name: LockName,
    owner: Owner,
    token: Token,
    nonce: Nonce,
    mode: Mode,
    grace: Duration,
    timer_id: TimerId,
    /// Until when the lease is valid, in nanoseconds of the clock; 0 once it is
    /// over. A copy of what `state` says, to be read without its lock.
    valid_until: AtomicU64,
    state: Mutex<State>,
}

struct State {
    upkeep: Upkeep,
    end: Option<End>,
    /// Whether the guard has let go of it.
    let_go: bool,
    /// Where the timer is set, if it is.
    timer: Option<Instant>,
    /// The number of the last extend. One at a time, so that the store's last word
    /// on the TTL is known to be the last.
    attempt: u32,
    /// That extend, while it is still out: since when, and the TTL it asks for.
    asking: Option<(Instant, Ttl)>,
    /// Who waits for the end.
    on_end: Wakers,
    /// Who waits for the end of an extend.
    on_settled: Wakers,
}

#[derive(Clone, Copy)]
enum End {
    Lost(Loss),
    /// Given back, or passed on by its nonce.
    LetGo,
}

/// What a lease was when its guard let go of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Was {
    /// Held: a release is owed.
    Held,
    /// Lost. Unless the store lost it, it is still taken there for its grace, and
    /// a release is owed.
    Lost(Loss),
    /// Let go of before.
    LetGo,
}

/// What a new lease is made of.
pub(crate) struct Grant {
    pub(crate) name: LockName,
    pub(crate) owner: Owner,
    pub(crate) token: Token,
    pub(crate) nonce: Nonce,
    pub(crate) mode: Mode,
    pub(crate) grace: Duration,
}

impl Held {
    /// Begins to look after a lease.
    pub(crate) fn begin(driver: &Arc<Driver>, grant: Grant, upkeep: Upkeep) -> Arc<Self> {
        let held = Arc::new(Self {
            driver: Arc::clone(driver),
            name: grant.name,
            owner: grant.owner,
            token: grant.token,
            nonce: grant.nonce,
            mode: grant.mode,
            grace: grant.grace,
            timer_id: driver.next_timer_id(),
            valid_until: AtomicU64::new(0),
            state: Mutex::new(State {
                upkeep,
                end: None,
                let_go: false,
                timer: None,
                attempt: 0,
                asking: None,
                on_end: Wakers::default(),
                on_settled: Wakers::default(),
            }),
        });
        held.reschedule(&mut held.state());
        held
    }

    pub(crate) const fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    pub(crate) const fn name(&self) -> &LockName {
        &self.name
    }

    pub(crate) const fn owner(&self) -> &Owner {
        &self.owner
    }

    pub(crate) const fn token(&self) -> Token {
        self.token
    }

    pub(crate) const fn nonce(&self) -> Nonce {
        self.nonce
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) const fn timer_id(&self) -> TimerId {
        self.timer_id
    }

    pub(crate) fn ttl(&self) -> Ttl {
        self.state().upkeep.ttl()
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.state().upkeep.deadline()
    }

    /// How long the lease is still valid.
    pub(crate) fn remaining(&self) -> Duration {
        let until = Duration::from_nanos(self.valid_until.load(Ordering::Acquire));
        Instant::from_start(until).saturating_since(self.driver.now())
    }

    /// Whether the lease is lost; looks at the clock, and once lost is always lost.
    pub(crate) fn loss(self: &Arc<Self>) -> Option<Loss> {
        if !self.remaining().is_zero() {
            return None;
        }
        self.tick(self.driver.now());
        match self.state().end {
            Some(End::Lost(why)) => Some(why),
            _ => None,
        }
    }

    /// Does what is due at `now`.
    pub(crate) fn tick(self: &Arc<Self>, now: Instant) {
        let mut state = self.state();
        if state.end.is_some() {
            return;
        }
        match state.upkeep.due(now) {
            Due::Lost(why) => self.lose(state, why),
            Due::Nothing => self.reschedule(&mut state),
            Due::Renew => {
                if let Some((sent, ttl)) = state.asking {
                    state.upkeep.doubt(sent, ttl);
                }
                let ttl = state.upkeep.ttl();
                let attempt = state.begin_extend(now, ttl);
                let wakers = state.on_settled.take();
                self.reschedule(&mut state);
                drop(state);
                wake_all(wakers);
                let held = Arc::clone(self);
                self.driver.spawn(Job::Renew { held, attempt });
            }
        }
    }

    /// Ends the lease without giving it back, and says what it was until now.
    pub(crate) fn let_go(&self) -> Was {
        let mut state = self.state();
        if std::mem::replace(&mut state.let_go, true) {
            return Was::LetGo;
        }
        if let Some(End::Lost(why)) = state.end {
            return Was::Lost(why);
        }
        // Nobody is told: `lost` has nothing to say about a lease given back.
        let wakers = self.end(&mut state, End::LetGo);
        drop(state);
        wake_all(wakers);
        Was::Held
    }

    /// The release that is owed to the store.
    pub(crate) fn clean_up(&self, reason: Reason) -> Job {
        let kept = self.ttl().get() + self.grace;
        Job::CleanUp(CleanUp {
            name: self.name.clone(),
            nonce: self.nonce,
            until: self.driver.now().saturating_add(kept),
            reason,
        })
    }

    /// Tells what the store said to a release.
    pub(crate) fn tell_released(&self, answer: Released) {
        let (name, token, nonce) = (self.name.clone(), self.token, self.nonce);
        self.driver.tell(&match answer {
            Released::Released => Event::Released { name, token, nonce },
            Released::AlreadyLost => Event::Lost {
                name,
                token,
                nonce,
                why: Loss::Gone,
            },
        });
    }

    fn lose(self: &Arc<Self>, mut state: MutexGuard<'_, State>, why: Loss) {
        let wakers = self.end(&mut state, End::Lost(why));
        // What the clock ended stays taken in the store for its grace: its holder
        // needs that time to stop, and gives it back through the guard.
        let is_gone = why == Loss::Gone;
        if is_gone {
            // Before anybody can see the loss, so that closing the client after it
            // waits for the clean-up; the clean-up itself after the loss was told.
            self.driver.owe();
        }
        drop(state);
        self.driver.tell(&Event::Lost {
            name: self.name.clone(),
            token: self.token,
            nonce: self.nonce,
            why,
        });
        wake_all(wakers);
        if is_gone {
            let reason = Reason::Lost(Arc::clone(self), why);
            self.driver.spawn_owed(self.clean_up(reason));
        }
    }

    fn end(&self, state: &mut State, end: End) -> Vec<Waker> {
        state.end = Some(end);
        state.asking = None;
        self.valid_until.store(0, Ordering::Release);
        if let Some(at) = state.timer.take() {
            self.driver.unset_lease_timer(at, self);
        }
        let mut wakers = state.on_end.take();
        wakers.append(&mut state.on_settled.take());
        wakers
    }

    /// Sets the timer to what is due next.
    fn reschedule(self: &Arc<Self>, state: &mut State) {
        let ends = state.upkeep.ends().since_start().as_nanos();
        let ends = u64::try_from(ends).unwrap_or(u64::MAX);
        self.valid_until.store(ends, Ordering::Release);
        let at = state.upkeep.next();
        let old = state.timer.replace(at);
        self.driver.set_lease_timer(old, at, self);
    }

    fn lost(&self, state: &State) -> Option<Error> {
        match state.end? {
            End::Lost(why) => Some(self.lost_error(why)),
            // Only the guard extends, and it is gone then.
            End::LetGo => Some(self.lost_error(Loss::Gone)),
        }
    }

    pub(crate) fn lost_error(&self, why: Loss) -> Error {
        Error::Lost {
            name: self.name.clone(),
            token: self.token,
            why,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake_all(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}
