//! Looking at a lock.

use std::rc::Rc;
use std::time::Duration;

use leasehold_core::quorum::{NodeId, NodeSet};
use leasehold_core::{
    BreakStatus, Error, HolderStatus, Instant, LockName, LockStatus, Mode, Nonce, Owner, Token,
    WaiterStatus,
};
use redis::Value;
use tokio::select;
use tokio::sync::mpsc;

use crate::answer::wrong_type;
use crate::bond::Live;
use crate::clock;
use crate::fail::{Kind, Trouble};
use crate::hub::Hub;
use crate::node::{Miss, Node};
use crate::scripts::{BadReply, HeldKey, Lease, Packed, View, decode_status};

/// How much longer than usual a node may take, once a quorum has answered.
const REST: Duration = Duration::from_millis(20);

/// A lock as several nodes have it.
pub(crate) struct Looked {
    pub(crate) views: Vec<(NodeId, View)>,
}

impl Looked {
    /// The leases of ours that there are, each as often as nodes have it.
    pub(crate) fn leases(&self) -> impl Iterator<Item = (&HeldKey, &Lease)> {
        let keys = self.views.iter().flat_map(|(_, view)| &view.holders);
        keys.filter_map(|key| Some((key, key.lease.as_ref()?)))
    }

    /// The values of clients that are not ours.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &HeldKey> {
        let keys = self.views.iter().flat_map(|(_, view)| &view.holders);
        keys.filter(|key| key.lease.is_none())
    }

    /// How many nodes did not answer.
    pub(crate) fn silent(&self, hub: &Hub) -> usize {
        hub.quorum.nodes() - self.views.len()
    }

    /// The greatest counter that a quorum is known to have reached: the token of
    /// the last grant is no greater.
    fn reached(&self, quorum: usize) -> Token {
        let counters = self.views.iter().filter_map(|(_, view)| view.counter);
        rank(counters, quorum).unwrap_or_default()
    }

    /// The last time it was broken by hand: what most nodes tell of.
    fn last_break(&self) -> Option<BreakStatus> {
        let told = || {
            self.views
                .iter()
                .filter_map(|(_, view)| view.last_break.as_ref())
        };
        let most = told().max_by_key(|one| {
            let same = told().filter(|other| other == one).count();
            (same, one.unix_seconds)
        });
        most.cloned()
    }

    /// What each holder's key is, ours by nonce and others by value, on as many
    /// nodes as may be a quorum.
    pub(crate) fn holders(&self, hub: &Hub) -> Vec<Vec<&HeldKey>> {
        let mut holders: Vec<Vec<&HeldKey>> = Vec::new();
        for key in self.views.iter().flat_map(|(_, view)| &view.holders) {
            match holders.iter_mut().find(|other| other[0].is_same(key)) {
                Some(other) => other.push(key),
                None => holders.push(vec![key]),
            }
        }
        let silent = self.silent(hub);
        holders.retain(|keys| keys.len() + silent >= hub.quorum.size());
        holders
    }

    /// Who waits, on as many nodes as may be a quorum, in order. A node that has
    /// given somebody the lock already has it nowhere in its line.
    fn waiters(&self, hub: &Hub) -> Vec<WaiterStatus> {
        let all = || self.views.iter().flat_map(|(_, view)| &view.waiters);
        let mut found: Vec<WaiterStatus> = Vec::new();
        let silent = self.silent(hub);
        for waiter in all() {
            let known = found.iter().any(|other| other.nonce == waiter.nonce);
            let count = all().filter(|other| other.nonce == waiter.nonce).count();
            if !known && count + silent >= hub.quorum.size() {
                let mut status = WaiterStatus::new(waiter.owner.clone(), waiter.mode, waiter.nonce);
                status.waited = waiter.waited;
                found.push(status);
            }
        }
        let last = |nonce| {
            let places = self.views.iter().filter_map(|(_, view)| {
                let mut line = view.waiters.iter();
                line.position(|waiter| waiter.nonce == nonce)
            });
            places.max()
        };
        found.sort_by_key(|waiter| last(waiter.nonce));
        found
    }
}

/// The value that `place` others are no smaller than; the smallest if there are
/// fewer.
pub(crate) fn rank<T: Ord + Copy>(values: impl Iterator<Item = T>, place: usize) -> Option<T> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    let at = values.len().saturating_sub(place);
    values.get(at).copied()
}

/// Asks all nodes that answer.
pub(crate) async fn look(hub: &Rc<Hub>, name: &LockName) -> Result<Looked, Error> {
    let keys = hub.keys(name)?;
    let limit = clock::now().saturating_add(hub.options.timeout);
    loop {
        hub.ready(limit).await;
        let status = |_: &Live, _| hub.scripts.status(&keys);
        let nodes = hub.which(|node| node.live().is_some());
        let said = ask(hub, nodes, limit, status, decode_status).await;
        let (views, troubles) = (said.answers, said.troubles);
        if views.len() >= hub.quorum.size() {
            return Ok(Looked { views });
        }
        let of = |kind| {
            troubles
                .iter()
                .find(|(_, t): &&(NodeId, Trouble)| t.kind == kind)
        };
        if let Some((node, trouble)) = of(Kind::WrongType) {
            return Err(wrong_type(name, &hub.node(*node).name, trouble));
        }
        let passing = of(Kind::NoScript).or(of(Kind::Elsewhere));
        if passing.is_none() || clock::now() >= limit {
            return Err(hub.unavailable(&troubles));
        }
    }
}

