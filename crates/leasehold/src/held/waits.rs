//! Waiting for the end of a lease, or of one of its extends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use leasehold_core::Loss;

use super::{End, Held};

impl Held {
    /// Resolves when the lease is lost.
    pub(crate) const fn when_lost(self: Arc<Self>) -> WhenLost {
        let key = None;
        WhenLost { held: self, key }
    }

    /// Resolves when this extend is over, by its answer or with the lease.
    pub(crate) const fn settled(&self, attempt: u32) -> Settled<'_> {
        Settled {
            held: self,
            attempt,
            key: None,
        }
    }
}

/// See [`Held::when_lost`].
pub(crate) struct WhenLost {
    held: Arc<Held>,
    key: Option<u32>,
}

impl Future for WhenLost {
    type Output = Loss;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Loss> {
        if let Some(why) = self.held.loss() {
            return Poll::Ready(why);
        }
        let this = &mut *self;
        let mut state = this.held.state();
        match state.end {
            Some(End::Lost(why)) => Poll::Ready(why),
            Some(End::LetGo) => Poll::Pending,
            None => {
                let old = state.on_end.register(&mut this.key, context.waker());
                drop(state);
                drop(old);
                Poll::Pending
            }
        }
    }
}

impl Drop for WhenLost {
    fn drop(&mut self) {
        let waker = self.held.state().on_end.remove(self.key);
        drop(waker);
    }
}

/// See [`Held::settled`].
pub(crate) struct Settled<'a> {
    held: &'a Held,
    attempt: u32,
    key: Option<u32>,
}

impl Future for Settled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.held.state();
        if state.end.is_some() || state.attempt != this.attempt || state.asking.is_none() {
            return Poll::Ready(());
        }
        let old = state.on_settled.register(&mut this.key, context.waker());
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Settled<'_> {
    fn drop(&mut self) {
        let waker = self.held.state().on_settled.remove(self.key);
        drop(waker);
    }
}

/// Tasks to wake. Few at a time, usually none or one.
#[derive(Default)]
pub(super) struct Wakers {
    last_key: u32,
    wakers: Vec<(u32, Waker)>,
}

impl Wakers {
    /// Registers `waker` under its key, or under a new one. A waker that is
    /// replaced comes back, to be dropped outside any lock: it may be the last
    /// thing that keeps a task.
    fn register(&mut self, key: &mut Option<u32>, waker: &Waker) -> Option<Waker> {
        if let Some((_, old)) = self.wakers.iter_mut().find(|(k, _)| Some(*k) == *key) {
            return Some(std::mem::replace(old, waker.clone()));
        }
        self.last_key = self.last_key.wrapping_add(1);
        *key = Some(self.last_key);
        self.wakers.push((self.last_key, waker.clone()));
        None
    }

    fn remove(&mut self, key: Option<u32>) -> Option<Waker> {
        let at = self.wakers.iter().position(|(k, _)| Some(*k) == key)?;
        Some(self.wakers.swap_remove(at).1)
    }

    pub(super) fn take(&mut self) -> Vec<Waker> {
        self.wakers.drain(..).map(|(_, waker)| waker).collect()
    }
}
