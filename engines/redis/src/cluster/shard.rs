//! One master of a Cluster: its connection, and its witness.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use leasehold_core::quorum::Health;
use redis::Value;
use tokio::select;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::{AbortHandle, spawn_local};

use super::map::Range;
use super::witness::Witness;
use super::{Cluster, ONE};
use crate::address::Endpoint;
use crate::bond::Live;
use crate::clock;
use crate::connect::connect;
use crate::fail::{Kind, Trouble};
use crate::hub::Hub;
use crate::node::{Miss, Node};
use crate::scripts::{Packed, witness_in};
use crate::supervise::{Attempt, failed, supervise};

/// How often the witness is looked at for slots that wait for it.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is tried to write, when other clients write as well.
const TRIES: usize = 5;

/// One master of a Cluster.
pub(crate) struct Shard {
    pub(crate) endpoint: Endpoint,
    /// Its connection; it does not join, its slots do.
    pub(crate) node: Rc<Node>,
    /// For what is asked of the whole server.
    pub(crate) hub: Rc<Hub>,
    ranges: RefCell<Vec<Range>>,
    /// The generation of the connection on which the witness was seen to.
    witnessed: Cell<Option<u64>>,
    /// The witness must be looked at again.
    pub(crate) must_witness: Notify,
    supervisor: RefCell<Option<AbortHandle>>,
}

impl Shard {
    /// A master that was not known so far; it is connected at once.
    pub(super) fn start(cluster: &Rc<Cluster>, endpoint: Endpoint, ranges: Vec<Range>) -> Rc<Self> {
        let base = &cluster.base;
        let health = Health::new(base.options.timeout, clock::now());
        let changed = Rc::new(watch::channel(0).0);
        let node = Rc::new(Node::new(ONE, endpoint.to_string(), health, changed));
        let shard = Rc::new(Self {
            hub: Rc::new(base.with_node(Rc::clone(&node), None)),
            node: Rc::clone(&node),
            endpoint,
            ranges: RefCell::new(ranges),
            witnessed: Cell::new(None),
            must_witness: Notify::new(),
            supervisor: RefCell::new(None),
        });
        let (cluster, own) = (Rc::clone(cluster), Rc::clone(&shard));
        let connect =
            move || -> Attempt { Box::pin(connect_shard(Rc::clone(&cluster), Rc::clone(&own))) };
        let task = spawn_local(supervise(node, connect));
        shard.supervisor.replace(Some(task.abort_handle()));
        shard
    }

    /// It is a master no more, or serves nothing.
    pub(super) fn retire(&self, why: Trouble) {
        if let Some(task) = self.supervisor.take() {
            task.abort();
        }
        self.node.give_up(why);
    }

    /// The Cluster says that it serves these slots now.
    pub(super) fn serves(&self, ranges: &[Range]) {
        if *self.ranges.borrow() != ranges {
            self.ranges.replace(ranges.to_vec());
            self.must_witness.notify_one();
        }
    }

    /// Whether its connection stands and its witness was seen to.
    pub(crate) fn is_ready(&self) -> bool {
        let live = self.node.live().map(|live| live.generation);
        live.is_some() && live == self.witnessed.get()
    }

    /// The key of the witness.
    pub(crate) fn witness_key(&self) -> String {
        let last = self.ranges.borrow().last().map_or(0, |range| range.1);
        witness_in(last)
    }

    /// Looks at the witness and brings it up to date. What is asked for with the key
    /// that is there may be refused; then its slots wait by their tickets.
    async fn witness(&self, cluster: &Cluster, live: &Live) {
        for _ in 0..TRIES {
            let key = self.witness_key();
            let Some((old, now)) = self.look(&key).await else {
                return;
            };
            let ranges = self.ranges.borrow().clone();
            let seen = Witness::read(&old);
            let next = Witness::next(seen.as_ref(), live.run.run_id(), &ranges, now);
            cluster.note(self, seen.as_ref(), &next, now);
            let text = next.to_string();
            if text == old {
                return;
            }
            let write = self.hub.scripts.witness(&key, &old, &text);
            match self.ask(write).await.as_deref() {
                Some([_, Value::Int(1)]) => return,
                Some(_) => {}
                None => return,
            }
        }
    }

    /// What the key holds, and the server's time.
    async fn look(&self, key: &str) -> Option<(String, u64)> {
        let mut commands = Packed::of(&["GET", key]);
        commands.words(&["TIME"]);
        let said = self.ask(commands).await?;
        let [text, time] = &said[..] else {
            return None;
        };
        let text: Option<String> = redis::from_redis_value_ref(text).ok()?;
        let (seconds, micros): (u64, u64) = redis::from_redis_value_ref(time).ok()?;
        let now = seconds.saturating_mul(1_000_000).saturating_add(micros);
        Some((text.unwrap_or_default(), now))
    }

    async fn ask(&self, commands: Packed) -> Option<Vec<Value>> {
        let (tell, told) = oneshot::channel();
        self.node.send_all(commands, move |answer, _| {
            let _ = tell.send(answer);
        });
        match told.await.ok()? {
            Ok(values) => Some(values),
            Err(Miss::Refused(why)) => {
                tracing::debug!(node = %self.node.name, why = %why.detail, "no witness on a master of a Redis Cluster");
                None
            }
            Err(_) => None,
        }
    }
}

async fn connect_shard(cluster: Rc<Cluster>, shard: Rc<Shard>) {
    let node = &shard.node;
    let generation = node.next_generation();
    let base = &cluster.base;
    let pushes = base.pushes.clone();
    let pushed = move |info| {
        let _ = pushes.send((ONE, info));
    };
    match connect(&base.options, base.tls.as_ref(), &shard.endpoint).await {
        Ok(wired) => {
            // One for each connection: what is told there comes in order with its
            // answers, and what a server tells over the Cluster's bus does not.
            let channel = cluster.next_channel();
            node.install(wired, generation, channel, pushed);
            base.waiters.on_lost(ONE);
            node.subscribe();
            spawn_local(keep(Rc::clone(&cluster), Rc::clone(&shard), generation));
        }
        Err(trouble) => {
            failed(node, trouble);
            cluster.refresh();
        }
    }
    cluster.tell();
}

/// Sees to the witness for as long as this connection stands.
async fn keep(cluster: Rc<Cluster>, shard: Rc<Shard>, generation: u64) {
    let live = shard.node.live();
    let Some(live) = live.filter(|live| live.generation == generation) else {
        return;
    };
    let keep = async {
        loop {
            shard.witness(&cluster, &live).await;
            shard.witnessed.set(Some(generation));
            cluster.tell();
            shard.must_witness.notified().await;
            tokio::time::sleep(PAUSE).await;
        }
    };
    select! {
        () = keep => {}
        () = live.gone() => {}
    }
    // A slot may have found out that it is another server than it was.
    let why = Trouble::new(
        Kind::Silent,
        "the connection was given up",
        "wait a moment: it is being made anew",
    );
    shard.node.broke(generation, why);
    cluster.tell();
    cluster.refresh();
}
