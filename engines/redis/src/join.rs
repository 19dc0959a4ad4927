//! Bringing a node to vote, and again whenever it has lapsed.

use std::rc::Rc;
use std::time::Duration;

use leasehold_core::Nonce;
use leasehold_core::quorum::{Failure, Join, JoinCommand, JoinEvent, JoinPlan, JoinReply, NodeId};
use redis::Value;
use tokio::select;
use tokio::sync::mpsc;

use crate::bond::Live;
use crate::clock;
use crate::fail::{Kind, Trouble};
use crate::hub::{Hub, random_bytes};
use crate::node::{Miss, Node, Standing};
use crate::scripts::{NODE, decode_join};

/// How long the first joins wait for the other connections.
const OTHERS: Duration = Duration::from_millis(250);

type Replies = mpsc::UnboundedSender<(NodeId, Result<JoinReply, Failure>)>;

/// Joins the node over this connection, for as long as the connection stands.
pub(crate) async fn keep_joined(hub: Rc<Hub>, node: Rc<Node>, generation: u64) {
    let Some(live) = node.live().filter(|live| live.generation == generation) else {
        return;
    };
    let limit = clock::now().saturating_add(OTHERS);
    hub.all_tried(limit).await;
    let keep = async {
        loop {
            join(&hub, &node, &live).await;
            node.must_join.notified().await;
        }
    };
    select! {
        () = live.gone() => {}
        () = keep => {}
    }
}

/// Joins once.
async fn join(hub: &Rc<Hub>, node: &Rc<Node>, live: &Live) {
    let Ok(ticket) = random_bytes() else {
        return node.broke(
            live.generation,
            Trouble::nonsense("no random bytes to join with"),
        );
    };
    let plan = JoinPlan {
        quorum: hub.quorum,
        node: node.id,
        max_ttl: hub.options.max_ttl,
        durable: hub.options.durable,
        fresh: hub.is_fresh(),
        era: hub.options.era,
        ticket: Nonce::from_bytes(ticket),
    };
    let (replies, mut heard) = mpsc::unbounded_channel();
    let (mut join, mut step) = Join::start(plan, hub.options.timeout);
    loop {
        if let Some((command, nodes)) = step.send {
            for id in nodes.iter() {
                send(hub, hub.node(id), command, id == node.id, &replies);
            }
        }
        if let Some(event) = step.outcome {
            tell(hub, node, event);
        }
        if join.is_done() {
            return;
        }
        step = select! {
            Some((id, reply)) = heard.recv() => join.on_reply(id, reply, clock::now()),
            () = clock::sleep_until(join.wake_at()) => join.on_tick(clock::now()),
        };
    }
}

/// Sends one step to one node; `own` if that is the one that joins.
fn send(hub: &Rc<Hub>, node: &Rc<Node>, command: JoinCommand, own: bool, replies: &Replies) {
    let Some(live) = node.live() else {
        let _ = replies.send((node.id, Err(Failure::NotSent)));
        return;
    };
    let commands = match &hub.slot {
        None => hub.scripts.join(command, &live.run, NODE),
        Some(slot) => slot.join(&hub.scripts, command, &live.run),
    };
    let (hub, to, replies) = (Rc::clone(hub), Rc::clone(node), replies.clone());
    node.send_all(commands, move |answer, generation| {
        let read = |values: Vec<Value>| match &hub.slot {
            None => decode_join(command, &live.run, &values),
            Some(slot) => slot.decode_join(command, &live.run, values),
        };
        let reply = match answer {
            Ok(values) => read(values).map_err(|bad| {
                let trouble = Trouble::nonsense(bad.to_string());
                if own {
                    // Not who it was: that is read at the start of a connection.
                    to.broke(generation, trouble.clone());
                }
                Miss::Refused(trouble)
            }),
            Err(miss) => Err(miss),
        };
        if own && matches!(reply, Ok(JoinReply::Installed)) {
            // Once for all slots that share the connection.
            if hub.slot.is_none() || !live.loaded.get() {
                return load(&hub, &to, &live, &replies);
            }
        }
        let reply = reply.map_err(|miss| failed(&to, miss, own, generation));
        let _ = replies.send((to.id, reply));
    });
}

/// The scripts are loaded before the node counts as joined.
fn load(hub: &Rc<Hub>, node: &Rc<Node>, live: &Live, replies: &Replies) {
    let (inner, to, replies) = (Rc::clone(hub), Rc::clone(node), replies.clone());
    let live = live.clone();
    // Whatever goes over this connection from now on comes behind it.
    live.loaded.set(true);
    node.send_all(hub.scripts.load(), move |answer, generation| {
        let loaded = match answer {
            Ok(values) => inner
                .scripts
                .decode_load(&values)
                .map_err(|bad| Miss::Refused(Trouble::nonsense(bad.to_string()))),
            Err(miss) => Err(miss),
        };
        let reply = match loaded {
            Ok(()) => Ok(JoinReply::Installed),
            Err(miss) => {
                live.loaded.set(false);
                Err(failed(&to, miss, true, generation))
            }
        };
        let _ = replies.send((to.id, reply));
    });
}

fn failed(node: &Node, miss: Miss, own: bool, generation: u64) -> Failure {
    match miss {
        Miss::NotSent => Failure::NotSent,
        Miss::Lost => Failure::Lost,
        Miss::Refused(trouble) => {
            // A slot that is elsewhere has not failed; its supervisor looks for it.
            if own && node.is_current(generation) && trouble.kind != Kind::Elsewhere {
                tracing::debug!(node = %node.name, why = %trouble.detail, "a Redis server cannot join");
                node.set_standing(Standing::Failed(trouble));
            }
            Failure::Refused
        }
    }
}

fn tell(hub: &Hub, node: &Node, event: JoinEvent) {
    let votes = matches!(
        event,
        JoinEvent::Kept | JoinEvent::Rejoined { .. } | JoinEvent::NewEra { .. }
    );
    match &hub.slot {
        None => log(node, event),
        Some(slot) => slot.note(node, event),
    }
    node.set_standing(match votes {
        true => Standing::Joined,
        false => Standing::Joining(Some(event)),
    });
}

fn log(node: &Node, event: JoinEvent) {
    let name = &node.name;
    let same = |old: &JoinEvent| std::mem::discriminant(old) == std::mem::discriminant(&event);
    let old = node.standing();
    // A join that waits says so again and again.
    let told = matches!(&old, Standing::Joining(Some(old)) if same(old));
    match event {
        _ if told => {}
        JoinEvent::Kept => tracing::debug!(node = %name, "a Redis server votes"),
        JoinEvent::Rejoined { floor } => {
            tracing::warn!(node = %name, %floor, "a Redis server had forgotten its counters, and votes again above what the others know");
        }
        JoinEvent::NewEra { floor } => {
            tracing::warn!(node = %name, %floor, "no quorum of Redis servers remembers its counters: a new era of tokens begins");
        }
        JoinEvent::Quarantined { left } => {
            tracing::warn!(node = %name, ?left, "a Redis server has no record of earlier leases and may not vote yet");
        }
        JoinEvent::WaitsForOthers { voting, forgotten } => {
            tracing::debug!(node = %name, voting, forgotten, "a Redis server that has forgotten waits for others");
        }
        JoinEvent::WaitsForEra => {
            tracing::warn!(node = %name, "a new era of tokens needs an operator's word: era=auto");
        }
    }
}
