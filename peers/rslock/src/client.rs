//! What is asked of rslock, in its own documented way.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use rslock::{Lock, LockError, LockManager};

use crate::lines::{Answer, Ask, What, now_us};

/// The delay between retries that rslock has unless told otherwise.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// rslock, and the locks it has.
pub(crate) struct Client {
    manager: LockManager,
    /// The same with one try.
    once: LockManager,
    held: RefCell<HashMap<u64, Held>>,
}

/// A lock, by the id of the acquire.
struct Held {
    lock: Lock,
    /// Until when rslock calls it valid.
    until_us: u64,
}

impl Client {
    pub(crate) fn new(urls: &[String]) -> Result<Self> {
        let manager = LockManager::new(urls.to_vec());
        let mut once = manager.clone();
        once.set_retry(1, RETRY_DELAY);
        Ok(Self {
            manager,
            once,
            held: RefCell::default(),
        })
    }

    pub(crate) async fn carry_out(&self, ask: Ask) -> Answer {
        let sent_us = now_us();
        let mut answer = Answer {
            id: ask.id,
            ok: "error",
            valid_ms: None,
            sent_us,
            got_us: 0,
            text: None,
        };
        match ask.what {
            What::Acquire {
                name,
                ttl_ms,
                wait_ms,
            } => {
                self.acquire(&mut answer, &name, Duration::from_millis(ttl_ms), wait_ms)
                    .await;
            }
            What::Use { lease, pause_ms } => {
                answer.ok = if self.believes(lease) { "used" } else { "lost" };
                if answer.ok == "used" && pause_ms > 0 {
                    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                }
            }
            What::Extend { lease, ttl_ms } => self.extend(&mut answer, lease, ttl_ms).await,
            What::Release { lease } => {
                // Of a release it does not tell what came of it.
                answer.ok = if self.believes(lease) {
                    "released"
                } else {
                    "lost"
                };
                let held = self.held.borrow_mut().remove(&lease);
                if let Some(held) = held {
                    held.lock.release().await;
                }
            }
            What::Quit => {}
        }
        answer.got_us = now_us();
        answer
    }

    async fn acquire(&self, answer: &mut Answer, name: &str, ttl: Duration, wait_ms: u64) {
        let give_up_us = now_us() + wait_ms * 1000;
        let manager = if wait_ms == 0 {
            &self.once
        } else {
            &self.manager
        };
        loop {
            match manager.lock(name.as_bytes(), ttl).await {
                Ok(lock) => return self.hold(answer, answer.id, lock),
                // As its own loop does: whatever the reason, it is tried again.
                Err(error) if now_us() >= give_up_us => {
                    answer.ok = if matches!(error, LockError::Unavailable) {
                        "busy"
                    } else {
                        "error"
                    };
                    answer.text = Some(error.to_string());
                    return;
                }
                Err(_) => {}
            }
        }
    }

    async fn extend(&self, answer: &mut Answer, lease: u64, ttl_ms: u64) {
        let Some(held) = self.held.borrow_mut().remove(&lease) else {
            answer.ok = "lost";
            return;
        };
        match self
            .manager
            .extend(&held.lock, Duration::from_millis(ttl_ms))
            .await
        {
            Ok(lock) => {
                self.hold(answer, lease, lock);
                answer.ok = "extended";
            }
            Err(error) => {
                answer.ok = if matches!(error, LockError::Unavailable) {
                    "lost"
                } else {
                    "error"
                };
                answer.text = Some(error.to_string());
                // It gave the lock up on every server before it tried again.
                let until_us = 0;
                self.held
                    .borrow_mut()
                    .insert(lease, Held { until_us, ..held });
            }
        }
    }

    fn hold(&self, answer: &mut Answer, lease: u64, lock: Lock) {
        let valid_ms = lock.validity_time as u64;
        let until_us = now_us() + valid_ms * 1000;
        answer.ok = "granted";
        answer.valid_ms = Some(valid_ms as f64);
        self.held
            .borrow_mut()
            .insert(lease, Held { lock, until_us });
    }

    /// Whether rslock's own figure says that the lock is valid.
    fn believes(&self, lease: u64) -> bool {
        let held = self.held.borrow();
        held.get(&lease)
            .is_some_and(|held| now_us() < held.until_us)
    }
}
