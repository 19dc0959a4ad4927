//! Waiters of this client, and the releases that wake them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::quorum::{NodeId, NodeSet, Quorum};
use leasehold_core::{Instant, Nonce, WakeBoard};
use redis::{PushKind, Value};
use tokio::task::spawn_local;

use crate::clock;
use crate::hub::{Hub, Push};
use crate::node::Node;

/// How long after the first server told of a release the others may take before
/// the waiters are woken all the same.
const REST: Duration = Duration::from_millis(5);
/// How long a channel without waiters stays subscribed: a lock that is waited for
/// is waited for again soon.
const LINGER: Duration = Duration::from_secs(10);

/// Waiters by channel.
pub(crate) struct Wakes {
    board: Arc<WakeBoard>,
    quorum: Quorum,
    channels: RefCell<HashMap<String, Channel>>,
}

struct Channel {
    waiters: Vec<Nonce>,
    /// When the last waiter left.
    idle_since: Instant,
    /// What was published last, and the servers that have told of it.
    told: Vec<u8>,
    by: NodeSet,
}

impl Wakes {
    pub(crate) fn new(board: Arc<WakeBoard>, quorum: Quorum) -> Self {
        Self {
            board,
            quorum,
            channels: RefCell::default(),
        }
    }

    /// Starts to keep hints for a waiter. Called before the servers are asked: on
    /// each connection the subscription goes first.
    pub(crate) fn expect(&self, nodes: &[Rc<Node>], channel: &str, nonce: Nonce) {
        self.board.expect(nonce);
        let mut channels = self.channels.borrow_mut();
        if let Some(known) = channels.get_mut(channel) {
            if !known.waiters.contains(&nonce) {
                known.waiters.push(nonce);
            }
            return;
        }
        channels.insert(
            channel.to_owned(),
            Channel {
                waiters: vec![nonce],
                idle_since: clock::now(),
                told: Vec::new(),
                by: NodeSet::EMPTY,
            },
        );
        for node in nodes {
            node.subscribe(channel);
        }
    }

    /// Stops keeping hints for a waiter; whoever waits for one is woken.
    pub(crate) fn forget(&self, channel: &str, nonce: Nonce) {
        self.board.hint(nonce);
        self.board.forget(nonce);
        if let Some(known) = self.channels.borrow_mut().get_mut(channel) {
            known.waiters.retain(|waiter| *waiter != nonce);
            known.idle_since = clock::now();
        }
    }

    /// A connection stands anew: what was published meanwhile is not known.
    pub(crate) fn subscribe_all(&self, node: &Rc<Node>) {
        for channel in self.channels.borrow().keys() {
            node.subscribe(channel);
        }
        self.board.hint_all();
    }

    /// Gives up channels that nobody has waited on for a while.
    pub(crate) fn sweep(&self, nodes: &[Rc<Node>]) {
        let now = clock::now();
        self.channels.borrow_mut().retain(|channel, known| {
            let keep = !known.waiters.is_empty() || now.saturating_since(known.idle_since) < LINGER;
            if !keep {
                for node in nodes {
                    node.unsubscribe(channel);
                }
            }
            keep
        });
    }

    /// Something was published. Whether a quorum has told of it, and else whether
    /// it is the first to do so.
    fn published(&self, channel: &str, what: &[u8], by: NodeId) -> (bool, bool) {
        let mut channels = self.channels.borrow_mut();
        let Some(known) = channels.get_mut(channel) else {
            return (false, false);
        };
        let first = known.told != what;
        if first {
            known.told = what.to_vec();
            known.by = NodeSet::EMPTY;
        }
        known.by = known.by.with(by);
        (known.by.len() == self.quorum.size(), first)
    }

    fn wake(&self, channel: &str) {
        if let Some(known) = self.channels.borrow().get(channel) {
            known
                .waiters
                .iter()
                .for_each(|nonce| self.board.hint(*nonce));
        }
    }
}

/// Deals with what a server says unasked.
pub(crate) fn pushed(hub: &Rc<Hub>, (id, push): Push) {
    let (PushKind::Message, [Value::BulkString(channel), Value::BulkString(what), ..]) =
        (push.kind, &push.data[..])
    else {
        return;
    };
    let Ok(channel) = std::str::from_utf8(channel) else {
        return;
    };
    let (enough, first) = hub.wakes.published(channel, what, id);
    if enough {
        hub.wakes.wake(channel);
    } else if first {
        // A quorum may never tell: one that was released on fewer.
        let (hub, channel) = (Rc::clone(hub), channel.to_owned());
        spawn_local(async move {
            tokio::time::sleep(REST).await;
            hub.wakes.wake(&channel);
        });
    }
}
