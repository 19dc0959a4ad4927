//! Waiters of this client, and what the servers tell them unasked.
//!
//! Every server tells a waiter on one channel of its client: that the lock was
//! handed over to it, or that a permit is free. So a release wakes those whose turn
//! it is and nobody else.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::quorum::{
    AcquireReply, Handover, HandoverTerms, NodeId, NodeSet, Push, Quorum,
};
use leasehold_core::{Deadline, Instant, LockName, Nonce, Token, WakeBoard};
use tokio::task::spawn_local;

use crate::hub::Hub;

/// How long after the first server told something the others may take before the
/// waiter is woken all the same.
const REST: Duration = Duration::from_millis(5);

/// Waiters by nonce.
pub(crate) struct Waiters {
    board: Arc<WakeBoard>,
    quorum: Quorum,
    channel: String,
    waiters: RefCell<HashMap<Nonce, Waiter>>,
}

struct Waiter {
    name: LockName,
    handover: Handover,
    /// A permit that servers have called free, and which of them did.
    free: Cell<Option<u32>>,
    called_by: Cell<NodeSet>,
}

impl Waiters {
    /// `client` are random bits that no other client has.
    pub(crate) fn new(board: Arc<WakeBoard>, quorum: Quorum, client: u64) -> Self {
        Self {
            board,
            quorum,
            channel: format!("leasehold:to:{client:016x}"),
            waiters: RefCell::default(),
        }
    }

    /// Where the servers tell the waiters of this client. Subscribed to on every
    /// connection before anything else is asked there.
    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// The lock that this waiter waits for.
    pub(crate) fn name_of(&self, nonce: Nonce) -> Option<LockName> {
        let waiters = self.waiters.borrow();
        waiters.get(&nonce).map(|waiter| waiter.name.clone())
    }

    /// Wakes a waiter.
    pub(crate) fn wake(&self, nonce: Nonce) {
        self.board.hint(nonce);
    }

    /// Starts to listen for a waiter. Called before the servers are asked. A waiter
    /// that is known already keeps what it has heard.
    pub(crate) fn expect(&self, name: &LockName, nonce: Nonce, terms: HandoverTerms) {
        self.board.expect(nonce);
        let mut waiters = self.waiters.borrow_mut();
        waiters.entry(nonce).or_insert_with(|| Waiter {
            name: name.clone(),
            handover: Handover::new(terms),
            free: Cell::new(None),
            called_by: Cell::default(),
        });
    }

    /// Stops listening for a waiter; whoever waits for a hint is woken.
    pub(crate) fn forget(&self, nonce: Nonce) {
        if self.waiters.borrow_mut().remove(&nonce).is_some() {
            self.board.hint(nonce);
            self.board.forget(nonce);
        }
    }

    /// The lease that was handed over to this waiter, if a quorum has told of it.
    pub(crate) fn granted(&self, nonce: Nonce) -> Option<(Token, Deadline)> {
        let waiters = self.waiters.borrow();
        let (token, deadline, _) = waiters.get(&nonce)?.handover.granted()?;
        Some((token, deadline))
    }

    /// The permit that was called free for this waiter; told once.
    pub(crate) fn called(&self, nonce: Nonce) -> Option<u32> {
        let waiters = self.waiters.borrow();
        let waiter = waiters.get(&nonce)?;
        waiter.called_by.take();
        waiter.free.take()
    }

    /// A server has answered a waiter's request, sent at this moment.
    pub(crate) fn on_answer(
        &self,
        nonce: Nonce,
        node: NodeId,
        sent: Instant,
        reply: &AcquireReply,
    ) {
        let granted = match reply {
            AcquireReply::Granted { counter } => Some(*counter),
            AcquireReply::Queued { .. } => None,
            _ => return,
        };
        let mut waiters = self.waiters.borrow_mut();
        let Some(waiter) = waiters.get_mut(&nonce) else {
            return;
        };
        waiter.handover.on_answer(node, sent, granted);
        if granted.is_some() && waiter.handover.granted().is_some() {
            drop(waiters);
            self.board.hint(nonce);
        }
    }

    /// The waiter gives up what these servers have given it, up to this counter.
    pub(crate) fn on_yield(&self, nonce: Nonce, nodes: NodeSet, up_to: Token) {
        if let Some(waiter) = self.waiters.borrow_mut().get_mut(&nonce) {
            for node in nodes.iter() {
                waiter.handover.on_yield(node, up_to);
            }
        }
    }

    /// What the waiter has on these servers is being given back.
    pub(crate) fn on_release(&self, nonce: Nonce, nodes: NodeSet) {
        if let Some(waiter) = self.waiters.borrow_mut().get_mut(&nonce) {
            for node in nodes.iter() {
                waiter.handover.on_lost(node);
            }
        }
    }

    /// A server's connection broke: what it told meanwhile is not known.
    pub(crate) fn on_lost(&self, node: NodeId) {
        for waiter in self.waiters.borrow_mut().values_mut() {
            waiter.handover.on_lost(node);
        }
        self.board.hint_all();
    }
}

/// Deals with what a server tells a waiter.
pub(crate) fn told(hub: &Rc<Hub>, node: NodeId, nonce: Nonce, push: Push) {
    let own = &hub.waiters;
    let mut waiters = own.waiters.borrow_mut();
    let Some(waiter) = waiters.get_mut(&nonce) else {
        return;
    };
    let quorum = own.quorum.size();
    let (by, enough) = match push {
        Push::Handed { counter } => {
            hub.proposals.borrow_mut().note(&waiter.name, counter);
            waiter.handover.on_handed(node, counter);
            let handed = waiter.handover.handed();
            (handed, handed >= quorum)
        }
        Push::Free { slot } => {
            if waiter.free.get().is_none() {
                waiter.free.set(Some(slot));
            }
            let by = waiter.called_by.get().with(node);
            waiter.called_by.set(by);
            (by.len(), by.len() >= quorum)
        }
    };
    drop(waiters);
    if enough {
        own.board.hint(nonce);
    } else if by == 1 {
        // A quorum may never tell: the lock was had on fewer, or votes are split.
        let hub = Rc::clone(hub);
        spawn_local(async move {
            tokio::time::sleep(REST).await;
            hub.waiters.board.hint(nonce);
        });
    }
}
