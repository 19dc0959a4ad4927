//! The requests of one client on their way through the transactions.

use std::collections::{HashSet, VecDeque};

use futures_channel::oneshot;
use leasehold_core::{Acquired, Error, Nonce, SessionId};

use crate::step::{Answer, Done, Op};
use crate::store::Store;
use crate::transact::{Ran, Transactor, Waiting};

/// How many requests share a transaction at most.
const BATCH: usize = 256;

/// A request with whoever waits for its answer.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) op: Op,
    pub(crate) tell: oneshot::Sender<Result<Answer, Error>>,
}

/// A job with its result.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) job: Job,
    pub(crate) result: Result<Done, Error>,
}

/// Writes to the store on behalf of one client.
#[derive(Debug)]
pub(crate) struct Writer {
    transactor: Transactor,
    /// What was taken from the queue and not carried out yet, in order.
    pending: VecDeque<Job>,
    /// The grants and places that are tied to this client's session.
    tied: HashSet<Nonce>,
}

impl Writer {
    pub(crate) fn new(transactor: Transactor) -> Self {
        Self {
            transactor,
            pending: VecDeque::new(),
            tied: HashSet::new(),
        }
    }

    /// Whether no grant and no place in a line is tied to this client's life.
    pub(crate) fn is_free_of_ties(&self) -> bool {
        self.tied.is_empty() && self.pending.is_empty()
    }

    pub(crate) fn store(&self) -> &Store {
        self.transactor.store()
    }

    /// Where requests wait between being taken off the queue and carried out.
    pub(crate) fn pending(&mut self) -> &mut VecDeque<Job> {
        &mut self.pending
    }

    /// Carries out the first of what is pending, and takes it out; `None` if it
    /// could only go on by waiting.
    pub(crate) fn batch(&mut self, waiting: Waiting) -> Option<Vec<Finished>> {
        self.pending
            .retain(|job| !(job.op.may_be_skipped() && job.tell.is_canceled()));
        let size = self.pending.len().min(BATCH);
        if size == 0 {
            return Some(Vec::new());
        }
        let ops: Vec<&Op> = self.pending.range(..size).map(|job| &job.op).collect();
        let results = match self.transactor.run(&ops, waiting) {
            Ran::Blocked => return None,
            Ran::Results(results) => results,
            Ran::Nothing(error) => self.pending.iter().map(|_| Err(error.clone())).collect(),
        };
        let jobs: Vec<Job> = self.pending.drain(..results.len()).collect();
        let pairs = jobs.into_iter().zip(results);
        let finished = pairs.map(|(job, result)| {
            self.tie(&job.op, &result);
            Finished { job, result }
        });
        Some(finished.collect())
    }

    /// Keeps account of what ends with this client.
    fn tie(&mut self, op: &Op, result: &Result<Done, Error>) {
        match op {
            Op::Acquire {
                request,
                session: Some(_),
            } => {
                let tied = match result {
                    Ok(done) => !matches!(done.answer, Answer::Acquired(Acquired::Busy(_))),
                    Err(error) => error.may_be_held(),
                };
                if tied {
                    self.tied.insert(request.nonce);
                }
            }
            Op::Release { nonce, .. } if result.is_ok() => {
                self.tied.remove(nonce);
            }
            _ => {}
        }
    }
}

/// The sessions whose death a request waits for, if it waits.
pub(crate) fn awaited(finished: &Finished) -> Option<(Nonce, &[SessionId])> {
    match (&finished.job.op, &finished.result) {
        (Op::Acquire { request, .. }, Ok(done)) => match done.answer {
            Answer::Acquired(Acquired::Queued(_)) => Some((request.nonce, &done.awaited)),
            _ => None,
        },
        _ => None,
    }
}
