//! Keeping one node's connection alive.

use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;

use leasehold_core::quorum::Care;
use tokio::select;
use tokio::task::spawn_local;

use crate::clock;
use crate::connect::connect;
use crate::fail::Trouble;
use crate::hub::Hub;
use crate::join;
use crate::node::Node;
use crate::scripts::Packed;

/// Connects, and connects again, for as long as the engine is open.
pub(crate) async fn supervise(hub: Rc<Hub>, node: Rc<Node>) {
    let mut attempt: Attempt = Box::pin(pending());
    loop {
        let care = node.health.borrow_mut().on_tick(clock::now());
        match care {
            Care::None => {}
            Care::Probe => node.send(Packed::of(&["PING"]), |_, _| ()),
            Care::Connect => {
                if node.live().is_some() {
                    tracing::warn!(node = %node.name, "a Redis server has stopped answering; connecting anew");
                    node.give_up(Trouble::timeout());
                }
                attempt = Box::pin(connect_once(Rc::clone(&hub), Rc::clone(&node)));
            }
        }
        let wake_at = node.health.borrow().wake_at();
        node.idle.set(wake_at.is_none());
        select! {
            () = clock::sleep_until(wake_at) => {}
            () = node.poked.notified() => {}
            () = &mut attempt => attempt = Box::pin(pending()),
        }
        node.idle.set(false);
    }
}

type Attempt = Pin<Box<dyn Future<Output = ()>>>;

async fn connect_once(hub: Rc<Hub>, node: Rc<Node>) {
    let generation = node.next_generation();
    let pushes = hub.pushes.clone();
    let id = node.id;
    let pushed = move |info| {
        let _ = pushes.send((id, info));
    };
    match connect(&hub.options, hub.tls.as_ref(), node.id).await {
        Ok((wired, run_id)) => {
            node.install(wired, run_id, generation, pushed);
            hub.waiters.on_lost(node.id);
            node.subscribe(hub.waiters.channel());
            spawn_local(join::keep_joined(hub, node, generation));
        }
        Err(trouble) => {
            tracing::debug!(node = %node.name, why = %trouble.detail, "no connection to a Redis server");
            node.health.borrow_mut().on_disconnected(clock::now());
            node.give_up(trouble);
        }
    }
}
