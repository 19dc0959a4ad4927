//! A request for one lock.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use leasehold_core::{Error, LockName};
use tracing::Instrument;

use crate::Lease;
use crate::acquire::acquire;
use crate::locks::Client;
use crate::options::{Options, setters};

/// A request for one lock, made with [`Locks::lock`](crate::Locks::lock). Nothing
/// happens until it is awaited.
///
/// Any number of tasks of one client may wait for the same lock: they are served
/// in order, and only one of them at a time asks the store.
///
/// # Errors
///
/// * [`Error::Contended`]: busy, and not to be waited for.
/// * [`Error::TimedOut`]: not free within the limit.
/// * [`Error::Invalid`], [`Error::Unsupported`]: the name, the TTL or the mode will
///   not do. Nothing was sent.
/// * [`Error::Unavailable`], [`Error::Damaged`]: the store cannot be used.
/// * [`Error::Indeterminate`]: the outcome is not known. **The lock may be held**
///   until a clean-up release gets through, which is under way, or until TTL +
///   grace.
///
/// With every other error the lock is not held by the caller. A waiter that has a
/// place in the line asks again for up to 3 s if the store fails meanwhile.
///
/// # Cancel safety
///
/// Dropping the future leaves nothing held (C7): a release of whatever it may
/// have taken is carried out in the background, and the next task moves up.
#[must_use = "nothing happens until a request is awaited"]
pub struct LockRequest {
    client: Arc<Client>,
    name: Result<LockName, Error>,
    options: Options,
}

impl LockRequest {
    pub(crate) fn new(client: Arc<Client>, name: &str) -> Self {
        Self {
            client,
            name: LockName::new(name),
            options: Options::default(),
        }
    }

    setters!();
}

impl IntoFuture for LockRequest {
    type Output = Result<Lease, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            let name = self.name?;
            let span = tracing::debug_span!("acquire", lock = %name);
            let started = self.client.driver.now();
            acquire(&self.client, &name, &mut self.options, started)
                .instrument(span)
                .await
        })
    }
}
