//! Taking a lock: ask, wait in line, ask again; and whatever happens, leave
//! nothing behind (C5, C7).

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{
    AcquireRequest, Acquired, Error, Granted, HeldBy, Instant, LockName, Nonce, Operation, Queued,
};

use crate::driver::{CleanUp, Driver, Job, Reason};
use crate::held::{Grant, Held};
use crate::line::Place;
use crate::locks::Client;
use crate::options::{OnWait, Options, Terms, Wait};
use crate::race::race;
use crate::upkeep::Upkeep;
use crate::{Event, Lease};

/// How often a waiter asks again, at least. Three times as long without a word
/// puts it out of the line.
const INTERVAL: Duration = Duration::from_secs(1);

/// How soon it asks again without having been woken, at most.
const SHORTEST: Duration = Duration::from_millis(1);

/// How long a waiter in line puts up with an engine that fails before it gives up:
/// it is out of the line then.
const PATIENCE: Duration = Duration::from_secs(3);

/// The pause after a failed request of a waiter.
const RETRY: Duration = Duration::from_millis(100);

/// How long giving a place back may take before it is left to the background.
const WITHDRAWAL: Duration = Duration::from_secs(2);

/// Takes a lock on these terms.
pub(crate) async fn acquire(
    client: &Arc<Client>,
    name: &LockName,
    options: &mut Options,
    started: Instant,
) -> Result<Lease, Error> {
    let engine = &client.driver.engine;
    let terms = options.check(engine.kind(), engine.capabilities(), &client.owner)?;
    client.driver.start()?;
    let asking = Asking {
        client,
        name,
        terms,
        started,
    };
    match options.wait {
        Wait::No => asking.once().await,
        Wait::For(limit) => {
            let limit = started.saturating_add(limit);
            asking.in_line(Some(limit), &mut options.on_wait).await
        }
        Wait::Forever => asking.in_line(None, &mut options.on_wait).await,
    }
}

/// One caller's wish for one lock.
struct Asking<'a> {
    client: &'a Arc<Client>,
    name: &'a LockName,
    terms: Terms,
    started: Instant,
}

