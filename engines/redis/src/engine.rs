//! The engine as the library sees it: requests go to its thread.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{
    AcquireRequest, Acquired, BoxFuture, BreakRequest, Broken, Capabilities, Engine, Error,
    ExtendRequest, Extended, LockName, LockStatus, Nonce, Operation, Released, WakeBoard, Wakeup,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

use crate::RedisOptions;
use crate::cluster::Cluster;
use crate::fail::ENGINE;
use crate::grant::Grant;
use crate::hub::Hub;
use crate::thread;
use crate::turn::Turn;
use crate::{extend, list, look, unlock, usual};

/// How often whoever watches looks.
const WATCH: Duration = Duration::from_millis(250);

type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// One thing that the thread is asked to do.
pub(crate) enum Request {
    Acquire(Box<AcquireRequest>, Answer<Acquired>),
    Extend(ExtendRequest, Answer<Extended>),
    Release(LockName, Nonce, Answer<Released>),
    Inspect(LockName, Answer<LockStatus>),
    List(String, Answer<Vec<LockStatus>>),
    Break(BreakRequest, Answer<Broken>),
    /// Answered when it is worth looking again at what is watched.
    Pause(Answer<()>),
}

impl Request {
    /// The lock that it is about, if it is about one.
    pub(crate) fn name(&self) -> Option<&LockName> {
        match self {
            Self::Acquire(request, _) => Some(&request.name),
            Self::Extend(request, _) => Some(&request.name),
            Self::Release(name, ..) | Self::Inspect(name, _) => Some(name),
            Self::Break(request, _) => Some(&request.name),
            Self::List(..) | Self::Pause(_) => None,
        }
    }

    /// Carries it out on a Cluster.
    pub(crate) async fn serve_in(self, cluster: Rc<Cluster>) {
        match self {
            Self::List(prefix, answer) => {
                let _ = answer.send(cluster.list(prefix).await);
            }
            other => {
                let hub = match other.name() {
                    Some(name) => cluster.hub(name),
                    None => Rc::clone(&cluster.base),
                };
                other.serve(hub).await;
            }
        }
    }

    /// Begins with it at once, if its turn has come and it may be the usual case; else
    /// in a task of its own. Requests of one nonce take their turns in the order of
    /// these calls.
    pub(crate) fn begin(self, hub: &Rc<Hub>) {
        match self {
            Self::Acquire(request, answer) => {
                let turn = Turn::take(Grant::of(hub, &request.name, request.nonce));
                usual::acquire(hub, request, turn, answer);
            }
            Self::Extend(request, answer) => {
                let turn = Turn::take(Grant::of(hub, &request.name, request.nonce));
                spawn_local(extend::extend(Rc::clone(hub), request, turn, answer));
            }
            Self::Release(name, nonce, answer) => {
                let turn = Turn::take(Grant::of(hub, &name, nonce));
                usual::release(hub, name, nonce, turn, answer);
            }
            other => {
                spawn_local(other.serve(Rc::clone(hub)));
            }
        }
    }

    /// Carries it out.
    async fn serve(self, hub: Rc<Hub>) {
        match self {
            Self::Acquire(..) | Self::Extend(..) | Self::Release(..) => self.begin(&hub),
            Self::Inspect(name, answer) => {
                let _ = answer.send(look::inspect(&hub, name).await);
            }
            Self::List(prefix, answer) => {
                let _ = answer.send(list::list(&hub, prefix).await);
            }
            Self::Break(request, answer) => {
                let _ = answer.send(unlock::break_lock(&hub, request).await);
            }
            Self::Pause(answer) => {
                tokio::time::sleep(WATCH).await;
                let _ = answer.send(Ok(()));
            }
        }
    }
}

/// Locks on one to nine independent Redis servers.
///
/// Has a thread of its own for all its connections, so that its futures may be
/// polled anywhere. When it is dropped, leases are left to run out; releases that
/// were asked for are carried out first, as far as the servers answer.
#[derive(Debug)]
pub struct RedisEngine {
    requests: mpsc::UnboundedSender<Request>,
    board: Arc<WakeBoard>,
}

