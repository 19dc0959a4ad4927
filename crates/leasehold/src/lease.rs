//! The guard of one grant.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use leasehold_core::{Deadline, Error, LockName, Loss, Mode, Nonce, Owner, Released, Token, Ttl};

use crate::driver::Reason;
use crate::held::{Held, Was};
use crate::locks::Client;

/// A lease: one grant of a lock, renewed in the background until it is released,
/// dropped or lost.
///
/// **A lease is not a mutex.** It can be lost while its holder still works: the
/// machine was suspended, the store was out of reach, an operator broke the lock.
/// So look at [`is_valid`](Self::is_valid) before anything that must not happen
/// twice, put work under [`run`](Self::run), and give the resource the
/// [`token`](Self::token) with every write.
///
/// Dropping a lease releases it in the background; [`release`](Self::release)
/// waits for the answer. A lease leaked with [`std::mem::forget`] is renewed for
/// as long as the process lives, unless [`max_hold`](crate::LockRequest::max_hold)
/// caps it.
#[must_use = "a lease is released when it is dropped"]
pub struct Lease {
    held: Arc<Held>,
    /// Keeps the client's background thread.
    client: Arc<Client>,
}

/// What is left of a lease that was passed on with [`Lease::keep`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// The lock.
    pub name: LockName,
    /// The identity of the grant: extends and releases it.
    pub nonce: Nonce,
    /// The fencing token.
    pub token: Token,
    /// When the lease ends unless it is extended, on this machine's clock.
    pub deadline: Deadline,
}

impl Lease {
    pub(crate) const fn new(held: Arc<Held>, client: Arc<Client>) -> Self {
        Self { held, client }
    }

    /// The fencing token: greater than that of every earlier grant of this lock
    /// (C1). Let the protected resource refuse smaller ones.
    #[must_use]
    pub fn token(&self) -> Token {
        self.held.token()
    }

    /// The lock.
    #[must_use]
    pub fn name(&self) -> &LockName {
        self.held.name()
    }

    /// The identity of the grant. Whoever knows it can extend and release it.
    #[must_use]
    pub fn nonce(&self) -> Nonce {
        self.held.nonce()
    }

    /// How the lock is held.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.held.mode()
    }

    /// The label that others see.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        self.held.owner()
    }

    /// The TTL that each renewal asks for.
    #[must_use]
    pub fn ttl(&self) -> Ttl {
        self.held.ttl()
    }

    /// When the lease ends unless it is renewed before, on the client's clock.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.held.deadline()
    }

    /// How long the lease is valid without another renewal: until the deadline, or
    /// until its `max_hold` if that is sooner. Zero once it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.held.remaining()
    }

    /// Whether the lease is valid now, by the clock and without asking anybody.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.is_lost().is_none()
    }

    /// Why the lease is lost, if it is. Once lost it stays lost.
    #[must_use]
    pub fn is_lost(&self) -> Option<Loss> {
        self.held.loss()
    }

    /// Resolves when the lease is lost, at its deadline at the latest, whatever
    /// the store and the network do.
    ///
    /// Never resolves if the lease is released or dropped first. Cancel-safe.
    pub fn lost(&self) -> impl Future<Output = Loss> + Send + 'static {
        Arc::clone(&self.held).when_lost()
    }

    /// Runs `work` for as long as the lease is valid.
    ///
    /// Cancelling means dropping `work` at the await it is at: what it had spawned
    /// elsewhere goes on, and so does anything that blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the lease was lost before the work was done. The work was
    /// dropped; somebody else may hold the lock.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        let mut lost = pin!(self.lost());
        let mut work = pin!(work);
        poll_fn(|context| {
            // The loss first: no step of the work begins after it.
            if let Poll::Ready(why) = lost.as_mut().poll(context) {
                return Poll::Ready(Err(self.held.lost_error(why)));
            }
            work.as_mut().poll(context).map(Ok)
        })
        .await
    }

    /// Prolongs the lease now: it ends `ttl` from now, and so does each renewal
    /// from now on. Returns the new deadline.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the lease is over; it is not revived. [`Error::Invalid`]
    /// for a TTL out of bounds. After any other error the lease is still held,
    /// until its old deadline or the new one, whichever is sooner. The same holds
    /// if this future is dropped.
    pub async fn extend(&self, ttl: Duration) -> Result<Deadline, Error> {
        self.held.extend(Ttl::new(ttl)?).await
    }

    /// Gives the lock back and waits for the store's answer.
    ///
    /// `AlreadyLost` means that the lease was over before: whatever was done under
    /// it towards the end was not protected.
    ///
    /// # Errors
    ///
    /// If the store cannot be asked. The lock may stay held until TTL + grace; the
    /// release goes on in the background. The same holds if this future is dropped.
    pub async fn release(self) -> Result<Released, Error> {
        let was = self.held.let_go();
        let mut owed = Owed {
            held: &self.held,
            was,
        };
        if matches!(was, Was::LetGo | Was::Lost(Loss::Gone)) {
            return Ok(Released::AlreadyLost);
        }
        let engine = &self.held.driver().engine;
        let answer = engine.release(self.name(), self.nonce()).await?;
        owed.was = Was::LetGo;
        if was == Was::Held {
            self.held.tell_released(answer);
            return Ok(answer);
        }
        // It was taken there for its grace only.
        Ok(Released::AlreadyLost)
    }

    /// Stops looking after the lease without releasing it: it ends at its deadline
    /// unless somebody who knows the nonce extends it.
    ///
    /// For scripts, which pass a lease from process to process. Such a lease must
    /// have been taken [`detached`](crate::LockRequest::detached), or it ends with
    /// this process on engines that can tell.
    #[must_use = "the nonce is needed to release it"]
    pub fn keep(self) -> Kept {
        let kept = Kept {
            name: self.name().clone(),
            nonce: self.nonce(),
            token: self.token(),
            deadline: self.deadline(),
        };
        self.held.let_go();
        kept
    }

    /// What a caller is told if the lease is lost.
    pub(crate) fn lost_error(&self) -> Option<Error> {
        self.is_lost().map(|why| self.held.lost_error(why))
    }

    pub(crate) const fn client(&self) -> &Arc<Client> {
        &self.client
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let was = self.held.let_go();
        drop(Owed {
            held: &self.held,
            was,
        });
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", self.name())
            .field("token", &self.token())
            .field("nonce", &self.nonce())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

/// A release that has not been answered; goes to the background on drop.
struct Owed<'a> {
    held: &'a Arc<Held>,
    was: Was,
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        let reason = match self.was {
            Was::Held => Reason::Dropped(Arc::clone(self.held)),
            Was::Lost(why @ (Loss::Expired | Loss::MaxHold)) => {
                Reason::Lost(Arc::clone(self.held), why)
            }
            // The store has nothing of it.
            Was::Lost(_) | Was::LetGo => return,
        };
        self.held.driver().spawn(self.held.clean_up(reason));
    }
}
