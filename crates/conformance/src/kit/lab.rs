//! The store of one case.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use leasehold_core::{AcquireRequest, Capabilities};

use super::{Client, ask};
use crate::agent::Agent;
use crate::{Fixture, Pace, Store};

/// A fresh store, and what a case does around it.
pub(crate) struct Lab {
    fixture: Arc<dyn Fixture>,
    store: Box<dyn Store>,
    pub(crate) can: Capabilities,
    pub(crate) pace: Pace,
}

impl Lab {
    pub(crate) fn new(fixture: Arc<dyn Fixture>) -> Self {
        let store = match fixture.store() {
            Ok(store) => store,
            Err(error) => panic!("no store to test: {error}"),
        };
        let pace = fixture.pace();
        let can = Client::of(&*store, pace).engine.capabilities();
        Self {
            fixture,
            store,
            can,
            pace,
        }
    }

    /// A new client of the store.
    pub(crate) fn client(&self) -> Client {
        Client::of(&*self.store, self.pace)
    }

    /// So many new clients.
    pub(crate) fn clients<const N: usize>(&self) -> [Client; N] {
        std::array::from_fn(|_| self.client())
    }

    /// An ordinary request; see [`ask`].
    pub(crate) fn ask(&self, name: &str) -> AcquireRequest {
        ask(name, self.pace)
    }

    /// An ordinary request that takes a place in the line.
    pub(crate) fn wait(&self, name: &str) -> AcquireRequest {
        super::Ask::patient(self.ask(name), self.pace)
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(crate) fn reopen(&self) {
        if let Err(error) = self.store.reopen() {
            panic!("the store cannot be reopened: {error}");
        }
    }

    pub(crate) fn collect_idle(&self) {
        if let Err(error) = self.store.collect_idle() {
            panic!("idle names cannot be collected: {error}");
        }
    }

    /// Runs something on so many threads at once, each in the fixture's runtime.
    pub(crate) fn together<T: Send>(
        &self,
        threads: usize,
        run: impl Fn(usize) -> T + Sync,
    ) -> Vec<T> {
        let fixture = &*self.fixture;
        let enter = |number| {
            let mut value = None;
            fixture.enter(&mut || value = Some(run(number)));
            value.expect("Fixture::enter runs what it is given")
        };
        let enter = &enter;
        thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|number| scope.spawn(move || enter(number)))
                .collect();
            let ended = running.into_iter().map(|thread| thread.join());
            ended
                .map(|end| end.unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        })
    }

    /// Another process, with a client of this store.
    pub(crate) fn agent(&self) -> Agent {
        let address = self.store.address().expect("the case needs processes");
        Agent::start(&address, self.pace)
    }

    /// Lets real time pass until `after` has passed since `since`.
    pub(crate) fn pass(&self, since: Instant, after: Duration) {
        thread::sleep((since + after).saturating_duration_since(Instant::now()));
    }
}
