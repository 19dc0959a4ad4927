//! What can be made to go wrong.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What one swap of a client is made to do; see
/// [`MemoryEngine::inject`](crate::MemoryEngine::inject).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: the swap goes well. To let some swaps pass before the next fault.
    None,
    /// The swap is carried out and its answer lost.
    AnswerLost,
    /// The swap is lost on its way.
    RequestLost,
    /// The answer is lost and the swap is carried out late: just before the next
    /// swap of the same name, by whomever.
    Late,
    /// Somebody else is said to have been faster.
    Conflict,
    /// The swap is carried out only after it was polled so many times more.
    SlowRequest(u32),
    /// The swap is carried out at once, and answers only after it was polled so
    /// many times more.
    SlowAnswer(u32),
}

/// Resolves after it has been pending so many times, waking itself each time.
pub(crate) struct Yields(pub(crate) u32);

impl Future for Yields {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
