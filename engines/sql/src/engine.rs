//! The engine as the library sees it: requests go to its thread.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{
    AcquireRequest, Acquired, BoxFuture, BreakRequest, Broken, Capabilities, Engine, Error,
    ExtendRequest, Extended, LockName, LockStatus, Nonce, Operation, Released, WakeBoard, Wakeup,
};
use tokio::sync::{mpsc, oneshot};

use crate::SqlOptions;
use crate::drive;
use crate::hub::Hub;
use crate::op::{Answer, Op};
use crate::thread;

/// How often whoever watches looks.
const WATCH: Duration = Duration::from_millis(250);

type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// One thing that the thread is asked to do.
pub(crate) enum Request {
    Carry(Op, Reply<Answer>),
    Inspect(LockName, Reply<LockStatus>),
    List(String, Reply<Vec<LockStatus>>),
    /// Answered when it is worth looking again at what is watched.
    Pause(Reply<()>),
}

impl Request {
    /// Carries it out.
    pub(crate) async fn serve(self, hub: Rc<Hub>) {
        // A reply that nobody waits for any more is no failure.
        match self {
            Self::Carry(op, reply) => {
                let _busy = hub.begin();
                let _ = reply.send(carry_out(&hub, &op).await);
            }
            Self::Inspect(name, reply) => {
                let _ = reply.send(drive::inspect(&hub, &name).await);
            }
            Self::List(prefix, reply) => {
                let _ = reply.send(drive::list(&hub, &prefix).await);
            }
            Self::Pause(reply) => {
                tokio::time::sleep(WATCH).await;
                let _ = reply.send(Ok(()));
            }
        }
    }
}

/// Carries a request out, with its wake-ups kept from before the server is asked.
async fn carry_out(hub: &Hub, op: &Op) -> Result<Answer, Error> {
    match (drive::awaits(op), op) {
        (Some(request), _) => hub.board.expect(request.nonce),
        (None, Op::Release(_, nonce)) => hub.board.forget(*nonce),
        _ => {}
    }
    let answer = drive::carry_out(hub, op).await;
    if let Some(request) = drive::awaits(op)
        && !matches!(answer, Ok(Answer::Acquired(Acquired::Queued(_))))
    {
        hub.board.forget(request.nonce);
    }
    answer
}

/// Locks in a table of a database.
///
/// Has a thread of its own for its connections, so that its futures may be polled
/// anywhere. When it is dropped, leases are left to run out; releases that were
/// asked for are carried out first, as far as the server answers.
#[derive(Debug)]
pub struct SqlEngine {
    kind: &'static str,
    capabilities: Capabilities,
    requests: mpsc::UnboundedSender<Request>,
    board: Arc<WakeBoard>,
}

/// What this engine can do, if the server's wake-ups come like this.
#[must_use]
pub const fn capabilities(wakeup: Wakeup) -> Capabilities {
    let mut can = Capabilities::all();
    can.wakeup = wakeup;
    can.detects_death = false;
    can
}

impl SqlEngine {
    /// Connects, makes the table if there is none, and finds out whether wake-ups
    /// come through.
    ///
    /// Blocks for a few round trips, and for the timeout of the settings at most.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if the server cannot be reached or refuses,
    /// [`Error::Damaged`] if the table is none of ours, [`Error::Invalid`] for
    /// certificates that cannot be read. Nothing is held.
    pub fn open(options: SqlOptions) -> Result<Self, Error> {
        let (ready, readied) = std::sync::mpsc::sync_channel(1);
        let starting = Starting::new(options, move |opened| drop(ready.send(opened)))?;
        let opened = readied
            .recv()
            .unwrap_or_else(|_| Err(closed(starting.kind)))?;
        Ok(starting.done(opened))
    }

