//! Giving back what may be held after a failure, a cancellation or a drop.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{Instant, LockName, Loss, Nonce, Released};

use super::Driver;
use crate::Event;
use crate::held::Held;

/// How long the engine has to answer before the release is sent again.
const ATTEMPT: Duration = Duration::from_secs(3);

/// The first pause between two tries; doubles up to [`MAX_PAUSE`].
const PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A release that is owed to the store.
pub(crate) struct CleanUp {
    pub(crate) name: LockName,
    pub(crate) nonce: Nonce,
    /// From when on the store has let go of the nonce by itself.
    pub(crate) until: Instant,
    pub(crate) reason: Reason,
}

/// Why a release is owed.
pub(crate) enum Reason {
    /// An acquire failed or was cancelled.
    Attempt,
    /// A lease was dropped, or its own release failed.
    Dropped(Arc<Held>),
    /// A lost lease: the store lost it, or its guard is done with it.
    Lost(Arc<Held>, Loss),
}

impl CleanUp {
    pub(super) async fn run(self, driver: &Arc<Driver>) {
        let answer = self.release(driver).await;
        match (&self.reason, answer) {
            (Reason::Dropped(held), Some(answer)) => held.tell_released(answer),
            (Reason::Lost(held, Loss::Gone), _) => held.ask_who_broke_it().await,
            _ => {}
        }
    }

    async fn release(&self, driver: &Arc<Driver>) -> Option<Released> {
        let mut pause = PAUSE;
        loop {
            let limit = driver.now().saturating_add(ATTEMPT);
            let release = driver.engine.release(&self.name, self.nonce);
            match driver.within(Some(limit), release).await {
                Some(Ok(answer)) => return Some(answer),
                Some(Err(error)) if !error.is_passing() => {
                    tracing::warn!(lock = %self.name, %error, "clean-up release failed");
                    return None;
                }
                Some(Err(error)) => {
                    tracing::debug!(lock = %self.name, %error, "clean-up release will be tried again");
                }
                None => tracing::debug!(lock = %self.name, "clean-up release got no answer"),
            }
            let now = driver.now();
            if now >= self.until {
                return None;
            }
            driver.sleep_until(now.saturating_add(pause)).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}

impl Held {
    /// A grant that the store no longer has may have been broken by hand.
    async fn ask_who_broke_it(&self) {
        let driver = self.driver();
        let Ok(status) = driver.engine.inspect(self.name()).await else {
            return;
        };
        let last = status
            .last_break
            .filter(|last| last.ended.contains(&self.token()));
        if let Some(last) = last {
            driver.tell(&Event::Broken {
                name: self.name().clone(),
                token: self.token(),
                nonce: self.nonce(),
                by: last.by,
                reason: last.reason,
            });
        }
    }
}
