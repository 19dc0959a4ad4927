//! Ends the command of `run` when its lease is lost or its time is up.

use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use leasehold::{Lease, Loss, Token};
use pollster::block_on;
use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::Timespec;

use crate::args::OnLost;
use crate::clock::now;
use crate::context::Context;
use crate::job::JobControl;
use crate::output::brief;
use crate::sync::{first, lock};
use crate::take::Take;

/// The lease while the command runs; taken out to release it.
pub(super) type Held = Arc<Mutex<Option<Lease>>>;

/// Ends the command when its lease is lost or its time is up, and remembers that
/// it did.
#[derive(Clone)]
pub(super) struct Watchdog(Arc<Rule>);

struct Rule {
    context: Context,
    name: String,
    token: Token,
    action: OnLost,
    grace: Duration,
    /// When the time of `--max-hold` is up, and how long it was.
    limit: Option<(Duration, Duration)>,
    /// Whether the command was ended, or would have been.
    barked: Mutex<bool>,
    done: Mutex<Done>,
}

/// Whether there is nothing to watch any more, and whom to tell.
#[derive(Default)]
struct Done {
    is_done: bool,
    waker: Option<Waker>,
}

impl Watchdog {
    /// Rules for the lease that was just taken.
    pub(super) fn new(
        context: &Context,
        lease: &Lease,
        plan: &Take,
        action: OnLost,
        max_hold: Option<Duration>,
    ) -> Self {
        // With `warn` the library ends the lease at the limit, and nothing else
        // is to be done then.
        let limit = max_hold.filter(|_| action != OnLost::Warn);
        Self(Arc::new(Rule {
            context: context.clone(),
            name: plan.name.clone(),
            token: lease.token(),
            action,
            grace: plan.grace,
            limit: limit.map(|length| (now().saturating_add(length), length)),
            barked: Mutex::new(false),
            done: Mutex::default(),
        }))
    }

    /// Watches from now on, on threads of its own.
    ///
    /// # Errors
    ///
    /// The system has no room for a thread. Nothing is watched then.
    pub(super) fn start(&self, held: &Held, control: &JobControl) -> io::Result<()> {
        let lost = lock(held).as_ref().map(Lease::lost);
        if let Some(lost) = lost {
            let (dog, held, control) = (self.clone(), Arc::clone(held), control.clone());
            spawn(move || dog.watch_lease(lost, &held, &control))?;
        }
        if let Some((at, length)) = self.0.limit {
            let (dog, control) = (self.clone(), control.clone());
            spawn(move || dog.watch_time(at, length, &control))?;
        }
        Ok(())
    }

    fn watch_lease(&self, lost: impl Future<Output = Loss>, held: &Held, control: &JobControl) {
        let why = block_on(first(async { Some(lost.await) }, self.call_off()));
        // Taken out to be released: the command has ended, and all is well.
        let deadline = lock(held).as_ref().map(Lease::deadline);
        let (Some(why), Some(deadline)) = (why, deadline) else {
            return;
        };
        // What the engine took away may have a new holder already, whatever the
        // deadline says.
        let end = deadline.at().since_start().min(now());
        self.end(end, control);
        self.tell(&why.to_string());
    }

    fn watch_time(&self, at: Duration, length: Duration, control: &JobControl) {
        sleep_until(at);
        self.end(at, control);
        self.tell(&format!("its --max-hold of {} is over", brief(length)));
    }

    /// Ends the command, whose right to run ended at the given moment.
    fn end(&self, at: Duration, control: &JobControl) {
        match self.0.action {
            OnLost::Term => control.end_by(time_to_stop(self.0.grace, at, now())),
            OnLost::Kill => control.kill(),
            OnLost::Warn => {}
        }
    }

    /// Remembers and says, once, that the command ran on without its lease.
    pub(super) fn tell(&self, why: &str) {
        let rule = &*self.0;
        let then = match rule.action {
            OnLost::Term => "the command is told to end, and killed before the grace is over",
            OnLost::Kill => "the command is killed",
            OnLost::Warn => "the command runs on without it",
        };
        if !mem::replace(&mut *lock(&rule.barked), true) {
            rule.context.warn(
                "lost",
                &format!(
                    "the lease of lock {:?} with token {} is lost: {why}; {then}",
                    rule.name, rule.token
                ),
            );
        }
    }

    /// Ends the watch over the lease, which keeps the engine open.
    pub(super) fn stop(&self) {
        let mut done = lock(&self.0.done);
        done.is_done = true;
        if let Some(waker) = done.waker.take() {
            waker.wake();
        }
    }

    async fn call_off<T>(&self) -> Option<T> {
        poll_fn(|context| {
            let mut done = lock(&self.0.done);
            if done.is_done {
                return Poll::Ready(None);
            }
            done.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Whether the lease was lost, or its time was up, while the command ran.
    pub(super) fn has_barked(&self) -> bool {
        *lock(&self.0.barked)
    }
}

/// How long a command may take to stop at `now`, if its right to run ended at
/// `end` and the store keeps others out for the grace from then on. A little less
/// than the rest of the grace: for clocks that run at different rates, and for the
/// kernel to carry the end out.
fn time_to_stop(grace: Duration, end: Duration, now: Duration) -> Duration {
    let margin = grace / 50 + Duration::from_millis(5);
    let gone = end.saturating_add(grace.saturating_sub(margin));
    gone.saturating_sub(now)
}

fn sleep_until(at: Duration) {
    let until = Timespec {
        tv_sec: at.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: at.subsec_nanos().into(),
    };
    // Only a handled signal interrupts it; until then the time is not up.
    while now() < at {
        let _ = clock_nanosleep_absolute(ClockId::Boottime, &until);
    }
}

fn spawn(body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("watchdog".into()).spawn(body)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_must_stop_a_little_before_the_grace_is_over() {
        let s = Duration::from_secs;
        let left = time_to_stop(s(5), s(100), s(100));
        assert!(left < s(5) && left > s(4), "{left:?}");
        assert_eq!(time_to_stop(s(5), s(100), s(105)), Duration::ZERO);
        assert_eq!(time_to_stop(s(0), s(100), s(100)), Duration::ZERO);
        assert!(time_to_stop(s(600), s(100), s(100)) < s(594));
    }
}