    /// [`open`](Self::open) without blocking. May be dropped at any await.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn connect(options: SqlOptions) -> Result<Self, Error> {
        let (ready, readied) = oneshot::channel();
        let starting = Starting::new(options, move |opened| drop(ready.send(opened)))?;
        let opened = readied
            .await
            .unwrap_or_else(|_| Err(closed(starting.kind)))?;
        Ok(starting.done(opened))
    }

    /// Asks the thread at once, and waits for its answer.
    async fn ask<T>(
        &self,
        operation: Option<Operation>,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<T, Error> {
        let (reply, replied) = oneshot::channel();
        let sent = self.requests.send(request(reply));
        sent.map_err(|_| closed(self.kind))?;
        match (replied.await, operation) {
            (Ok(said), _) => said,
            (Err(_), None) => Err(closed(self.kind)),
            (Err(_), Some(operation)) => Err(Error::Indeterminate {
                operation,
                engine: self.kind,
                detail: "its thread has ended".to_owned(),
            }),
        }
    }

    async fn carry(&self, op: Op) -> Result<Answer, Error> {
        self.ask(Some(op.operation()), |reply| Request::Carry(op, reply))
            .await
    }
}

/// An engine whose thread is not ready yet.
struct Starting {
    kind: &'static str,
    requests: mpsc::UnboundedSender<Request>,
    board: Arc<WakeBoard>,
}

impl Starting {
    fn new(
        options: SqlOptions,
        ready: impl FnOnce(Result<Capabilities, Error>) + Send + 'static,
    ) -> Result<Self, Error> {
        let (kind, board) = (options.kind(), Arc::new(WakeBoard::default()));
        let requests = thread::start(options, Arc::clone(&board), ready)?;
        Ok(Self {
            kind,
            requests,
            board,
        })
    }

    fn done(self, capabilities: Capabilities) -> SqlEngine {
        SqlEngine {
            kind: self.kind,
            capabilities,
            requests: self.requests,
            board: self.board,
        }
    }
}

fn closed(kind: &'static str) -> Error {
    Error::unavailable(kind, "its thread has ended", "open the engine anew")
}

impl Engine for SqlEngine {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn acquire<'a>(
        &'a self,
        request: &'a AcquireRequest,
    ) -> BoxFuture<'a, Result<Acquired, Error>> {
        Box::pin(async move {
            match self.carry(Op::Acquire(Box::new(request.clone()))).await? {
                Answer::Acquired(answer) => Ok(answer),
                _ => unreachable!("each request gets the answer of its kind"),
            }
        })
    }

    fn extend<'a>(&'a self, request: &'a ExtendRequest) -> BoxFuture<'a, Result<Extended, Error>> {
        Box::pin(async move {
            match self.carry(Op::Extend(request.clone())).await? {
                Answer::Extended(answer) => Ok(answer),
                _ => unreachable!("each request gets the answer of its kind"),
            }
        })
    }

    fn release<'a>(
        &'a self,
        name: &'a LockName,
        nonce: Nonce,
    ) -> BoxFuture<'a, Result<Released, Error>> {
        Box::pin(async move {
            match self.carry(Op::Release(name.clone(), nonce)).await? {
                Answer::Released(answer) => Ok(answer),
                _ => unreachable!("each request gets the answer of its kind"),
            }
        })
    }

    fn hint<'a>(&'a self, _name: &'a LockName, nonce: Nonce) -> BoxFuture<'a, ()> {
        Box::pin(self.board.hinted(nonce))
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<LockStatus, Error>> {
        Box::pin(self.ask(None, |reply| Request::Inspect(name.clone(), reply)))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<LockStatus>, Error>> {
        Box::pin(self.ask(None, |reply| Request::List(prefix.to_owned(), reply)))
    }

    fn break_lock<'a>(&'a self, request: &'a BreakRequest) -> BoxFuture<'a, Result<Broken, Error>> {
        Box::pin(async move {
            match self.carry(Op::Break(request.clone())).await? {
                Answer::Broken(answer) => Ok(answer),
                _ => unreachable!("each request gets the answer of its kind"),
            }
        })
    }

    fn changed<'a>(&'a self, _prefix: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.ask(None, Request::Pause))
    }
}
