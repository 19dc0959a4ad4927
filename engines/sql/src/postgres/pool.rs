//! A few connections, so that commits can share a write to disk.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Mutex;
use tokio_postgres::Client;

use super::{Postgres, connect};
use crate::fail::Trouble;

/// The connections that carry requests.
#[derive(Default)]
pub(super) struct Pool {
    all: RefCell<Vec<Rc<Pooled>>>,
    /// Held by whoever connects.
    connecting: Mutex<()>,
}

/// One of them. Requests are sent without waiting for those before.
pub(super) struct Pooled {
    pub(super) client: Client,
    requests: Cell<usize>,
    given_up: Cell<bool>,
}

/// A request under way.
pub(super) struct Used<'a>(&'a Pooled);

impl Pool {
    /// The connection with the least to do; a new one if all have something to do
    /// and there may be more.
    pub(super) async fn get(&self, postgres: &Postgres) -> Result<Rc<Pooled>, Trouble> {
        if let Some(free) = self.best(postgres.options.connections) {
            return Ok(free);
        }
        let _connecting = self.connecting.lock().await;
        // Somebody may have connected meanwhile.
        if let Some(free) = self.best(postgres.options.connections) {
            return Ok(free);
        }
        let (client, connection) = connect(postgres).await?;
        // Ends with its client, or tells by that that it is closed.
        tokio::spawn(async move { drop(connection.await) });
        let pooled = Rc::new(Pooled {
            client,
            requests: Cell::new(0),
            given_up: Cell::new(false),
        });
        self.all.borrow_mut().push(Rc::clone(&pooled));
        Ok(pooled)
    }

    fn best(&self, most: usize) -> Option<Rc<Pooled>> {
        let mut all = self.all.borrow_mut();
        all.retain(|one| !one.given_up.get() && !one.client.is_closed());
        let best = all.iter().min_by_key(|one| one.requests.get())?;
        (best.requests.get() == 0 || all.len() >= most).then(|| Rc::clone(best))
    }
}

impl Pooled {
    /// Counts a request, until what is returned is dropped.
    pub(super) fn begin(&self) -> Used<'_> {
        self.requests.set(self.requests.get() + 1);
        Used(self)
    }

    /// Lets nobody use it any more.
    pub(super) fn give_up(&self) {
        self.given_up.set(true);
    }
}

impl Drop for Used<'_> {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get() - 1);
    }
}
