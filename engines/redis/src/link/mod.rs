//! One connection to a server: commands leave in the order in which they are
//! queued, and each is told its answer.
//!
//! Everything is done by one task per connection, [`drive`]: it reads what has
//! come, tells it, and writes what was queued meanwhile. A task that is woken runs
//! after those that were woken before, so whatever one round of answers sets off
//! goes out in one write.
//!
//! * `parse.rs`: reading RESP3. `scan.rs`: whether a long answer is all there.
//!   `incoming.rs`: what has come and was not read yet.

mod incoming;
mod parse;
mod scan;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use leasehold_core::Instant;
use redis::{ErrorKind, PushInfo, PushKind, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

use crate::fail::Trouble;
use crate::scripts::Packed;

pub(crate) use incoming::Incoming;
pub(crate) use parse::Malformed;
#[cfg(feature = "fuzzing")]
pub(crate) use parse::parse;

/// How much of what was written is kept as room for more.
const ROOM: usize = 64 << 10;

/// Bytes to and from a server, whatever carries them.
pub(crate) trait Carrier: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Carrier for T {}

/// A connection that was made: what carries it, and what has come already.
pub(crate) struct Wired {
    pub(crate) carrier: Box<dyn Carrier>,
    pub(crate) incoming: Incoming,
}

/// What came of a command: its answers as far as they came, or nothing if the
/// connection ended first.
pub(crate) type Told = Option<Answers>;

/// The answers to what was sent in one go.
pub(crate) enum Answers {
    /// To one command. Apart from the others, since it is nearly all there is.
    One(Value),
    /// To several.
    All(Vec<Value>),
}

/// Is told what came of a command, and when that was.
pub(crate) type Then = Box<dyn FnOnce(Told, Instant)>;

/// The answers that a command will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaits {
    /// So many.
    Answers(usize),
    /// A push that confirms a subscription or its end, or else an error.
    Confirmation,
}

/// The near end of a connection. What is queued here is not bounded: a connection
/// over which nothing comes back is soon given up.
pub(crate) struct Link {
    state: RefCell<State>,
    ended: Notify,
}

#[derive(Default)]
struct State {
    /// Queued, and not taken by the task yet.
    out: Vec<u8>,
    waiting: VecDeque<Waiting>,
    /// The task; `None` while it is awake, or soon will be.
    task: Option<Waker>,
    ended: bool,
}

struct Waiting {
    awaits: Awaits,
    /// Answers so far, where several are awaited.
    answers: Vec<Value>,
    then: Then,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            state: RefCell::default(),
            ended: Notify::new(),
        }
    }

    /// Queues commands; `then` is told what came of them, exactly once unless the
    /// task is dropped. Never at once, so it may be called from anywhere.
    pub(crate) fn send(&self, commands: &Packed, awaits: Awaits, then: Then) {
        let mut state = self.state.borrow_mut();
        // Once it has ended, the task tells what is waiting that nothing came.
        if !state.ended {
            state.out.extend_from_slice(commands.bytes());
        }
        state.waiting.push_back(Waiting {
            awaits,
            answers: Vec::new(),
            then,
        });
        state.wake();
    }

    /// Something is to be sent: whoever drives the connection is asked for it soon.
    pub(crate) fn wake(&self) {
        self.state.borrow_mut().wake();
    }

    /// Ends the connection: what is under way on it is lost.
    pub(crate) fn end(&self) {
        let mut state = self.state.borrow_mut();
        state.ended = true;
        state.wake();
        self.ended.notify_waiters();
    }

    /// Resolves when the connection has ended.
    pub(crate) async fn gone(&self) {
        let ended = self.ended.notified();
        if !self.state.borrow().ended {
            ended.await;
        }
    }

    /// Tells whoever waits first. Answers and confirmations come in order.
    fn tell(&self, value: Value, now: Instant) -> Result<(), Malformed> {
        let mut state = self.state.borrow_mut();
        let Some(first) = state.waiting.front_mut() else {
            return Err(Malformed("an answer to nothing"));
        };
        let answers = match first.awaits {
            Awaits::Answers(0..=1) => Answers::One(value),
            Awaits::Answers(count) => {
                first.answers.push(value);
                if first.answers.len() < count {
                    return Ok(());
                }
                Answers::All(std::mem::take(&mut first.answers))
            }
            Awaits::Confirmation => match value {
                Value::ServerError(_) | Value::Push { .. } => Answers::One(value),
                _ => return Err(Malformed("an answer to another command")),
            },
        };
        let first = state.waiting.pop_front();
        // It may send.
        drop(state);
        if let Some(first) = first {
            (first.then)(Some(answers), now);
        }
        Ok(())
    }

    fn awaits_confirmation(&self) -> bool {
        let state = self.state.borrow();
        let first = state.waiting.front();
        first.is_some_and(|first| first.awaits == Awaits::Confirmation)
    }

    fn lose_all(&self, now: Instant) {
        loop {
            let first = self.state.borrow_mut().waiting.pop_front();
            match first {
                Some(first) => (first.then)(None, now),
                None => return,
            }
        }
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

/// Carries everything over one connection until it breaks or is ended. `clock`
/// tells the time, once for each round of answers; `pushed` is told what the
/// server says unasked, `broke` why the connection broke. Before anything is written,
/// `gather` may send what it has kept back until then.
pub(crate) async fn drive(
    link: &Link,
    wired: Wired,
    clock: fn() -> Instant,
    gather: impl Fn(),
    pushed: impl Fn(PushInfo),
    broke: impl FnOnce(Trouble),
) {
    let mut task = Task {
        link,
        wired,
        clock,
        gather,
        pushed,
        writing: Vec::new(),
        written: 0,
    };
    if let Err(trouble) = poll_fn(|cx| task.poll(cx)).await {
        broke(trouble);
    }
    link.end();
    link.lose_all(clock());
}

struct Task<'a, G, P> {
    link: &'a Link,
    wired: Wired,
    clock: fn() -> Instant,
    gather: G,
    pushed: P,
    /// Being written, and how much of it has been.
    writing: Vec<u8>,
    written: usize,
}

