//! The engine's thread: all connections, timers and machines of one client.

use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use leasehold_core::{Error, WakeBoard};
use redis::{PushKind, Value};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

use crate::RedisOptions;
use crate::clock;
use crate::cluster::Cluster;
use crate::engine::Request;
use crate::fail::ENGINE;
use crate::grant;
use crate::hub::Hub;
use crate::node::{Node, Standing};
use crate::scripts::decode_push;
use crate::supervise::{Attempt, connect_node, supervise};
use crate::{usual, waiters};

/// How many requests are looked at before what they send is written.
const ROUND: usize = 128;
/// How often what nobody uses any more is forgotten.
const SWEEP: Duration = Duration::from_secs(5);
/// How much longer than the node's timeout opening may take.
const ALLOWANCE: Duration = Duration::from_millis(200);
/// How much longer than for a quorum opening waits for the other servers.
const MOMENT: Duration = Duration::from_millis(100);

/// Starts the thread; `ready` is told when a quorum votes or is known not to.
pub(crate) fn start(
    options: RedisOptions,
    board: Arc<WakeBoard>,
    ready: impl FnOnce(Result<(), Error>) + Send + 'static,
) -> Result<mpsc::UnboundedSender<Request>, Error> {
    let failed = |error: std::io::Error| {
        Error::unavailable(
            ENGINE,
            format!("its thread cannot be started: {error}"),
            "see how many threads and open files this process may have",
        )
    };
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let (requests, asked) = mpsc::unbounded_channel();
    thread::Builder::new()
        .name("leasehold-redis".to_owned())
        .spawn(move || run(&runtime, options, board, asked, ready))
        .map_err(failed)?;
    Ok(requests)
}

fn run(
    runtime: &Runtime,
    options: RedisOptions,
    board: Arc<WakeBoard>,
    asked: mpsc::UnboundedReceiver<Request>,
    ready: impl FnOnce(Result<(), Error>),
) {
    let tasks = LocalSet::new();
    let (pushes, pushed) = mpsc::unbounded_channel();
    let hub = match Hub::new(options, board, pushes) {
        Ok(hub) => Rc::new(hub),
        Err(error) => {
            return ready(Err(error));
        }
    };
    tasks.block_on(runtime, async {
        let cluster = match hub.options.is_cluster() {
            true => Some(Cluster::start(Rc::clone(&hub))),
            false => None,
        };
        if cluster.is_none() {
            supervise_all(&hub);
        }
        spawn_local(listen(Rc::clone(&hub), cluster.clone(), pushed));
        spawn_local(sweep(Rc::clone(&hub), cluster.clone()));
        spawn_local(usual::watch(Rc::clone(&hub.late)));
        let opened = match &cluster {
            None => opened(&hub).await,
            Some(cluster) => {
                let limit = clock::now().saturating_add(hub.options.timeout + ALLOWANCE);
                cluster.opened(limit).await
            }
        };
        let is_open = opened.is_ok();
        ready(opened);
        if is_open {
            serve(&hub, cluster, asked).await;
        }
    });
}

/// Keeps the servers of a set connected.
fn supervise_all(hub: &Rc<Hub>) {
    for node in &hub.nodes {
        let (to, own) = (Rc::clone(hub), Rc::clone(node));
        let connect =
            move || -> Attempt { Box::pin(connect_node(Rc::clone(&to), Rc::clone(&own))) };
        spawn_local(supervise(Rc::clone(node), connect));
    }
}

/// Serves requests until the engine is dropped, and then finishes what it can.
async fn serve(
    hub: &Rc<Hub>,
    cluster: Option<Rc<Cluster>>,
    mut asked: mpsc::UnboundedReceiver<Request>,
) {
    let mut requests = Vec::with_capacity(ROUND);
    while asked.recv_many(&mut requests, ROUND).await > 0 {
        for request in requests.drain(..) {
            match &cluster {
                None => request.begin(hub),
                // Tasks are polled in the order they are spawned, so the requests of
                // one nonce take their turns in the order of the calls.
                Some(cluster) => drop(spawn_local(request.serve_in(Rc::clone(cluster)))),
            }
        }
    }
    // Clean-ups and releases under way hold on to their grants.
    let limit = clock::now().saturating_add(hub.options.timeout);
    while clock::now() < limit {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let grants = hub.grants.borrow();
        let busy = |grant: &Rc<grant::Grant>| Rc::strong_count(grant) > 1;
        if !grants.values().any(busy) {
            return;
        }
    }
}

/// Waits until all servers vote, or until it is known why not; once a quorum votes,
/// for the rest no longer than a moment.
async fn opened(hub: &Hub) -> Result<(), Error> {
    let mut limit = clock::now().saturating_add(hub.options.timeout + ALLOWANCE);
    let mut changed = hub.changed.subscribe();
    let quorum = hub.quorum.size();
    let joined = |node: &Node| matches!(node.standing(), Standing::Joined);
    let open = |node: &Node| matches!(node.standing(), Standing::Unknown | Standing::Joining(None));
    let mut has_quorum = false;
    loop {
        let joined = hub.which(joined).len();
        if joined >= quorum && !has_quorum {
            has_quorum = true;
            limit = limit.min(clock::now().saturating_add(MOMENT));
        }
        if hub.which(open).is_empty() || clock::now() >= limit {
            break;
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = clock::sleep_until(Some(limit)) => {}
        }
    }
    if has_quorum {
        return Ok(());
    }
    let failed = |node: &Node| matches!(node.standing(), Standing::Unknown | Standing::Failed(_));
    match hub.quorum.nodes() - hub.which(failed).len() >= quorum {
        true => Ok(()),
        false => Err(hub.unavailable(&[])),
    }
}

async fn listen(
    hub: Rc<Hub>,
    cluster: Option<Rc<Cluster>>,
    mut pushed: mpsc::UnboundedReceiver<crate::hub::Push>,
) {
    while let Some((node, push)) = pushed.recv().await {
        if let Some(cluster) = &cluster {
            cluster.told(&push);
        } else if let (PushKind::Message, [_, Value::BulkString(what), ..]) =
            (push.kind, &push.data[..])
            && let Some((nonce, push)) = decode_push(what)
        {
            waiters::told(&hub, node, nonce, push);
        }
    }
}

async fn sweep(hub: Rc<Hub>, cluster: Option<Rc<Cluster>>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        grant::sweep(&hub);
        if let Some(cluster) = &cluster {
            cluster.sweep();
        }
    }
}
