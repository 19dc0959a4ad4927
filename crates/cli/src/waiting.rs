//! Taking a lock, and giving up when a signal comes first.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leasehold::{Lease, LockRequest, Locks};
use pollster::block_on;

use crate::context::Context;
use crate::failure::Failure;
use crate::job::Signals;
use crate::output::brief;
use crate::sync::{first, lock};
use crate::take::Take;
use crate::view::WaitingView;

/// A wait shorter than this is not worth a word at its end.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// What came of the wait for a lock.
pub(crate) enum Outcome {
    /// The lock is held.
    Held(Lease),
    /// This signal came first; nothing is held.
    Signal(i32),
}

/// Takes the lock, or gives up at the first signal. What we have in the line by
/// then is withdrawn before this returns.
pub(crate) fn take(
    context: &Context,
    locks: &Locks,
    plan: &Take,
    request: LockRequest,
    signals: &Signals,
) -> Result<Outcome, Failure> {
    let ordered = locks.capabilities().ordered;
    let view = Arc::new(Mutex::new(WaitingView::new(context, &plan.name, ordered)));
    let shown = Arc::clone(&view);
    let request = request.on_wait(move |place| lock(&shown).update(place));
    let started = Instant::now();
    let interrupted = async {
        signals.wait().await;
        None
    };
    let answer = block_on(first(async { Some(request.await) }, interrupted));
    let waited = lock(&view).clear();
    match (answer, signals.received()) {
        (answer, Some(signal)) => {
            if let Some(Ok(lease)) = answer {
                // We are about to end: nobody is left to be told of a failure, and
                // the lease ends with this process or at its TTL.
                let _ = block_on(lease.release());
            }
            block_on(locks.clone().close());
            Ok(Outcome::Signal(signal))
        }
        (Some(Ok(lease)), None) => {
            if waited && started.elapsed() >= WORTH_TELLING {
                let (name, token) = (&plan.name, lease.token());
                let after = brief(started.elapsed());
                context.notice(
                    "acquired",
                    &format!("got lock {name:?} with token {token} after {after}"),
                );
            }
            Ok(Outcome::Held(lease))
        }
        (Some(Err(error)), None) => Err(plan.failure(error)),
        (None, None) => unreachable!("a wait without an answer was ended by a signal"),
    }
}
