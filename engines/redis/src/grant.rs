//! What this client knows of one nonce.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use leasehold_core::quorum::{MAX_NODES, NodeId, NodeSet};
use leasehold_core::{Deadline, Instant, LockName, Mode, Nonce, Owner, Token};
use tokio::sync::Notify;

use crate::clock;
use crate::hub::Hub;
use crate::turn::Turns;

/// A lease that was granted to this client, or that it has extended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) deadline: Deadline,
    pub(crate) grace: Duration,
    /// Not known if another client acquired it.
    pub(crate) known: Option<Known>,
}

/// What only the client that acquired a lease knows of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) token: Token,
    pub(crate) mode: Mode,
}

/// What this client knows of one nonce.
///
/// A nonce may be asked for again while the release of an earlier attempt is under
/// way, and that release would delete the new key as well. So a node that is owed
/// a release, or that has lost one on its way, is left out of the next attempt.
#[derive(Default)]
pub(crate) struct Grant {
    /// The requests of a nonce are carried out one after the other.
    pub(crate) turns: Turns,
    pub(crate) held: Cell<Option<Held>>,
    /// The nodes that were asked for it, and may have the key.
    pub(crate) asked: Cell<NodeSet>,
    /// Whether it has a place in the line.
    pub(crate) waits: Cell<bool>,
    /// Who asked for it.
    pub(crate) owner: RefCell<Option<Owner>>,
    /// The permit that was asked for last.
    pub(crate) slot: Cell<Option<u32>>,
    /// The longest that any node was asked to keep the key.
    pub(crate) hold: Cell<Duration>,
    /// From when on all that is noted here is over.
    until: Cell<Option<Instant>>,
    /// How many releases were sent, to whatever node.
    pub(crate) releases: Cell<u32>,
    /// How many releases each node is owed.
    owed: RefCell<[u16; MAX_NODES]>,
    /// Nodes on which a release was lost on its way: it may yet arrive.
    pub(crate) astray: Cell<NodeSet>,
    /// A node was owed and no longer is.
    pub(crate) paid: Notify,
}

impl Grant {
    /// The one of this name and nonce; a new one if nothing is known.
    pub(crate) fn of(hub: &Hub, name: &LockName, nonce: Nonce) -> Rc<Self> {
        let mut grants = hub.grants.borrow_mut();
        let grant = grants.entry((name.clone(), nonce)).or_default();
        Rc::clone(grant)
    }

    /// Notes that nodes may have the key for as long as this from now on.
    pub(crate) fn ask(&self, nodes: NodeSet, hold: Duration) {
        self.asked.set(self.asked.get().or(nodes));
        self.hold.set(self.hold.get().max(hold));
        let until = clock::now().saturating_add(hold + hold / 100 + Duration::from_secs(1));
        self.until.set(self.until.get().max(Some(until)));
    }

    /// The nodes that are owed a release.
    pub(crate) fn owed(&self) -> NodeSet {
        let owed = self.owed.borrow();
        let ids = (0..MAX_NODES).filter(|place| owed[*place] > 0);
        ids.filter_map(NodeId::new).collect()
    }

    pub(crate) fn owe(&self, node: NodeId) {
        self.owed.borrow_mut()[node.index()] += 1;
    }

    pub(crate) fn pay(&self, node: NodeId) {
        let mut owed = self.owed.borrow_mut();
        owed[node.index()] = owed[node.index()].saturating_sub(1);
        self.paid.notify_waiters();
    }

    /// Forgets what a release has ended.
    pub(crate) fn end(&self) {
        self.held.set(None);
        self.asked.set(NodeSet::EMPTY);
        self.waits.set(false);
        self.slot.set(None);
    }

    fn is_over(&self, now: Instant) -> bool {
        self.owed().is_empty() && self.until.get().is_none_or(|until| until <= now)
    }

    /// Whether nothing has to be remembered.
    fn is_idle(&self) -> bool {
        self.held.get().is_none()
            && !self.waits.get()
            && self.owed().is_empty()
            && self.astray.get().is_empty()
    }
}

/// Drops the grant if nothing has to be remembered and nobody uses it.
pub(crate) fn tidy(hub: &Hub, name: &LockName, nonce: Nonce) {
    let key = (name.clone(), nonce);
    let mut grants = hub.grants.borrow_mut();
    if grants
        .get(&key)
        .is_some_and(|grant| Rc::strong_count(grant) == 1 && grant.is_idle())
    {
        grants.remove(&key);
    }
}

/// Drops the grants whose time is over, and which nobody uses.
pub(crate) fn sweep(hub: &Hub) {
    let now = clock::now();
    hub.grants
        .borrow_mut()
        .retain(|_, grant| Rc::strong_count(grant) > 1 || !grant.is_over(now));
}
