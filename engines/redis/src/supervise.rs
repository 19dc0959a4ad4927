//! Keeping one node's connection alive.

use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;

use leasehold_core::quorum::Care;
use redis::cmd;
use tokio::select;
use tokio::task::spawn_local;

use crate::clock;
use crate::connect::connect;
use crate::fail::Trouble;
use crate::hub::Hub;
use crate::join;
use crate::node::{Miss, Node};

/// Connects, and connects again, for as long as the engine is open.
pub(crate) async fn supervise(hub: Rc<Hub>, node: Rc<Node>) {
    let mut attempt: Attempt = Box::pin(pending());
    loop {
        let care = node.health.borrow_mut().on_tick(clock::now());
        match care {
            Care::None => {}
            Care::Probe => node.send(cmd("PING"), |_, _| ()),
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

/// Where this client's waiters are told; before anything else is asked.
fn subscribe(hub: &Hub, node: &Rc<Node>) {
    let mut subscribe = cmd("SUBSCRIBE");
    subscribe.arg(hub.waiters.channel());
    let name = node.name.clone();
    node.send(subscribe, move |answer, _| {
        if let Err(Miss::Refused(trouble)) = answer {
            tracing::warn!(node = %name, why = %trouble.detail, "a Redis server does not tell waiters; they poll");
        }
    });
}

type Attempt = Pin<Box<dyn Future<Output = ()>>>;

async fn connect_once(hub: Rc<Hub>, node: Rc<Node>) {
    let generation = node.next_generation();
    let pushes = hub.pushes.clone();
    let id = node.id;
    let pushed = move |info| {
        let _ = pushes.send((id, generation, info));
    };
    let client = &hub.clients[node.id.index()];
    match connect(client, hub.options.timeout, pushed).await {
        Ok((connection, run_id)) => {
            node.install(connection, run_id, generation);
            hub.waiters.on_lost(node.id);
            subscribe(&hub, &node);
            spawn_local(join::keep_joined(hub, node, generation));
        }
        Err(trouble) => {
            tracing::debug!(node = %node.name, why = %trouble.detail, "no connection to a Redis server");
            node.health.borrow_mut().on_disconnected(clock::now());
            node.give_up(trouble);
        }
    }
}
