//! One slot of a Cluster, for as long as its locks are used here.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use leasehold_core::Instant;
use leasehold_core::quorum::{Health, JoinCommand, JoinEvent, JoinReply, NodeId};
use redis::Value;
use tokio::select;
use tokio::sync::watch;
use tokio::task::{AbortHandle, spawn_local};

use super::shard::Shard;
use super::witness::{Witness, needs_witness, testify};
use super::{Cluster, Found, ONE};
use crate::clock;
use crate::hub::Hub;
use crate::join::keep_joined;
use crate::node::{Node, Standing};
use crate::scripts::info::decode_info;
use crate::scripts::{BadReply, Packed, RunText, Scripts, decode_join, record_in};

/// How old the last answer over a connection may be for it to be taken for the server
/// that it was. A master that is demoted, loses writes by that and is promoted again
/// takes longer than this to do it, and an idle connection would not notice.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// How long before a slot that nobody serves is looked for again.
const PAUSE: Duration = Duration::from_millis(250);

/// What the operations of a slot need besides what every set has.
pub(crate) struct SlotTerms {
    slot: u16,
    record: String,
    /// The master it was last attached to.
    shard: RefCell<Option<Rc<Shard>>>,
    /// Some client has known the Cluster for longer than any hold.
    is_known: Rc<Cell<bool>>,
}

impl SlotTerms {
    /// Whether the Cluster is known to have been in use for longer than any hold.
    pub(crate) fn is_known(&self) -> bool {
        self.is_known.get()
    }

    /// A step of the slot's join, with what tells since when its master has it. That
    /// is read behind the notice, so that no flush falls in between unseen.
    pub(crate) fn join(&self, scripts: &Scripts, step: JoinCommand, run: &RunText) -> Packed {
        let mut commands = scripts.join(step, run, &self.record);
        if needs_witness(&step) {
            let shard = self.shard.borrow();
            let key = shard.as_ref().map(|shard| shard.witness_key());
            commands.words(&["GET", key.as_deref().unwrap_or(&self.record)]);
        }
        commands
    }

    /// The answers to that.
    pub(crate) fn decode_join(
        &self,
        step: JoinCommand,
        run: &RunText,
        mut values: Vec<Value>,
    ) -> Result<JoinReply, BadReply> {
        if !needs_witness(&step) {
            return decode_join(step, run, &values);
        }
        let text = values.pop().unwrap_or_default();
        let info = values.last().map(decode_info).transpose()?;
        let evicted = info.is_none_or(|info| info.evicted);
        let text: Option<String> = redis::from_redis_value(text).unwrap_or_default();
        let witness = text.as_deref().and_then(Witness::read);
        let reply = decode_join(step, run, &values)?;
        Ok(testify(reply, witness.as_ref(), self.slot, evicted))
    }

    /// What came of a join. What befalls a whole master is told by its witness.
    pub(crate) fn note(&self, node: &Node, event: JoinEvent) {
        tracing::debug!(node = %node.name, ?event, "a slot of a Redis Cluster");
        if let (JoinEvent::Quarantined { .. }, Some(shard)) = (event, &*self.shard.borrow()) {
            shard.must_witness.notify_one();
        }
    }
}

/// One slot that is in use here.
pub(crate) struct Slot {
    pub(crate) number: u16,
    pub(crate) hub: Rc<Hub>,
    node: Rc<Node>,
    used: Cell<Instant>,
    task: RefCell<Option<AbortHandle>>,
}

impl Slot {
    /// Begins to look for it.
    pub(super) fn start(cluster: &Rc<Cluster>, number: u16) -> Rc<Self> {
        let base = &cluster.base;
        let now = clock::now();
        let name = format!("slot {number} of the Cluster");
        let changed = Rc::new(watch::channel(0).0);
        let health = Health::new(base.options.timeout, now);
        let node = Rc::new(Node::new(ONE, name, health, changed));
        // A call for several locks would have to know which are in one slot.
        node.outbox.together.set(false);
        let terms = SlotTerms {
            slot: number,
            record: record_in(number),
            shard: RefCell::default(),
            is_known: Rc::clone(&cluster.is_known),
        };
        let slot = Rc::new(Self {
            number,
            hub: Rc::new(base.with_node(Rc::clone(&node), Some(terms))),
            node,
            used: Cell::new(now),
            task: RefCell::default(),
        });
        let task = spawn_local(keep(Rc::clone(cluster), Rc::clone(&slot)));
        slot.task.replace(Some(task.abort_handle()));
        slot
    }

    /// An operation begins. It does not count on a connection that may have become
    /// another server's while nobody listened.
    pub(super) fn touch(&self, now: Instant) {
        self.used.set(now);
        let trusted = |heard: Instant| now.saturating_since(heard) < TRUSTED_FOR;
        if let Some(live) = self.node.live()
            && !self.node.heard().is_some_and(trusted)
        {
            self.node.lapse(live.generation);
        }
    }

    /// Whether it has not been used for so long, and nothing of it is under way.
    pub(super) fn is_idle(&self, length: Duration, now: Instant) -> bool {
        // The slot itself, and the join that goes on in its task.
        now.saturating_since(self.used.get()) >= length && Rc::strong_count(&self.hub) <= 2
    }

    pub(super) fn forget(&self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    /// Whether this is the connection on which its master tells of it.
    pub(super) fn hears(&self, channel: &[u8]) -> bool {
        let live = self.node.live();
        live.is_some_and(|live| live.channel.as_bytes() == channel)
    }

    /// Is served by this master, until that changes.
    async fn serve(&self, cluster: &Cluster, shard: &Rc<Shard>) {
        if let Some(terms) = &self.hub.slot {
            terms.shard.replace(Some(Rc::clone(shard)));
        }
        let Some(live) = self.node.attach(&shard.node) else {
            return;
        };
        let mut changed = cluster.changed.subscribe();
        let moves = async {
            while cluster.is_served_by(self.number, shard) {
                let _ = changed.changed().await;
            }
        };
        let displaced = select! {
            () = keep_joined(Rc::clone(&self.hub), Rc::clone(&self.node), live.generation) => false,
            () = moves => false,
            () = self.node.displaced.notified() => true,
        };
        // An error that a slot's master gives is worth telling; else it is a moment.
        self.node.detach(match self.node.standing() {
            failed @ Standing::Failed(_) => failed,
            _ => Standing::Joining(None),
        });
        if displaced {
            cluster.refreshed().await;
        }
    }
}

/// Keeps a slot attached to whichever master serves it.
async fn keep(cluster: Rc<Cluster>, slot: Rc<Slot>) {
    let mut changed = cluster.changed.subscribe();
    loop {
        changed.borrow_and_update();
        let failed = match cluster.find(slot.number) {
            Found::Ready(shard) => {
                slot.serve(&cluster, &shard).await;
                continue;
            }
            Found::Soon => false,
            Found::Failed(why) => {
                slot.node.detach(Standing::Failed(why));
                true
            }
        };
        select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(PAUSE), if failed => cluster.refresh(),
        }
    }
}

/// The only node of each set.
const fn only_node() -> NodeId {
    match NodeId::new(0) {
        Some(node) => node,
        None => panic!("every set has a first node"),
    }
}

impl Cluster {
    /// The only node of each slot, and of each master.
    pub(super) const NODE: NodeId = only_node();
}
