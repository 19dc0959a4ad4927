//! A Redis Cluster: each of its slots is a set of one server, namely its master.
//!
//! A script there may touch keys of one slot only. So a slot has a record of its own
//! and joins like any node: it votes while its record names the run id of the master
//! that serves it. A failover, a slot that moves, a flush: each lapses the slots that
//! it touches, and they join anew. Slots come to be when a lock in them is used first,
//! and are forgotten when they are idle. They share one connection per master.
//!
//! * `map.rs`: which master serves which slots, and `ask.rs`: asking for that.
//!   `shard.rs`: one master.
//!   `witness.rs`: since when it has served them. `slot.rs`: one slot.
//! * `doctor`: see `doctor/cluster.rs`.

mod ask;
pub(crate) mod map;
mod shard;
mod slot;
pub(crate) mod witness;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use leasehold_core::quorum::NodeId;
use leasehold_core::{Error, Instant, LockName, LockStatus};
use redis::PushInfo;
use tokio::select;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, spawn_local};

use crate::address::{Address, Endpoint};
use crate::clock;
use crate::fail::{Kind, Trouble};
use crate::hub::Hub;
use crate::node::Standing;
use crate::scripts::decode_push;
use crate::scripts::slots::slot_of;
use crate::{list, look, waiters};

use ask::keep_map;
pub(crate) use ask::read_map;
use map::{SlotMap, unserved};
use shard::Shard;
use slot::Slot;
pub(crate) use slot::SlotTerms;
use witness::Witness;

const ONE: NodeId = Cluster::NODE;
/// How long before a slot that nobody uses is forgotten.
const IDLE: Duration = Duration::from_secs(30);
/// How long before the map is asked for again when nobody tells.
const RETRY: Duration = Duration::from_millis(250);
/// How many locks are looked at at once for a list.
const AT_ONCE: usize = 64;

/// One Redis Cluster, as one client has it.
pub(crate) struct Cluster {
    /// What all slots share; its node stands for the Cluster's map.
    pub(crate) base: Rc<Hub>,
    map: RefCell<SlotMap>,
    /// How many maps have been read.
    maps: Cell<u64>,
    shards: RefCell<BTreeMap<Endpoint, Rc<Shard>>>,
    slots: RefCell<HashMap<u16, Rc<Slot>>>,
    /// Some client has known the Cluster for longer than any hold.
    is_known: Rc<Cell<bool>>,
    /// The map, or a master, is not what it was.
    changed: watch::Sender<u64>,
    must_refresh: Notify,
    channels: Cell<u64>,
    turns: Cell<usize>,
}

/// Where a slot is.
enum Found {
    Ready(Rc<Shard>),
    /// It will be known in a moment.
    Soon,
    Failed(Trouble),
}

impl Cluster {
    /// Begins to look for the masters.
    pub(crate) fn start(base: Rc<Hub>) -> Rc<Self> {
        let cluster = Rc::new(Self {
            base,
            map: RefCell::default(),
            maps: Cell::new(0),
            shards: RefCell::default(),
            slots: RefCell::default(),
            is_known: Rc::default(),
            changed: watch::channel(0).0,
            must_refresh: Notify::new(),
            channels: Cell::new(0),
            turns: Cell::new(0),
        });
        spawn_local(keep_map(Rc::clone(&cluster)));
        cluster
    }

    /// The set that has this lock. It may take a moment to find.
    pub(crate) fn hub(self: &Rc<Self>, name: &LockName) -> Rc<Hub> {
        let number = slot_of(&format!("{}{name}", self.base.options.prefix));
        let mut slots = self.slots.borrow_mut();
        let slot = slots
            .entry(number)
            .or_insert_with(|| Slot::start(self, number));
        slot.touch(clock::now());
        Rc::clone(&slot.hub)
    }

    /// Forgets slots that nobody uses.
    pub(crate) fn sweep(&self) {
        let now = clock::now();
        self.slots.borrow_mut().retain(|_, slot| {
            let idle = slot.is_idle(IDLE, now);
            if idle {
                slot.forget();
            }
            !idle
        });
    }

    /// Waits until all masters are connected, or until it is known why not.
    pub(crate) async fn opened(&self, limit: Instant) -> Result<(), Error> {
        let mut changed = self.changed.subscribe();
        loop {
            let tried = self.maps.get() > 0 && self.all_tried();
            let failed = matches!(self.base.node(ONE).standing(), Standing::Failed(_));
            if tried || failed || clock::now() >= limit {
                break;
            }
            select! {
                _ = changed.changed() => {}
                () = clock::sleep_until(Some(limit)) => {}
            }
        }
        let shards = self.shards.borrow();
        let up = |shard: &Rc<Shard>| shard.node.live().is_some();
        match shards.values().any(up) {
            true => Ok(()),
            false => Err(match shards.values().next() {
                None => self.base.unavailable(&[]),
                Some(shard) => shard.hub.unavailable(&[]),
            }),
        }
    }

    fn all_tried(&self) -> bool {
        let shards = self.shards.borrow();
        let tried = |shard: &Rc<Shard>| {
            shard.is_ready() || matches!(shard.node.standing(), Standing::Failed(_))
        };
        shards.values().all(tried)
    }

