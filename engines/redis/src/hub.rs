//! What the operations of one client share. Lives on the engine's thread.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::quorum::{Health, JoinEvent, NodeId, NodeSet, Proposals, Quorum};
use leasehold_core::{Error, Instant, LockName, Nonce, WakeBoard};
use redis::PushInfo;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;

use crate::RedisOptions;
use crate::clock;
use crate::cluster::SlotTerms;
use crate::fail::{ENGINE, Trouble};
use crate::grant::Grant;
use crate::node::{Node, Standing};
use crate::scripts::{Keys, Scripts};
use crate::tls;
use crate::usual::Late;
use crate::waiters::Waiters;

/// What is known of nonces.
pub(crate) type Grants = RefCell<HashMap<(LockName, Nonce), Rc<Grant>>>;

/// What a node has told unasked.
pub(crate) type Push = (NodeId, PushInfo);

/// What the operations of one client share: on a set of servers, or on one slot of a
/// Redis Cluster, which is a set of its own. What is behind an `Rc` is shared by all
/// slots.
pub(crate) struct Hub {
    pub(crate) options: Rc<RedisOptions>,
    /// How to talk TLS, if the servers do.
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) quorum: Quorum,
    pub(crate) nodes: Vec<Rc<Node>>,
    /// What only a slot of a Cluster has.
    pub(crate) slot: Option<SlotTerms>,
    pub(crate) scripts: Rc<Scripts>,
    pub(crate) proposals: Rc<RefCell<Proposals>>,
    pub(crate) waiters: Rc<Waiters>,
    pub(crate) pushes: mpsc::UnboundedSender<Push>,
    pub(crate) changed: Rc<watch::Sender<u64>>,
    /// Operations without a task of their own.
    pub(crate) late: Rc<Late>,
    pub(crate) grants: Rc<Grants>,
    dice: Cell<u64>,
}

impl Hub {
    pub(crate) fn new(
        options: RedisOptions,
        board: Arc<WakeBoard>,
        pushes: mpsc::UnboundedSender<Push>,
    ) -> Result<Self, Error> {
        let quorum = Quorum::of(options.addresses.len())?;
        let tls = options.tls.as_ref().map(tls::connector).transpose()?;
        let changed = Rc::new(watch::channel(0).0);
        let now = clock::now();
        let nodes = quorum.all().iter().zip(&options.addresses);
        let nodes = nodes.map(|(id, address)| {
            let health = Health::new(options.timeout, now);
            let changed = Rc::clone(&changed);
            Rc::new(Node::new(id, address.to_string(), health, changed))
        });
        Ok(Self {
            quorum,
            tls,
            nodes: nodes.collect(),
            slot: None,
            scripts: Rc::new(Scripts::new(options.retention)),
            proposals: Rc::default(),
            waiters: Rc::new(Waiters::new(board, quorum, random()?)),
            pushes,
            changed,
            late: Rc::default(),
            grants: Rc::default(),
            dice: Cell::new(random()?),
            options: Rc::new(options),
        })
    }

    /// One of the same client, with this node alone.
    pub(crate) fn with_node(&self, node: Rc<Node>, slot: Option<SlotTerms>) -> Self {
        Self {
            options: Rc::clone(&self.options),
            tls: self.tls.clone(),
            quorum: self.quorum,
            changed: Rc::clone(&node.changed),
            late: Rc::clone(&self.late),
            nodes: vec![node],
            slot,
            scripts: Rc::clone(&self.scripts),
            proposals: Rc::clone(&self.proposals),
            waiters: Rc::clone(&self.waiters),
            pushes: self.pushes.clone(),
            grants: Rc::clone(&self.grants),
            dice: Cell::new(self.roll()),
        }
    }

    /// The keys of a lock on these servers.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a name whose keys would be none of ours to use.
    pub(crate) fn keys(&self, name: &LockName) -> Result<Keys, Error> {
        match self.slot {
            None => Keys::of(name, &self.options.prefix),
            Some(_) => Keys::in_cluster(name, &self.options.prefix),
        }
    }

    pub(crate) fn node(&self, id: NodeId) -> &Rc<Node> {
        &self.nodes[id.index()]
    }

    /// The nodes of which this is so.
    pub(crate) fn which(&self, wanted: impl Fn(&Node) -> bool) -> NodeSet {
        let wanted = self.nodes.iter().filter(|node| wanted(node));
        wanted.map(|node| node.id).collect()
    }

    /// The nodes to count on for votes. Those that are late are left out, unless
    /// no quorum is left without them.
    pub(crate) fn voters(&self, among: NodeSet) -> NodeSet {
        let usable = self.which(Node::is_usable).and(among);
        if usable.len() >= self.quorum.size() {
            return usable;
        }
        let joined = |node: &Node| matches!(node.standing(), Standing::Joined);
        self.which(|node| joined(node) && node.live().is_some())
            .and(among)
    }

    /// The nodes to send to whatever is harmless on a node that does not vote.
    pub(crate) fn reachable(&self, among: NodeSet) -> NodeSet {
        let connected = self.which(Node::is_connected).and(among);
        if connected.len() >= self.quorum.size() {
            return connected;
        }
        self.which(|node| node.live().is_some()).and(among)
    }

    /// When an answer is late: later than that of the slowest node in use.
    pub(crate) fn hedge_after(&self, among: NodeSet) -> Duration {
        let each = among.iter().map(|id| self.node(id).hedge_after());
        each.max().unwrap_or(self.options.timeout)
    }

