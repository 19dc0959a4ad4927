//! What a program can be told about its leases.

use std::time::Duration;

use leasehold_core::{Deadline, HeldBy, LockName, Loss, Mode, Nonce, Owner, Token};

/// Is told what happens to the leases of a client, for metrics and logs.
///
/// The same events go to `tracing`, whether or not there is an observer.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    ///
    /// Called on whichever thread it happened on, often the one that renews every
    /// lease of the client: be quick, and do not block. A panic in here is caught
    /// and logged.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

/// Something that happened to a lease of this client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A lock was taken.
    #[non_exhaustive]
    Acquired {
        /// The lock.
        name: LockName,
        /// The lease's token.
        token: Token,
        /// The identity of the grant.
        nonce: Nonce,
        /// How the lock is held.
        mode: Mode,
        /// How long it took from the request on.
        waited: Duration,
    },
    /// A lease was prolonged.
    #[non_exhaustive]
    Renewed {
        /// The lock.
        name: LockName,
        /// The lease's token.
        token: Token,
        /// The identity of the grant.
        nonce: Nonce,
        /// The new deadline.
        deadline: Deadline,
    },
    /// A lock that was asked for is busy. Told once per request.
    #[non_exhaustive]
    Contended {
        /// The lock.
        name: LockName,
        /// The identity of the request.
        nonce: Nonce,
        /// Who holds the lock, as far as the store can tell.
        holders: Vec<HeldBy>,
        /// How many wait in front, if the request has a place in the line.
        ahead: Option<usize>,
    },
    /// A lease is over without having been given back.
    #[non_exhaustive]
    Lost {
        /// The lock.
        name: LockName,
        /// The lease's token.
        token: Token,
        /// The identity of the grant.
        nonce: Nonce,
        /// Why.
        why: Loss,
    },
    /// A lease was given back.
    #[non_exhaustive]
    Released {
        /// The lock.
        name: LockName,
        /// The lease's token.
        token: Token,
        /// The identity of the grant.
        nonce: Nonce,
    },
    /// A lease was ended by force. Told by the client that broke it, for every
    /// grant it ended, and by the client that had it, after
    /// [`Lost`](Event::Lost).
    #[non_exhaustive]
    Broken {
        /// The lock.
        name: LockName,
        /// The token that is dead now.
        token: Token,
        /// The identity of the grant.
        nonce: Nonce,
        /// Who broke it.
        by: Owner,
        /// Why.
        reason: String,
    },
}

impl Event {
    /// The lock it is about.
    #[must_use]
    pub const fn name(&self) -> &LockName {
        match self {
            Self::Acquired { name, .. }
            | Self::Renewed { name, .. }
            | Self::Contended { name, .. }
            | Self::Lost { name, .. }
            | Self::Released { name, .. }
            | Self::Broken { name, .. } => name,
        }
    }

    /// The identity of the grant, or of the request for one.
    #[must_use]
    pub const fn nonce(&self) -> Nonce {
        match self {
            Self::Acquired { nonce, .. }
            | Self::Renewed { nonce, .. }
            | Self::Contended { nonce, .. }
            | Self::Lost { nonce, .. }
            | Self::Released { nonce, .. }
            | Self::Broken { nonce, .. } => *nonce,
        }
    }

    /// The token of the grant; `None` if there is no grant yet.
    #[must_use]
    pub const fn token(&self) -> Option<Token> {
        match self {
            Self::Acquired { token, .. }
            | Self::Renewed { token, .. }
            | Self::Lost { token, .. }
            | Self::Released { token, .. }
            | Self::Broken { token, .. } => Some(*token),
            Self::Contended { .. } => None,
        }
    }

    /// Tells `tracing`: what only a debugger wants to know quietly, a loss loudly.
    pub(crate) fn trace(&self) {
        match self {
            Self::Acquired {
                name,
                token,
                mode,
                waited,
                ..
            } => {
                tracing::debug!(lock = %name, %token, %mode, ?waited, "acquired");
            }
            Self::Renewed { name, token, .. } => {
                tracing::trace!(lock = %name, %token, "renewed");
            }
            Self::Contended {
                name,
                holders,
                ahead,
                ..
            } => {
                let holder = holders.first().map(|h| h.owner.as_str());
                tracing::debug!(lock = %name, holder, ahead, "contended");
            }
            Self::Lost {
                name, token, why, ..
            } => {
                tracing::warn!(lock = %name, %token, %why, "lost");
            }
            Self::Released { name, token, .. } => {
                tracing::debug!(lock = %name, %token, "released");
            }
            Self::Broken {
                name,
                token,
                by,
                reason,
                ..
            } => {
                tracing::warn!(lock = %name, %token, %by, reason, "broken");
            }
        }
    }
}
