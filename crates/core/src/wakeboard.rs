//! Hints that wait for their readers.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::Nonce;

/// Wake-up hints by nonce, kept until they are read.
///
/// A waiter is [`expect`](Self::expect)ed before the store is asked, so that a
/// hint which comes between the answer and the wait is not lost.
#[derive(Debug, Default)]
pub struct WakeBoard(Mutex<HashMap<Nonce, Place>>);

#[derive(Debug, Default)]
struct Place {
    hinted: bool,
    waker: Option<Waker>,
}

impl WakeBoard {
    /// Starts to keep hints for `nonce`, forgetting any that came before.
    pub fn expect(&self, nonce: Nonce) {
        self.places().entry(nonce).or_default().hinted = false;
    }

    /// Stops keeping hints for `nonce`.
    pub fn forget(&self, nonce: Nonce) {
        self.places().remove(&nonce);
    }

    /// Leaves a hint for `nonce`, if it is expected.
    pub fn hint(&self, nonce: Nonce) {
        let waker = self.places().get_mut(&nonce).and_then(|place| {
            place.hinted = true;
            place.waker.take()
        });
        // Outside the lock: a waker may run anything.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Leaves a hint for everybody expected.
    pub fn hint_all(&self) {
        let wakers: Vec<_> = self
            .places()
            .values_mut()
            .filter_map(|place| {
                place.hinted = true;
                place.waker.take()
            })
            .collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether anybody is expected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places().is_empty()
    }

    /// Resolves when a hint for `nonce` has come, and takes it; at once if the
    /// nonce is not expected.
    ///
    /// Dropping the future loses nothing: a hint that was not read stays.
    pub fn hinted(&self, nonce: Nonce) -> Hinted<'_> {
        Hinted { board: self, nonce }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Nonce, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The future of [`WakeBoard::hinted`].
#[derive(Debug)]
pub struct Hinted<'a> {
    board: &'a WakeBoard,
    nonce: Nonce,
}

impl Future for Hinted<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut places = self.board.places();
        let Some(place) = places.get_mut(&self.nonce) else {
            return Poll::Ready(());
        };
        if std::mem::take(&mut place.hinted) {
            return Poll::Ready(());
        }
        place.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(future: &mut Hinted<'_>) -> Poll<()> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_hint_before_the_wait_is_kept_and_read_once() {
        let board = WakeBoard::default();
        let nonce = Nonce::from_bytes([7; 16]);
        board.hint(nonce);
        board.expect(nonce);
        assert!(poll(&mut board.hinted(nonce)).is_pending());
        board.hint(nonce);
        assert!(poll(&mut board.hinted(nonce)).is_ready());
        assert!(poll(&mut board.hinted(nonce)).is_pending());
        board.hint_all();
        assert!(poll(&mut board.hinted(nonce)).is_ready());
        board.forget(nonce);
        assert!(poll(&mut board.hinted(nonce)).is_ready());
    }
}
