//! A connection to one server process, and how it fares. A node has one of its own;
//! slots of a Redis Cluster share that of their master.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use leasehold_core::Instant;
use leasehold_core::quorum::Health;
use tokio::sync::Notify;

use crate::link::Link;
use crate::scripts::RunText;

/// One connection, bound to one server process.
pub(crate) struct Bond {
    pub(crate) link: Link,
    pub(crate) serial: u64,
    pub(crate) run: RunText,
    /// Where the server tells the waiters that asked over this connection.
    pub(crate) channel: String,
    /// The scripts of the locks were loaded over it.
    pub(crate) loaded: Cell<bool>,
}

/// The connection of a node, as long as it is that.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) bond: Rc<Bond>,
    pub(crate) generation: u64,
}

impl Deref for Live {
    type Target = Bond;

    fn deref(&self) -> &Bond {
        &self.bond
    }
}

/// How a connection fares, for whoever keeps it alive.
pub(crate) struct Pulse {
    pub(crate) health: RefCell<Health>,
    /// The supervisor has something to look at.
    pub(crate) poked: Notify,
    /// The supervisor sleeps without a time to wake up.
    pub(crate) idle: Cell<bool>,
    /// When it last answered what only the master of a slot answers.
    pub(crate) heard: Cell<Option<Instant>>,
    /// Which connection of it stands, or stood last.
    pub(crate) serial: Cell<u64>,
}

impl Pulse {
    pub(crate) fn new(health: Health) -> Self {
        Self {
            health: RefCell::new(health),
            poked: Notify::new(),
            idle: Cell::new(false),
            heard: Cell::new(None),
            serial: Cell::new(0),
        }
    }

    /// Something that was sent on this connection was answered; by a server that
    /// would not have if it were a replica now, if it `serves`.
    pub(crate) fn answered(&self, sent: Instant, now: Instant, serial: u64, serves: bool) {
        if self.serial.get() == serial {
            self.health.borrow_mut().on_answer(sent, now);
            if serves {
                self.heard.set(Some(now));
            }
        }
    }
}

impl Live {
    /// Something was put into the outbox.
    pub(crate) fn wake(&self) {
        self.link.wake();
    }

    /// Resolves when the connection is given up.
    pub(crate) async fn gone(&self) {
        self.link.gone().await;
    }
}
