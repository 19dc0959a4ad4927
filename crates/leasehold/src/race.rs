//! Two futures, of which the first to finish counts.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Which of two futures finished.
pub(crate) enum First<A, B> {
    /// The one that is polled first.
    Left(A),
    /// The other.
    Right(B),
}

/// Runs two futures until one finishes, and drops the other. `left` is always
/// polled first, so that a timer on the right is not even set if `left` is ready
/// at once.
pub(crate) async fn race<A, B>(
    left: impl Future<Output = A>,
    right: impl Future<Output = B>,
) -> First<A, B> {
    let mut left = pin!(left);
    let mut right = pin!(right);
    poll_fn(|context| {
        if let Poll::Ready(output) = left.as_mut().poll(context) {
            return Poll::Ready(First::Left(output));
        }
        right.as_mut().poll(context).map(First::Right)
    })
    .await
}
