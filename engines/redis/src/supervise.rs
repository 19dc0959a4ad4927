//! Keeping one server's connection alive.

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
use crate::sentinel;

/// One attempt to connect, up to whatever follows at once.
pub(crate) type Attempt = Pin<Box<dyn Future<Output = ()>>>;

/// Connects, and connects again, for as long as the engine is open.
pub(crate) async fn supervise(node: Rc<Node>, connect: impl Fn() -> Attempt) {
    let pulse = node.pulse();
    let mut attempt: Attempt = Box::pin(pending());
    loop {
        let care = pulse.health.borrow_mut().on_tick(clock::now());
        match care {
            Care::None => {}
            Care::Probe => node.send(Packed::of(&["PING"]), |_, _| ()),
            Care::Connect => {
                if node.live().is_some() {
                    tracing::warn!(node = %node.name, "a Redis server has stopped answering; connecting anew");
                    node.give_up(Trouble::timeout());
                }
                attempt = connect();
            }
        }
        let wake_at = pulse.health.borrow().wake_at();
        pulse.idle.set(wake_at.is_none());
        select! {
            () = clock::sleep_until(wake_at) => {}
            () = pulse.poked.notified() => {}
            () = &mut attempt => attempt = Box::pin(pending()),
        }
        pulse.idle.set(false);
    }
}

/// Connects a node of a set, and brings it to vote.
pub(crate) async fn connect_node(hub: Rc<Hub>, node: Rc<Node>) {
    let generation = node.next_generation();
    let pushes = hub.pushes.clone();
    let id = node.id;
    let pushed = move |info| {
        let _ = pushes.send((id, info));
    };
    let address = &hub.options.addresses[id.index()];
    let connected = async {
        let endpoint = sentinel::locate(&hub.options, hub.tls.as_ref(), address).await?;
        connect(&hub.options, hub.tls.as_ref(), &endpoint).await
    };
    match connected.await {
        Ok(wired) => {
            let channel = hub.waiters.channel().to_owned();
            node.install(wired, generation, channel, pushed);
            hub.waiters.on_lost(node.id);
            node.subscribe();
            spawn_local(join::keep_joined(hub, node, generation));
        }
        Err(trouble) => failed(&node, trouble),
    }
}

/// No connection could be made.
pub(crate) fn failed(node: &Node, trouble: Trouble) {
    tracing::debug!(node = %node.name, why = %trouble.detail, "no connection to a Redis server");
    node.pulse()
        .health
        .borrow_mut()
        .on_disconnected(clock::now());
    node.give_up(trouble);
}
