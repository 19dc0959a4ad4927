//! The engine's thread: all connections and requests of one client.

use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use leasehold_core::{Capabilities, Error, WakeBoard};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

use crate::backend::Backend;
use crate::clock;
use crate::config::SqlOptions;
use crate::engine::Request;
use crate::hub::Hub;
use crate::{capabilities, wakeups};

/// Starts the thread; `ready` is told what the engine can do when it is connected,
/// or why it is not.
pub(crate) fn start(
    options: SqlOptions,
    board: Arc<WakeBoard>,
    ready: impl FnOnce(Result<Capabilities, Error>) + Send + 'static,
) -> Result<mpsc::UnboundedSender<Request>, Error> {
    let kind = options.kind();
    let failed = |error: std::io::Error| {
        Error::unavailable(
            kind,
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
        .name(format!("leasehold-{kind}"))
        .spawn(move || run(&runtime, Arc::new(options), board, asked, ready))
        .map_err(failed)?;
    Ok(requests)
}

fn run(
    runtime: &Runtime,
    options: Arc<SqlOptions>,
    board: Arc<WakeBoard>,
    asked: mpsc::UnboundedReceiver<Request>,
    ready: impl FnOnce(Result<Capabilities, Error>),
) {
    let tasks = LocalSet::new();
    let hub = Backend::new(&options).and_then(|backend| Hub::new(options, board, backend));
    let hub = match hub {
        Ok(hub) => Rc::new(hub),
        Err(error) => return ready(Err(error)),
    };
    tasks.block_on(runtime, async {
        match hub.backend.open().await {
            Err(trouble) => ready(Err(trouble.into_error(hub.kind()))),
            Ok(seen) => {
                hub.note(&seen);
                let wakeup = wakeups::start(&hub).await;
                ready(Ok(capabilities(wakeup)));
                serve(&hub, asked).await;
            }
        }
    });
}

/// Serves requests until the engine is dropped, and then finishes what it can.
async fn serve(hub: &Rc<Hub>, mut asked: mpsc::UnboundedReceiver<Request>) {
    while let Some(request) = asked.recv().await {
        // Tasks are polled in the order they are spawned, so the requests for one
        // name take their turns in the order of the calls.
        spawn_local(request.serve(Rc::clone(hub)));
    }
    let limit = clock::now().saturating_add(hub.options.timeout * 2);
    // Those that were just spawned have not begun.
    tokio::task::yield_now().await;
    while hub.is_busy() && clock::now() < limit {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
