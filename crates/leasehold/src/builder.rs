//! Settings of a client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{Engine, Error, Owner};

use crate::acquire::fresh_nonce;
use crate::driver::Driver;
use crate::{Clock, Locks, Observer, SystemClock, blocking, engines, label};

/// The URL of a client that names none.
const DEFAULT_URL: &str = "local:";

/// Settings of a client, made with [`Locks::builder`].
#[derive(Default)]
#[must_use = "nothing happens until the builder connects"]
pub struct Builder {
    url: Option<String>,
    engine: Option<Arc<dyn Engine>>,
    owner: Option<Owner>,
    observer: Option<Arc<dyn Observer>>,
    clock: Option<Arc<dyn Clock>>,
}

impl Builder {
    /// The URL that chooses the engine and its settings; `local:` by default.
    pub fn url(mut self, url: &str) -> Self {
        self.url = Some(url.to_owned());
        self
    }

    /// An engine that is open already, instead of a URL.
    pub fn engine(mut self, engine: Arc<dyn Engine>) -> Self {
        self.engine = Some(engine);
        self
    }

    /// The label of this client's leases; host, process id and program by default.
    pub fn owner(mut self, owner: impl Into<Owner>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Who is told what happens to the leases.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The clock that deadlines are judged by; [`SystemClock`] by default. For
    /// tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a URL that will not do, with what would;
    /// [`Error::Unavailable`] or [`Error::Damaged`] if the store cannot be opened.
    /// Nothing is held.
    pub async fn connect(self) -> Result<Locks, Error> {
        self.open().await
    }

    /// Connects, for code without async.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    pub fn connect_blocking(self) -> Result<blocking::Locks, Error> {
        pollster::block_on(self.connect()).map(blocking::Locks::from)
    }

    async fn open(self) -> Result<Locks, Error> {
        let engine = match (self.engine, self.url) {
            (Some(engine), None) => engine,
            (None, url) => engines::open(url.as_deref().unwrap_or(DEFAULT_URL)).await?,
            (Some(_), Some(url)) => {
                return Err(Error::invalid(
                    "url",
                    scheme(&url).unwrap_or("(not shown)"),
                    "give the builder an engine or a URL, not both",
                ));
            }
        };
        let phase = phase(engine.kind())?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let driver = Driver::new(engine, clock, self.observer, phase);
        let owner = self.owner.unwrap_or_else(label::of_this_process);
        Ok(Locks::new(driver, owner))
    }
}

/// What stands before the colon, if it can be a scheme.
fn scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    scheme.chars().all(plain).then_some(scheme)
}

/// A random offset for this client's renewals.
fn phase(engine: &'static str) -> Result<Duration, Error> {
    let nonce = fresh_nonce(engine)?;
    let [a, b, c, d, ..] = *nonce.as_bytes();
    Ok(Duration::from_micros(
        u32::from_ne_bytes([a, b, c, d]).into(),
    ))
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            // The rest may hold a password.
            .field("scheme", &self.url.as_deref().and_then(scheme))
            .field("engine", &self.engine.as_ref().map(|engine| engine.kind()))
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}
