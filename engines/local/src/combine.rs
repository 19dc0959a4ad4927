//! The queue of one client's requests, and who carries them out.
//!
//! Whoever finds the writer free carries out what is queued, its own request and
//! those of others, in as few transactions as possible; usually that is the
//! caller's own thread and one request. What would have to wait for another
//! process, or has grown long, is left to a helper thread, so that an executor's
//! thread never blocks.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use leasehold_core::Error;

use crate::fail::ENGINE;
use crate::step::{Answer, Op};
use crate::transact::Waiting;
use crate::writer::{Finished, Job, Writer};

/// How many transactions a caller carries out for others.
const INLINE_BATCHES: u32 = 4;
/// How long the helper waits for other processes once the client is closing.
const CLOSING: Duration = Duration::from_millis(500);

/// What to do with the results of a batch, before they are told.
pub(crate) trait Aftermath: Send + Sync + 'static {
    /// The batch is committed and the write lock released.
    fn committed(&self, finished: &[Finished], writer: &Writer);
}

/// The queue and its writer.
pub(crate) struct Combiner<A> {
    queue: Mutex<VecDeque<Job>>,
    writer: Mutex<Writer>,
    aftermath: A,
    helper: Mutex<Helper>,
    wanted: Condvar,
}

#[derive(Debug, Default)]
struct Helper {
    thread: Option<JoinHandle<()>>,
    wanted: bool,
    closing: Option<Instant>,
}

impl<A: Aftermath> Combiner<A> {
    pub(crate) fn new(writer: Writer, aftermath: A) -> Self {
        Self {
            queue: Mutex::default(),
            writer: Mutex::new(writer),
            aftermath,
            helper: Mutex::default(),
            wanted: Condvar::new(),
        }
    }

    pub(crate) fn aftermath(&self) -> &A {
        &self.aftermath
    }

    /// Queues a request.
    pub(crate) fn push(&self, op: Op) -> oneshot::Receiver<Result<Answer, Error>> {
        let (tell, told) = oneshot::channel();
        lock(&self.queue).push_back(Job { op, tell });
        told
    }

    /// Carries out what is queued, unless somebody else does or it would block.
    pub(crate) fn lead(self: &Arc<Self>) {
        let mut batches = 0;
        // Whoever holds the writer looks at the queue again after letting go of it,
        // so nothing that was pushed meanwhile is left behind.
        while !lock(&self.queue).is_empty() {
            let mut writer = match self.writer.try_lock() {
                Ok(writer) => writer,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            loop {
                self.fetch(&mut writer);
                if writer.pending().is_empty() {
                    break;
                }
                batches += 1;
                let blocked =
                    batches > INLINE_BATCHES || !self.pass_on(writer.batch(Waiting::No), &writer);
                if blocked {
                    drop(writer);
                    return self.call_helper();
                }
            }
        }
    }

    /// Carries out everything queued, waiting where need be.
    fn lead_waiting(&self) {
        loop {
            let mut writer = lock(&self.writer);
            loop {
                self.fetch(&mut writer);
                if writer.pending().is_empty() {
                    break;
                }
                let until = lock(&self.helper).closing;
                self.pass_on(writer.batch(Waiting::Until(until)), &writer);
            }
            drop(writer);
            // As in `lead`: only now.
            if lock(&self.queue).is_empty() {
                return;
            }
        }
    }

    fn fetch(&self, writer: &mut Writer) {
        writer.pending().append(&mut lock(&self.queue));
    }

    /// Tells the results of a batch; whether there was one.
    fn pass_on(&self, batch: Option<Vec<Finished>>, writer: &Writer) -> bool {
        let Some(finished) = batch else {
            return false;
        };
        self.aftermath.committed(&finished, writer);
        for Finished { job, result } in finished {
            // Nobody may be waiting any more.
            let _ = job.tell.send(result.map(|done| done.answer));
        }
        true
    }

    /// Lets the helper thread go on, starting it if need be.
    fn call_helper(self: &Arc<Self>) {
        let mut helper = lock(&self.helper);
        helper.wanted = true;
        if helper.thread.is_some() {
            drop(helper);
            self.wanted.notify_one();
            return;
        }
        let combiner = Arc::clone(self);
        let started = thread::Builder::new()
            .name("leasehold-write".to_owned())
            .spawn(move || combiner.help());
        match started {
            Ok(thread) => helper.thread = Some(thread),
            // Blocking is better than never answering.
            Err(_) => {
                helper.wanted = false;
                drop(helper);
                self.lead_waiting();
            }
        }
    }

    fn help(&self) {
        loop {
            let mut helper = lock(&self.helper);
            while !helper.wanted && helper.closing.is_none() {
                helper = self
                    .wanted
                    .wait(helper)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            helper.wanted = false;
            let closing = helper.closing.is_some();
            drop(helper);
            self.lead_waiting();
            if closing {
                return;
            }
        }
    }

    /// Carries out what is still queued, within limits, and ends the helper.
    pub(crate) fn close(self: &Arc<Self>) {
        self.lead();
        let thread = {
            let mut helper = lock(&self.helper);
            helper.closing = Some(Instant::now() + CLOSING);
            helper.thread.take()
        };
        self.wanted.notify_one();
        if let Some(thread) = thread {
            // A panic in it has answered its jobs by dropping them.
            let _ = thread.join();
        }
    }

    /// The writer, when nobody else uses it.
    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        lock(&self.writer)
    }
}

/// The error of a request whose answer will not come.
pub(crate) fn unanswered(op: leasehold_core::Operation) -> Error {
    Error::Indeterminate {
        operation: op,
        engine: ENGINE,
        detail: "the thread that carried it out has died".to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