    /// Whether a quorum may vote within moments, although it does not now.
    fn may_soon_vote(&self) -> bool {
        let soon = |node: &Node| {
            matches!(
                node.standing(),
                Standing::Unknown | Standing::Joining(None) | Standing::Joined
            )
        };
        self.which(soon).len() >= self.quorum.size()
    }

    /// Waits for a quorum to vote, if that is a matter of moments.
    pub(crate) async fn ready(&self, limit: Instant) {
        if self.voters(self.quorum.all()).len() >= self.quorum.size() {
            return;
        }
        let mut changed = self.changed.subscribe();
        while self.voters(self.quorum.all()).len() < self.quorum.size()
            && self.may_soon_vote()
            && clock::now() < limit
        {
            tokio::select! {
                _ = changed.changed() => {}
                () = clock::sleep_until(Some(limit)) => {}
            }
        }
    }

    /// Waits until it is known where the slot is served. Has nothing to wait for on a
    /// set of servers.
    pub(crate) async fn located(&self, limit: Instant) {
        if self.slot.is_none() {
            return;
        }
        let mut changed = self.changed.subscribe();
        let moving = |node: &Node| {
            let open = matches!(node.standing(), Standing::Unknown | Standing::Joining(None));
            open && node.live().is_none()
        };
        while !self.which(moving).is_empty() && clock::now() < limit {
            tokio::select! {
                _ = changed.changed() => {}
                () = clock::sleep_until(Some(limit)) => {}
            }
        }
    }

    /// Waits until every node has been heard of.
    pub(crate) async fn all_tried(&self, limit: Instant) {
        let mut changed = self.changed.subscribe();
        let unknown = |node: &Node| matches!(node.standing(), Standing::Unknown);
        while !self.which(unknown).is_empty() && clock::now() < limit {
            tokio::select! {
                _ = changed.changed() => {}
                () = clock::sleep_until(Some(limit)) => {}
            }
        }
    }

    /// Whether the URL says that nothing was granted yet, and that can be true.
    pub(crate) fn is_fresh(&self) -> bool {
        let known = self.slot.as_ref().is_some_and(SlotTerms::is_known);
        self.options.fresh && !known
    }

    /// Why a quorum does not vote, node by node.
    pub(crate) fn unavailable(&self, said: &[(NodeId, Trouble)]) -> Error {
        let (detail, remedy) = self.explain(said);
        Error::unavailable(ENGINE, detail, remedy)
    }

    /// Why a quorum does not vote, node by node, and what to do about it. What is
    /// `said` of a node comes before what is known of it.
    pub(crate) fn explain(&self, said: &[(NodeId, Trouble)]) -> (String, &'static str) {
        let mut details = Vec::new();
        let mut remedy = None;
        for node in &self.nodes {
            let trouble = said.iter().find(|(id, _)| *id == node.id);
            let trouble = match trouble {
                Some((_, trouble)) => Some(trouble.clone()),
                None => why(node),
            };
            if let Some(trouble) = trouble {
                details.push(format!("{}: {}", node.name, trouble.detail));
                remedy.get_or_insert(trouble.remedy);
            }
        }
        let detail = match (details.is_empty(), self.quorum.nodes()) {
            (true, _) => "its servers did not answer in time".to_owned(),
            (_, 1) => details.join("; "),
            (_, nodes) => format!(
                "{} of {nodes} servers must agree, and cannot ({})",
                self.quorum.size(),
                details.join("; ")
            ),
        };
        let usual = "see that the servers run, or give the URL a longer timeout=";
        (detail, remedy.unwrap_or(usual))
    }

    /// Below `end`, at random.
    pub(crate) fn below(&self, end: u32) -> u32 {
        (self.roll() % u64::from(end.max(1))) as u32
    }

    /// Up to `most`, at random. Nothing is decided by it.
    pub(crate) fn up_to(&self, most: Duration) -> Duration {
        most.mul_f64((self.roll() >> 11) as f64 / (1u64 << 53) as f64)
    }

    fn roll(&self) -> u64 {
        let mut dice = self.dice.get() | 1;
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        self.dice.set(dice);
        dice
    }
}

/// Why a node does not vote.
pub(crate) fn why(node: &Node) -> Option<Trouble> {
    let waits =
        |detail: String, remedy| Some(Trouble::new(crate::fail::Kind::Other, detail, remedy));
    match node.standing() {
        Standing::Joined => None,
        Standing::Failed(trouble) => Some(trouble),
        Standing::Unknown => Some(Trouble::timeout()),
        Standing::Joining(Some(JoinEvent::Quarantined { left })) => waits(
            format!(
                "it has no record of earlier leases, and may not vote for another {left:.1?}, until all that it may have granted has run out"
            ),
            "wait, or if these servers are new and have granted nothing yet, give the URL fresh=yes",
        ),
        Standing::Joining(Some(JoinEvent::WaitsForOthers { voting, forgotten })) => waits(
            format!(
                "it has forgotten its counters, and too few of the other servers can tell them ({voting} vote, {forgotten} have forgotten)"
            ),
            "bring the other servers back",
        ),
        Standing::Joining(Some(JoinEvent::WaitsForEra)) => waits(
            "too many servers have forgotten their counters, and era=manual forbids to begin a new era".to_owned(),
            "bring the servers' data back, or open once with era=auto",
        ),
        Standing::Joining(_) => waits("it is joining".to_owned(), "wait a moment"),
    }
}

/// Random bits of the operating system.
pub(crate) fn random() -> Result<u64, Error> {
    Ok(u64::from_ne_bytes(random_bytes()?))
}

/// Random bytes of the operating system.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::unavailable(
            ENGINE,
            format!("no random bytes: {error}"),
            "see that the operating system's random source works",
        )
    })?;
    Ok(bytes)
}