impl<G: Fn(), P: Fn(PushInfo)> Task<'_, G, P> {
    /// Ready when the connection has ended, with the reason if it broke.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        if self.link.state.borrow().ended {
            return Poll::Ready(Ok(()));
        }
        loop {
            let carrier = Pin::new(&mut self.wired.carrier);
            match self.wired.incoming.poll_fill(carrier, cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(true)) => self.read().map_err(malformed)?,
                Poll::Ready(Ok(false)) => return Poll::Ready(Err(cut_off())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(trouble(error))),
            }
        }
        (self.gather)();
        // Whatever is queued from here on wakes this task again.
        let mut state = self.link.state.borrow_mut();
        if state.ended {
            return Poll::Ready(Ok(()));
        }
        state.task = Some(cx.waker().clone());
        drop(state);
        match self.poll_write(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(trouble(error))),
            _ => Poll::Pending,
        }
    }

    fn read(&mut self) -> Result<(), Malformed> {
        let now = (self.clock)();
        while let Some(value) = self.wired.incoming.next()? {
            match value {
                Value::Push { kind, data } if !self.confirms(&kind) => {
                    (self.pushed)(PushInfo { kind, data });
                }
                value => self.link.tell(value, now)?,
            }
        }
        Ok(())
    }

    fn confirms(&self, kind: &PushKind) -> bool {
        matches!(kind, PushKind::Subscribe | PushKind::Unsubscribe)
            && self.link.awaits_confirmation()
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.written == self.writing.len() {
                self.writing.clear();
                self.writing.shrink_to(ROOM);
                self.written = 0;
                std::mem::swap(&mut self.writing, &mut self.link.state.borrow_mut().out);
            }
            let mut carrier = Pin::new(&mut self.wired.carrier);
            if self.writing.is_empty() {
                return carrier.poll_flush(cx);
            }
            let rest = &self.writing[self.written..];
            let length = ready!(carrier.as_mut().poll_write(cx, rest))?;
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += length;
        }
    }
}

/// The connection is of no more use.
pub(crate) fn trouble(error: io::Error) -> Trouble {
    Trouble::of(&RedisError::from(error))
}

/// The server closed the connection.
pub(crate) fn cut_off() -> Trouble {
    trouble(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the server closed the connection",
    ))
}

/// What came cannot be an answer.
pub(crate) fn malformed(Malformed(why): Malformed) -> Trouble {
    let what = "what came cannot be understood";
    Trouble::of(&RedisError::from((ErrorKind::Parse, what, why.to_owned())))
}