    /// The locks that are held or waited for, by name.
    pub(crate) async fn list(self: &Rc<Self>, prefix: String) -> Result<Vec<LockStatus>, Error> {
        let mut names = std::collections::BTreeSet::new();
        let shards: Vec<_> = self.shards.borrow().values().cloned().collect();
        for shard in shards {
            if !list::scan(&shard.hub, ONE, &prefix, &mut names).await {
                return Err(shard.hub.unavailable(&[]));
            }
        }
        if self.maps.get() == 0 {
            return Err(self.base.unavailable(&[]));
        }
        let mut found = Vec::new();
        let mut looks = JoinSet::new();
        let mut names = names.into_iter();
        loop {
            while looks.len() < AT_ONCE
                && let Some(name) = names.next()
            {
                let hub = self.hub(&name);
                looks.spawn_local(async move { look::inspect(&hub, name).await });
            }
            let Some(looked) = looks.join_next().await else {
                break;
            };
            if let Ok(status) = looked {
                found.push(status?);
            }
        }
        found.retain(LockStatus::is_in_use);
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// Deals with what a server tells unasked.
    pub(crate) fn told(&self, push: &PushInfo) {
        use redis::{PushKind, Value};
        let (PushKind::Message, [Value::BulkString(channel), Value::BulkString(what), ..]) =
            (&push.kind, &push.data[..])
        else {
            return;
        };
        let Some((nonce, push)) = decode_push(what) else {
            return;
        };
        let waiters = &self.base.waiters;
        let Some(name) = waiters.name_of(nonce) else {
            return;
        };
        let number = slot_of(&format!("{}{name}", self.base.options.prefix));
        let slots = self.slots.borrow();
        match slots.get(&number).filter(|slot| slot.hears(channel)) {
            Some(slot) => waiters::told(&slot.hub, ONE, nonce, push),
            // From where the slot was before: worth asking, and no more.
            None => waiters.wake(nonce),
        }
    }

    /// A channel that no other connection of this or another client has.
    fn next_channel(&self) -> String {
        let number = self.channels.get();
        self.channels.set(number + 1);
        format!("{}:{number}", self.base.waiters.channel())
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// The map may be out of date.
    fn refresh(&self) {
        self.must_refresh.notify_one();
    }

    /// Waits until another map has been read, or for a while.
    async fn refreshed(&self) {
        let mut changed = self.changed.subscribe();
        let before = self.maps.get();
        self.refresh();
        let newer = async {
            while self.maps.get() == before {
                let _ = changed.changed().await;
            }
        };
        let _ = tokio::time::timeout(RETRY, newer).await;
    }

    fn find(&self, slot: u16) -> Found {
        if self.maps.get() == 0 {
            return match self.base.node(ONE).standing() {
                Standing::Failed(why) => Found::Failed(why),
                _ => Found::Soon,
            };
        }
        let (map, shards) = (self.map.borrow(), self.shards.borrow());
        let Some(shard) = map.master_of(slot).and_then(|at| shards.get(at)) else {
            return Found::Failed(unserved(slot));
        };
        match shard.node.standing() {
            _ if shard.is_ready() => Found::Ready(Rc::clone(shard)),
            Standing::Failed(mut why) => {
                why.detail = format!("its master {}: {}", shard.node.name, why.detail);
                Found::Failed(why)
            }
            _ => Found::Soon,
        }
    }

    fn is_served_by(&self, slot: u16, shard: &Rc<Shard>) -> bool {
        let (map, shards) = (self.map.borrow(), self.shards.borrow());
        let now = map.master_of(slot).and_then(|at| shards.get(at));
        now.is_some_and(|now| Rc::ptr_eq(now, shard))
    }

    /// What a master's witness said, and says from now on.
    fn note(&self, shard: &Shard, old: Option<&Witness>, new: &Witness, now: u64) {
        let longest = self.base.options.max_ttl;
        if new.known_for(now) > longest {
            self.is_known.set(true);
        }
        let fresh = self.base.options.fresh && !self.is_known.get();
        let waiting = new.younger_than(longest, now);
        if old != Some(new) && waiting > 0 && !fresh {
            tracing::warn!(
                node = %shard.node.name, slots = waiting,
                "a master of a Redis Cluster was not seen to serve these slots so far; \
                 locks there that are new to it wait until what it may not know has run out"
            );
        }
    }

    fn adopt(self: &Rc<Self>, map: SlotMap) {
        let mut shards = self.shards.borrow_mut();
        shards.retain(|endpoint, shard| {
            let stays = map.masters.iter().any(|one| one.endpoint == *endpoint);
            if !stays {
                shard.retire(Trouble::new(
                    Kind::Silent,
                    "it is no master of the Cluster any more",
                    "wait a moment",
                ));
            }
            stays
        });
        for master in &map.masters {
            match shards.get(&master.endpoint) {
                Some(shard) => shard.serves(&master.ranges),
                None => {
                    let endpoint = master.endpoint.clone();
                    let shard = Shard::start(self, endpoint.clone(), master.ranges.clone());
                    shards.insert(endpoint, shard);
                }
            }
        }
        drop(shards);
        self.map.replace(map);
        self.maps.set(self.maps.get() + 1);
    }

    /// Whom to ask for the map: masters and seeds, another one first each time, so
    /// that one which was cut off is not always believed.
    fn sources(&self) -> Vec<Endpoint> {
        let mut all: Vec<Endpoint> = self.shards.borrow().keys().cloned().collect();
        if let [Address::Cluster { seeds }] = &self.base.options.addresses[..] {
            let new = seeds.iter().filter(|seed| !all.contains(seed));
            let new: Vec<_> = new.cloned().collect();
            all.extend(new);
        }
        let turn = self.turns.get();
        self.turns.set(turn.wrapping_add(1));
        let start = turn % all.len().max(1);
        all.rotate_left(start);
        all
    }
}
