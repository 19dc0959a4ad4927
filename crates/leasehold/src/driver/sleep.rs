//! Waiting for a moment, on any runtime or none.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use leasehold_core::Instant;

use super::agenda::Timer;
use super::{Driver, TimerId, wake};

/// Resolves at a moment of the client's clock. The thread must have been started.
pub(crate) struct Sleep<'a> {
    driver: &'a Arc<Driver>,
    at: Instant,
    id: Option<TimerId>,
}

impl<'a> Sleep<'a> {
    pub(super) const fn new(driver: &'a Arc<Driver>, at: Instant) -> Self {
        let id = None;
        Self { driver, at, id }
    }
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.driver.now() >= self.at {
            return Poll::Ready(());
        }
        let mut agenda = self.driver.agenda();
        let id = self.id.unwrap_or_else(|| agenda.next_id());
        let old = agenda.unset(self.at, id);
        let waker = agenda.set(self.at, id, Timer::Task(context.waker().clone()));
        drop(agenda);
        drop(old);
        self.id = Some(id);
        wake(waker);
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let timer = self.driver.agenda().unset(self.at, id);
            drop(timer);
        }
    }
}