/// What this engine can do.
#[must_use]
pub const fn capabilities() -> Capabilities {
    let mut can = Capabilities::all();
    can.wakeup = Wakeup::Pushed;
    can.detects_death = false;
    can
}

impl RedisEngine {
    /// Connects. A minority of servers may be out of reach, or not vote yet.
    ///
    /// Blocks until a quorum votes, or is known not to, for the node's timeout at
    /// most and a little more.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if no quorum can be reached, with the reason for each
    /// server, and [`Error::Invalid`] for certificates that cannot be read. Nothing
    /// is held.
    pub fn open(options: RedisOptions) -> Result<Self, Error> {
        let (ready, readied) = std::sync::mpsc::sync_channel(1);
        let engine = Self::start(options, move |opened| drop(ready.send(opened)))?;
        readied.recv().unwrap_or_else(|_| Err(closed()))?;
        Ok(engine)
    }

    /// [`open`](Self::open) without blocking. May be dropped at any await.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn connect(options: RedisOptions) -> Result<Self, Error> {
        let (ready, readied) = oneshot::channel();
        let engine = Self::start(options, move |opened| drop(ready.send(opened)))?;
        readied.await.unwrap_or_else(|_| Err(closed()))?;
        Ok(engine)
    }

    fn start(
        options: RedisOptions,
        ready: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) -> Result<Self, Error> {
        let board = Arc::new(WakeBoard::default());
        let requests = thread::start(options, Arc::clone(&board), ready)?;
        Ok(Self { requests, board })
    }

    /// Asks the thread at once, and waits for its answer.
    async fn ask<T>(
        &self,
        operation: Option<Operation>,
        request: impl FnOnce(Answer<T>) -> Request,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).map_err(|_| closed())?;
        match (answered.await, operation) {
            (Ok(said), _) => said,
            (Err(_), None) => Err(closed()),
            (Err(_), Some(operation)) => Err(Error::Indeterminate {
                operation,
                engine: ENGINE,
                detail: "its thread has ended".to_owned(),
            }),
        }
    }
}

fn closed() -> Error {
    Error::unavailable(ENGINE, "its thread has ended", "open the engine anew")
}

impl Engine for RedisEngine {
    fn kind(&self) -> &'static str {
        ENGINE
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn acquire<'a>(
        &'a self,
        request: &'a AcquireRequest,
    ) -> BoxFuture<'a, Result<Acquired, Error>> {
        Box::pin(self.ask(Some(Operation::Acquire), |answer| {
            Request::Acquire(Box::new(request.clone()), answer)
        }))
    }

    fn extend<'a>(&'a self, request: &'a ExtendRequest) -> BoxFuture<'a, Result<Extended, Error>> {
        Box::pin(self.ask(Some(Operation::Extend), |answer| {
            Request::Extend(request.clone(), answer)
        }))
    }

    fn release<'a>(
        &'a self,
        name: &'a LockName,
        nonce: Nonce,
    ) -> BoxFuture<'a, Result<Released, Error>> {
        Box::pin(self.ask(Some(Operation::Release), move |answer| {
            Request::Release(name.clone(), nonce, answer)
        }))
    }

    fn hint<'a>(&'a self, _name: &'a LockName, nonce: Nonce) -> BoxFuture<'a, ()> {
        Box::pin(self.board.hinted(nonce))
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<LockStatus, Error>> {
        Box::pin(self.ask(None, |answer| Request::Inspect(name.clone(), answer)))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<LockStatus>, Error>> {
        Box::pin(self.ask(None, |answer| Request::List(prefix.to_owned(), answer)))
    }

    fn break_lock<'a>(&'a self, request: &'a BreakRequest) -> BoxFuture<'a, Result<Broken, Error>> {
        Box::pin(self.ask(Some(Operation::Break), |answer| {
            Request::Break(request.clone(), answer)
        }))
    }

    fn changed<'a>(&'a self, _prefix: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        // Telling of every change would cost each operation a command.
        Box::pin(self.ask(None, Request::Pause))
    }
}
