//! The thread itself: a loop over the agenda inside a small tokio runtime, which
//! runs the jobs as tasks.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use leasehold_core::{BoxFuture, ExtendRequest, Instant};

use super::agenda::{Next, Timer};
use super::{Driver, Job};
use crate::race::{First, race};

/// Starts the thread. It keeps the driver, and with it the engine, until it ends.
pub(super) fn spawn(driver: &Arc<Driver>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let driver = Arc::clone(driver);
    std::thread::Builder::new()
        .name("leasehold-driver".to_owned())
        .spawn(move || {
            let mut alarm = None;
            runtime.block_on(poll_fn(|context| driver.turn(&mut alarm, context)));
        })
        .map(drop)
}

/// The one timer that is armed: a moment, and the wait for it.
type Alarm = Option<(Instant, BoxFuture<'static, ()>)>;

impl Driver {
    /// Does what is due, then arms the alarm for what comes next.
    fn turn(self: &Arc<Self>, alarm: &mut Alarm, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let armed = alarm.as_ref().map(|(at, _)| *at);
            let next = self.agenda().next(self.now(), armed, context.waker());
            match next {
                Next::Stop => return Poll::Ready(()),
                Next::Work(timers, jobs) => {
                    timers.into_iter().for_each(|timer| self.set_off(timer));
                    jobs.into_iter().for_each(|job| self.start_job(job));
                }
                Next::Sleep(until) => {
                    let (_, wait) = alarm
                        .take_if(|(at, _)| *at == until)
                        .unwrap_or_else(|| (until, self.wait_until(until)));
                    let (_, wait) = alarm.insert((until, wait));
                    if wait.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                    *alarm = None;
                }
            }
        }
    }

    fn wait_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        let clock = Arc::clone(&self.clock);
        Box::pin(async move { clock.wait_until(at).await })
    }

    fn set_off(&self, timer: Timer) {
        match timer {
            Timer::Lease(held) => held.tick(self.now()),
            Timer::Task(waker) => waker.wake(),
        }
    }

    fn start_job(self: &Arc<Self>, job: Job) {
        // Counts the job as finished even if it panics.
        let running = Running {
            driver: Arc::clone(self),
            is_clean_up: job.is_clean_up(),
        };
        tokio::spawn(async move { job.run(&running.driver).await });
    }
}

struct Running {
    driver: Arc<Driver>,
    is_clean_up: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        let wakers = self.driver.agenda().finished(self.is_clean_up);
        wakers.into_iter().for_each(std::task::Waker::wake);
    }
}

impl Job {
    async fn run(self, driver: &Arc<Driver>) {
        match self {
            Self::CleanUp(clean_up) => clean_up.run(driver).await,
            Self::Renew { held, attempt } => {
                let Some(ttl) = held.current(attempt) else {
                    return;
                };
                let request = ExtendRequest {
                    name: held.name().clone(),
                    nonce: held.nonce(),
                    ttl,
                };
                // Before anything is sent (C2).
                let sent = driver.now();
                // The lease may end while the store is silent.
                let answer = race(driver.engine.extend(&request), held.settled(attempt)).await;
                if let First::Left(answer) = answer {
                    // The lease tells everybody who should know.
                    let _ = held.settle(attempt, ttl, sent, answer);
                }
            }
        }
    }
}