impl Asking<'_> {
    /// Asks once.
    async fn once(&self) -> Result<Lease, Error> {
        let mut attempt = self.attempt(None)?;
        let (sent, answer) = attempt.ask().await;
        let holders = match answer {
            Ok(Acquired::Granted(granted)) => {
                if let Some(lease) = self.lease(&mut attempt, sent, granted) {
                    return Ok(lease);
                }
                attempt.withdraw().await?;
                return Err(self.timed_out(Vec::new()));
            }
            Ok(Acquired::Busy(holders)) => {
                attempt.may_be_held = false;
                holders
            }
            // Not asked for; given back on drop.
            Ok(Acquired::Queued(queued)) => queued.holders,
            Err(error) => {
                attempt.may_be_held = error.may_be_held();
                return Err(error);
            }
        };
        self.tell_contended(attempt.request.nonce, &holders, None);
        Err(Error::Contended {
            name: self.name.clone(),
            holders,
        })
    }

    /// Asks until the lock is granted or the limit comes.
    async fn in_line(
        &self,
        limit: Option<Instant>,
        on_wait: &mut Option<OnWait>,
    ) -> Result<Lease, Error> {
        let driver = &self.client.driver;
        let place = self.client.lines.enter(self.name);
        if driver.within(limit, place.turn()).await.is_none() {
            return Err(self.timed_out(place.holders()));
        }
        let mut attempt = self.attempt(Some(INTERVAL))?;
        let mut waiting = Waiting::new(&place, on_wait);
        loop {
            let Some((sent, answer)) = driver.within(limit, attempt.ask()).await else {
                attempt.withdraw().await?;
                return Err(self.timed_out(place.holders()));
            };
            let pause = match answer {
                Ok(Acquired::Granted(granted)) => {
                    if let Some(lease) = self.lease(&mut attempt, sent, granted) {
                        return Ok(lease);
                    }
                    // Others may be quicker.
                    attempt.withdraw().await?;
                    attempt = self.attempt(Some(INTERVAL))?;
                    waiting.in_line = false;
                    Duration::ZERO
                }
                Ok(Acquired::Queued(queued)) => {
                    waiting.heard = Some(driver.now());
                    waiting.in_line = true;
                    self.note(&mut waiting, attempt.request.nonce, &queued);
                    queued.recheck_after.clamp(SHORTEST, INTERVAL)
                }
                Ok(Acquired::Busy(holders)) => {
                    // An engine that keeps no line.
                    attempt.may_be_held = false;
                    waiting.heard = Some(driver.now());
                    waiting.in_line = false;
                    let queued = Queued {
                        ahead: 0,
                        holders,
                        recheck_after: INTERVAL,
                    };
                    self.note(&mut waiting, attempt.request.nonce, &queued);
                    INTERVAL
                }
                Err(error) if error.is_passing() && waiting.is_patient(driver.now()) => {
                    tracing::debug!(lock = %self.name, %error, "will ask again");
                    waiting.in_line = false;
                    RETRY
                }
                Err(error) => {
                    attempt.may_be_held = waiting.heard.is_some() || error.may_be_held();
                    return Err(error);
                }
            };
            self.pause(&attempt, waiting.in_line, pause, limit).await;
            if limit.is_some_and(|limit| driver.now() >= limit) {
                attempt.withdraw().await?;
                return Err(self.timed_out(place.holders()));
            }
        }
    }

    /// Waits until it is worth asking again.
    async fn pause(
        &self,
        attempt: &Attempt,
        in_line: bool,
        pause: Duration,
        limit: Option<Instant>,
    ) {
        if pause.is_zero() {
            return;
        }
        let driver = &self.client.driver;
        let at = driver.now().saturating_add(pause);
        let timer = driver.sleep_until(limit.map_or(at, |limit| limit.min(at)));
        if in_line {
            race(driver.engine.hint(self.name, attempt.request.nonce), timer).await;
        } else {
            // An engine that expects nobody would hint at once.
            timer.await;
        }
    }

    fn attempt(&self, queue: Option<Duration>) -> Result<Attempt, Error> {
        let terms = &self.terms;
        let driver = &self.client.driver;
        Ok(Attempt {
            driver: Arc::clone(driver),
            request: AcquireRequest {
                name: self.name.clone(),
                nonce: fresh_nonce(driver.engine.kind())?,
                owner: terms.owner.clone(),
                mode: terms.mode,
                ttl: terms.ttl,
                grace: terms.grace,
                lifetime: terms.lifetime,
                queue,
            },
            may_be_held: false,
        })
    }

    /// Makes a lease of a grant. `None` if the answer came too late for anything to
    /// be left of it; then it must be given back.
    fn lease(&self, attempt: &mut Attempt, sent: Instant, granted: Granted) -> Option<Lease> {
        let terms = &self.terms;
        let driver = &self.client.driver;
        let upkeep = Upkeep::new(
            sent,
            terms.ttl,
            granted.until,
            terms.renew,
            terms.max_hold,
            driver.phase,
        );
        let now = driver.now();
        if now >= upkeep.ends() {
            return None;
        }
        attempt.may_be_held = false;
        let request = &attempt.request;
        let grant = Grant {
            name: request.name.clone(),
            owner: request.owner.clone(),
            token: granted.token,
            nonce: request.nonce,
            mode: terms.mode,
            grace: terms.grace,
        };
        driver.tell(&Event::Acquired {
            name: request.name.clone(),
            token: granted.token,
            nonce: request.nonce,
            mode: terms.mode,
            waited: now.saturating_since(self.started),
        });
        let held = Held::begin(driver, grant, upkeep);
        Some(Lease::new(held, Arc::clone(self.client)))
    }

    /// Tells whoever wants to know what the wait looks like now.
    fn note(&self, waiting: &mut Waiting<'_>, nonce: Nonce, queued: &Queued) {
        waiting.place.note(&queued.holders);
        let now = (
            queued.ahead,
            queued.holders.iter().map(|h| h.nonce).collect(),
        );
        if waiting.told.as_ref() == Some(&now) {
            return;
        }
        if waiting.told.replace(now).is_none() {
            self.tell_contended(nonce, &queued.holders, Some(queued.ahead));
        }
        if let Some(told) = waiting.on_wait {
            told(queued);
        }
    }

    fn tell_contended(&self, nonce: Nonce, holders: &[HeldBy], ahead: Option<usize>) {
        self.client.driver.tell(&Event::Contended {
            name: self.name.clone(),
            nonce,
            holders: holders.to_vec(),
            ahead,
        });
    }

    fn timed_out(&self, holders: Vec<HeldBy>) -> Error {
        Error::TimedOut {
            name: self.name.clone(),
            waited: self.client.driver.now().saturating_since(self.started),
            holders,
        }
    }
}