/// What nodes said: answers, and refusals.
pub(crate) struct Said<T> {
    pub(crate) answers: Vec<(NodeId, T)>,
    pub(crate) troubles: Vec<(NodeId, Trouble)>,
}

/// Asks each of these nodes once, and waits for all that are not late; for a
/// quorum in any case, until the limit.
pub(crate) async fn ask<T: 'static>(
    hub: &Rc<Hub>,
    nodes: NodeSet,
    limit: Instant,
    question: impl Fn(&Live, NodeId) -> Packed,
    decode: fn(&Value) -> Result<T, BadReply>,
) -> Said<T> {
    let (replies, mut heard) = mpsc::unbounded_channel();
    let mut waiting = nodes;
    let usable = hub.which(Node::is_connected);
    for id in nodes.iter() {
        let node = hub.node(id);
        let Some(live) = node.live() else {
            waiting = waiting.without(NodeSet::only(id));
            continue;
        };
        let replies = replies.clone();
        node.send(question(&live, id), move |answer, _| {
            let said = match answer {
                Ok(value) => decode(&value).map_err(|bad| Some(Trouble::nonsense(bad.to_string()))),
                Err(Miss::Refused(trouble)) => Err(Some(trouble)),
                Err(_) => Err(None),
            };
            let _ = replies.send((id, said));
        });
    }
    let mut said = Said {
        answers: Vec::new(),
        troubles: Vec::new(),
    };
    let mut limit = limit;
    while !waiting.is_empty() {
        if said.answers.len() >= hub.quorum.size() {
            // Those that are late already are not waited for.
            if waiting.and(usable).is_empty() {
                break;
            }
            limit = limit.min(clock::now().saturating_add(hub.hedge_after(usable) + REST));
        }
        select! {
            biased;
            Some((id, answer)) = heard.recv() => {
                waiting = waiting.without(NodeSet::only(id));
                match answer {
                    Ok(answer) => said.answers.push((id, answer)),
                    Err(trouble) => said.troubles.extend(trouble.map(|trouble| (id, trouble))),
                }
            }
            () = clock::sleep_until(Some(limit)) => break,
        }
    }
    said
}

/// The lock as it stands.
pub(crate) async fn inspect(hub: &Rc<Hub>, name: LockName) -> Result<LockStatus, Error> {
    let looked = look(hub, &name).await?;
    Ok(status(hub, name, &looked))
}

pub(crate) fn status(hub: &Hub, name: LockName, looked: &Looked) -> LockStatus {
    let quorum = hub.quorum.size();
    let mut token = looked.reached(quorum);
    let mut holders = Vec::new();
    for keys in looked.holders(hub) {
        let free_in = rank(keys.iter().map(|key| key.free_in), quorum).unwrap_or_default();
        let Some(lease) = &keys[0].lease else {
            holders.push(foreign(keys[0], free_in));
            continue;
        };
        let counter = agreed(&keys).unwrap_or_default();
        let mut holder = HolderStatus::new(lease.owner.clone(), lease.mode, counter, lease.nonce);
        holder.held_for = lease.held_for;
        holder.free_in = free_in;
        holder.remaining = free_in.saturating_sub(lease.grace);
        holders.push(holder);
    }
    holders.sort_by_key(|holder| holder.token);
    // Names share counters, so a free lock's last token is only known to be no
    // greater.
    let last = holders.iter().map(|holder| holder.token).max();
    let free = last.is_none();
    token = last.unwrap_or(token);
    let floor = match (token, free) {
        (Token::NONE, _) => Token::NONE,
        (token, true) => token.saturating_add(1),
        (token, false) => token,
    };
    let mut status = LockStatus::free(name, token, floor);
    status.waiters = looked.waiters(hub);
    // Whoever has it on a minority of the nodes is still waiting for the rest.
    status
        .waiters
        .retain(|waiter| holders.iter().all(|holder| holder.nonce != waiter.nonce));
    status.holders = holders;
    status.last_break = looked.last_break();
    status
}

/// The counter that most of these nodes have.
pub(crate) fn agreed(keys: &[&HeldKey]) -> Option<Token> {
    let counters = || {
        keys.iter()
            .filter_map(|key| Some(key.lease.as_ref()?.counter))
    };
    counters().max_by_key(|one| counters().filter(|other| other == one).count())
}

/// A client that is not one of ours: its key, without token and owner.
fn foreign(key: &HeldKey, free_in: Duration) -> HolderStatus {
    let value = String::from_utf8_lossy(&key.value);
    let shown: String = value.chars().take(40).collect();
    let owner = Owner::new(format!("foreign client (value {shown:?})"));
    let nonce = value.parse().unwrap_or(Nonce::from_bytes([0; 16]));
    let mut holder = HolderStatus::new(owner, Mode::Exclusive, Token::NONE, nonce);
    holder.free_in = free_in;
    holder.remaining = free_in;
    holder
}
