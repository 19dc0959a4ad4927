//! What the background thread has to do, and when.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use leasehold_core::Instant;

use super::Job;
use crate::held::Held;

/// How many jobs of a kind may run at once. Enough for an engine to make large
/// batches, few enough to bound the memory for them.
const MAX_RUNNING: usize = 1024;

/// How many timers go off between two looks at the rest.
const MAX_DUE: usize = 256;

/// Identifies a timer among those of the same moment.
pub(crate) type TimerId = u64;

/// What a timer wakes.
pub(super) enum Timer {
    /// A lease that has something due. One entry per lease, whatever is due next.
    Lease(Arc<Held>),
    /// A task.
    Task(Waker),
}

/// Everything to do, of all leases of a client, in one place: 100,000 leases are
/// 100,000 entries here, not as many timers or tasks.
#[derive(Default)]
pub(super) struct Agenda {
    timers: BTreeMap<(Instant, TimerId), Timer>,
    last_id: TimerId,
    renewals: Jobs,
    /// Apart, since a clean-up may have to be tried for long.
    clean_ups: Jobs,
    /// Clean-ups that are certain to come.
    owed: usize,
    /// Who waits for the last clean-up.
    idle: Vec<Waker>,
    /// Until when the thread sleeps, and how to wake it; `None` while it is awake
    /// and will look here again before it sleeps.
    asleep: Option<(Instant, Waker)>,
    pub(super) started: bool,
    /// When the thread ends, even with clean-ups left.
    pub(super) closes_at: Option<Instant>,
}

/// Jobs of a kind.
#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    running: usize,
}

/// What the thread is to do now.
pub(super) enum Next {
    /// Set off these timers and run these jobs.
    Work(Vec<Timer>, Vec<Job>),
    /// Sleep until then, or until woken.
    Sleep(Instant),
    /// End.
    Stop,
}

impl Agenda {
    pub(super) fn next_id(&mut self) -> TimerId {
        self.last_id += 1;
        self.last_id
    }

    /// Sets a timer. The caller wakes the thread if it gets its waker.
    #[must_use]
    pub(super) fn set(&mut self, at: Instant, id: TimerId, timer: Timer) -> Option<Waker> {
        self.timers.insert((at, id), timer);
        // Only if it would sleep too long: taking and giving back a lock over and
        // over must not wake it each time.
        self.asleep
            .take_if(|(until, _)| at < *until)
            .map(|(_, waker)| waker)
    }

    /// Takes a timer back. Its value must be dropped outside the agenda's lock.
    #[must_use]
    pub(super) fn unset(&mut self, at: Instant, id: TimerId) -> Option<Timer> {
        self.timers.remove(&(at, id))
    }

    #[must_use]
    pub(super) fn push(&mut self, job: Job) -> Option<Waker> {
        self.jobs(job.is_clean_up()).waiting.push_back(job);
        self.wake()
    }

    /// Notes that a clean-up will be pushed with [`push_owed`](Self::push_owed).
    pub(super) const fn owe(&mut self) {
        self.owed += 1;
    }

    #[must_use]
    pub(super) fn push_owed(&mut self, job: Job) -> Option<Waker> {
        self.owed -= 1;
        self.push(job)
    }

    /// Notes that a job ended; returns whom to wake.
    pub(super) fn finished(&mut self, was_clean_up: bool) -> Vec<Waker> {
        let jobs = self.jobs(was_clean_up);
        jobs.running -= 1;
        let more = !jobs.waiting.is_empty();
        let mut wakers = Vec::new();
        if self.is_clean() {
            wakers.append(&mut self.idle);
        }
        if more || self.closes_at.is_some() {
            wakers.extend(self.wake());
        }
        wakers
    }

    /// Whether no clean-up waits or runs; else wakes `waker` when that is so.
    pub(super) fn is_idle(&mut self, waker: &Waker) -> bool {
        let is_idle = self.is_clean();
        if !is_idle && !self.idle.iter().any(|w| w.will_wake(waker)) {
            self.idle.push(waker.clone());
        }
        is_idle
    }

    fn is_clean(&self) -> bool {
        self.owed == 0 && self.clean_ups.is_empty()
    }

    const fn jobs(&mut self, clean_ups: bool) -> &mut Jobs {
        if clean_ups {
            &mut self.clean_ups
        } else {
            &mut self.renewals
        }
    }

    /// The waker of the thread, if it sleeps.
    pub(super) fn wake(&mut self) -> Option<Waker> {
        self.asleep.take().map(|(_, waker)| waker)
    }

    /// What the thread is to do at `now`. It sleeps until `armed` at the latest if
    /// its own timer is set to that already; an early look costs less than setting
    /// the timer anew.
    pub(super) fn next(&mut self, now: Instant, armed: Option<Instant>, thread: &Waker) -> Next {
        self.asleep = None;
        if self
            .closes_at
            .is_some_and(|at| now >= at || self.is_clean())
        {
            return Next::Stop;
        }
        let mut due = Vec::new();
        while due.len() < MAX_DUE
            && let Some(entry) = self.timers.first_entry()
            && entry.key().0 <= now
        {
            due.push(entry.remove());
        }
        let mut jobs = self.clean_ups.start();
        jobs.append(&mut self.renewals.start());
        if !due.is_empty() || !jobs.is_empty() {
            return Next::Work(due, jobs);
        }
        let first = self.timers.first_key_value().map(|((at, _), _)| *at);
        let until = [first, self.closes_at, armed].into_iter().flatten().min();
        let until = until.unwrap_or(Instant::from_start(std::time::Duration::MAX));
        self.asleep = Some((until, thread.clone()));
        Next::Sleep(until)
    }
}

impl Jobs {
    /// Takes those that may run now.
    fn start(&mut self) -> Vec<Job> {
        let room = MAX_RUNNING.saturating_sub(self.running);
        let jobs: Vec<_> = self.waiting.drain(..room.min(self.waiting.len())).collect();
        self.running += jobs.len();
        jobs
    }

    fn is_empty(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }
}