/// How the wait goes.
struct Waiting<'a> {
    place: &'a Place<'a>,
    on_wait: &'a mut Option<OnWait>,
    /// When the engine last answered.
    heard: Option<Instant>,
    /// Whether the last answer gave us a place in the store's line.
    in_line: bool,
    /// What was told last: how many are ahead, and who holds the lock.
    told: Option<(usize, Vec<Nonce>)>,
}

impl<'a> Waiting<'a> {
    const fn new(place: &'a Place<'a>, on_wait: &'a mut Option<OnWait>) -> Self {
        Self {
            place,
            on_wait,
            heard: None,
            in_line: false,
            told: None,
        }
    }

    fn is_patient(&self, now: Instant) -> bool {
        self.heard
            .is_some_and(|heard| now.saturating_since(heard) < PATIENCE)
    }
}

/// One nonce, and what the store may have under it.
struct Attempt {
    driver: Arc<Driver>,
    request: AcquireRequest,
    /// Whether a release is owed when this is dropped.
    may_be_held: bool,
}

impl Attempt {
    /// Sends the request. Also tells when, to count the deadline from (C2).
    async fn ask(&mut self) -> (Instant, Result<Acquired, Error>) {
        self.may_be_held = true;
        let sent = self.driver.now();
        (sent, self.driver.engine.acquire(&self.request).await)
    }

    /// Gives back whatever the store has under this nonce.
    ///
    /// # Errors
    ///
    /// [`Error::Indeterminate`] if the store did not confirm it; the background
    /// goes on trying.
    async fn withdraw(mut self) -> Result<(), Error> {
        let driver = Arc::clone(&self.driver);
        let limit = driver.now().saturating_add(WITHDRAWAL);
        let release = driver
            .engine
            .release(&self.request.name, self.request.nonce);
        let detail = match driver.within(Some(limit), release).await {
            Some(Ok(_)) => {
                self.may_be_held = false;
                return Ok(());
            }
            Some(Err(error)) => error.to_string(),
            None => "no answer came".to_owned(),
        };
        Err(Error::Indeterminate {
            operation: Operation::Acquire,
            engine: driver.engine.kind(),
            detail: format!(
                "the wait ended, and giving the place in the line back failed: {detail}"
            ),
        })
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.may_be_held {
            let kept = self.request.ttl.get() + self.request.grace + PATIENCE;
            self.driver.spawn(Job::CleanUp(CleanUp {
                name: self.request.name.clone(),
                nonce: self.request.nonce,
                until: self.driver.now().saturating_add(kept),
                reason: Reason::Attempt,
            }));
        }
    }
}

/// A nonce of the operating system's randomness.
pub(crate) fn fresh_nonce(engine: &'static str) -> Result<Nonce, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::unavailable(
            engine,
            format!("no random bytes for a nonce: {error}"),
            "see that the operating system's random source works",
        )
    })?;
    Ok(Nonce::from_bytes(bytes))
}
