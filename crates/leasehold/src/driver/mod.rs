//! The background thread of a client.
//!
//! One thread per client, started at its first lease, does everything that must
//! happen whether or not the caller's tasks are running: it renews leases, marks
//! them lost at their deadlines, wakes waiters that are due, and carries out
//! clean-up releases (C5, C7). Callers' futures need no runtime of any kind.

mod agenda;
mod clean_up;
mod sleep;
mod thread;

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use leasehold_core::{Engine, Error, Instant};

use crate::held::Held;
use crate::race::{First, race};
use crate::{Clock, Event, Observer};
use agenda::{Agenda, Timer};

pub(crate) use agenda::TimerId;
pub(crate) use clean_up::{CleanUp, Reason};
pub(crate) use sleep::Sleep;

/// How long a client that is closed or dropped goes on with clean-ups.
const CLOSING: Duration = Duration::from_secs(10);

/// What a client and its thread share.
pub(crate) struct Driver {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observer>>,
    /// See [`Upkeep`](crate::upkeep::Upkeep).
    pub(crate) phase: Duration,
    agenda: Mutex<Agenda>,
}

/// Something to do that talks to the engine.
pub(crate) enum Job {
    /// Extend a lease.
    Renew { held: Arc<Held>, attempt: u32 },
    /// Release a nonce.
    CleanUp(CleanUp),
}

impl Job {
    const fn is_clean_up(&self) -> bool {
        matches!(self, Self::CleanUp(_))
    }
}

impl Driver {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        observer: Option<Arc<dyn Observer>>,
        phase: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine,
            clock,
            observer,
            phase,
            agenda: Mutex::default(),
        })
    }

    /// Starts the thread if it is not running.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if the operating system gives no thread; nothing was
    /// sent.
    pub(crate) fn start(self: &Arc<Self>) -> Result<(), Error> {
        let mut agenda = self.agenda();
        if !agenda.started {
            thread::spawn(self).map_err(|error| {
                Error::unavailable(
                    self.engine.kind(),
                    format!("the thread that renews leases cannot be started: {error}"),
                    "raise the limits on processes and open files",
                )
            })?;
            agenda.started = true;
        }
        Ok(())
    }

    /// The time now.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Resolves at `at`. Sets its timer at its first poll.
    pub(crate) const fn sleep_until<'a>(self: &'a Arc<Self>, at: Instant) -> Sleep<'a> {
        Sleep::new(self, at)
    }

    /// Runs `work` until `limit`; `None` if that came first.
    pub(crate) async fn within<T>(
        self: &Arc<Self>,
        limit: Option<Instant>,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let Some(limit) = limit else {
            return Some(work.await);
        };
        match race(work, self.sleep_until(limit)).await {
            First::Left(output) => Some(output),
            First::Right(()) => None,
        }
    }

    pub(crate) fn next_timer_id(&self) -> TimerId {
        self.agenda().next_id()
    }

    /// Moves the timer of a lease.
    pub(crate) fn set_lease_timer(&self, old: Option<Instant>, at: Instant, held: &Arc<Held>) {
        let timer = Timer::Lease(Arc::clone(held));
        let mut agenda = self.agenda();
        let old = old.and_then(|old| agenda.unset(old, held.timer_id()));
        let waker = agenda.set(at, held.timer_id(), timer);
        drop(agenda);
        drop(old);
        wake(waker);
    }

    /// Takes the timer of a lease away.
    pub(crate) fn unset_lease_timer(&self, at: Instant, held: &Held) {
        let old = self.agenda().unset(at, held.timer_id());
        drop(old);
    }

    /// Has a job run on the thread.
    pub(crate) fn spawn(self: &Arc<Self>, job: Job) {
        if let Err(error) = self.start() {
            // Then there never was a lease, or the place in the line runs out by itself.
            tracing::warn!(%error, "clean-up not run");
            return;
        }
        let waker = self.agenda().push(job);
        wake(waker);
    }

    /// Lets nobody believe that all is clean until
    /// [`spawn_owed`](Self::spawn_owed) has been called.
    pub(crate) fn owe(&self) {
        self.agenda().owe();
    }

    /// Has the clean-up run that was announced with [`owe`](Self::owe), by a lease:
    /// so the thread is running.
    pub(crate) fn spawn_owed(&self, job: Job) {
        let waker = self.agenda().push_owed(job);
        wake(waker);
    }

    /// Waits until no clean-up is left, for a bounded time.
    pub(crate) async fn clean(self: &Arc<Self>) {
        let idle = poll_fn(|context| {
            if self.agenda().is_idle(context.waker()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let limit = self.now().saturating_add(CLOSING);
        let _ = self.within(Some(limit), idle).await;
    }

    /// Lets the thread end once its clean-ups have run.
    pub(crate) fn close(&self) {
        let mut agenda = self.agenda();
        agenda.closes_at = Some(self.now().saturating_add(CLOSING));
        let waker = agenda.wake();
        drop(agenda);
        wake(waker);
    }

    /// Tells `tracing` and the observer.
    pub(crate) fn tell(&self, event: &Event) {
        event.trace();
        if let Some(observer) = &self.observer
            && catch_unwind(AssertUnwindSafe(|| observer.event(event))).is_err()
        {
            tracing::error!(?event, "the observer panicked");
        }
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<std::task::Waker>) {
    // Outside every lock: a waker may run anything.
    if let Some(waker) = waker {
        waker.wake();
    }
}
