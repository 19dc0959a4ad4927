//! Leasehold and `rslock` behind one face, so that both run the same loop.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold::{Lease, Locks, Released};
use rslock::{Lock, LockManager};

/// Long enough that no lock of a measurement runs out.
pub(crate) const TTL: Duration = Duration::from_secs(30);

/// Whose locks are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Leasehold,
    Rslock,
}

/// A client of a set of servers.
#[derive(Clone)]
pub(crate) enum Client {
    Leasehold(Locks),
    Rslock(LockManager),
}

/// A lock that is held.
pub(crate) enum Held {
    Leasehold(Lease),
    Rslock(LockManager, Lock),
}

impl Peer {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Leasehold => "leasehold",
            Self::Rslock => "rslock",
        }
    }

    /// The commands that its client sends itself. Redis counts what a script
    /// calls under the same names, so commands that only scripts call are not
    /// among them.
    pub(crate) const fn sends(self) -> &'static [&'static str] {
        match self {
            Self::Leasehold => &["evalsha", "eval", "subscribe", "unsubscribe", "ping"],
            Self::Rslock => &["set", "evalsha", "eval"],
        }
    }

    /// Connects as its documentation says, with all settings left alone.
    pub(crate) async fn connect(self, hosts: &[String]) -> Result<Client> {
        match self {
            Self::Leasehold => leasehold(&crate::servers::leasehold_url(hosts, "")).await,
            Self::Rslock => {
                let urls = hosts.iter().map(|host| format!("redis://{host}/"));
                Ok(Client::Rslock(LockManager::new(urls.collect())))
            }
        }
    }
}

impl std::str::FromStr for Peer {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let peers = [Self::Leasehold, Self::Rslock];
        let peer = peers.into_iter().find(|peer| peer.name() == text);
        peer.with_context(|| format!("no peer is called {text}"))
    }
}

/// A client of Leasehold.
pub(crate) async fn leasehold(url: &str) -> Result<Client> {
    Ok(Client::Leasehold(leasehold::connect(url).await?))
}

impl Client {
    pub(crate) const fn peer(&self) -> Peer {
        match self {
            Self::Leasehold(_) => Peer::Leasehold,
            Self::Rslock(_) => Peer::Rslock,
        }
    }

    /// Takes a lock, waiting for it for as long as it takes. Ours has a token and
    /// is renewed; neither is there in `rslock`.
    pub(crate) async fn lock(&self, name: &str) -> Result<Held> {
        match self {
            Self::Leasehold(locks) => Ok(Held::Leasehold(locks.lock(name).ttl(TTL).await?)),
            Self::Rslock(manager) => {
                let guard = manager.acquire(name, TTL).await?;
                Ok(Held::Rslock(manager.clone(), guard.lock))
            }
        }
    }

    /// Takes a lock and releases it.
    pub(crate) async fn pair(&self, name: &str) -> Result<()> {
        self.lock(name).await?.release().await
    }
}

impl Held {
    /// Gives the lock back, and waits until that is known to be done.
    pub(crate) async fn release(self) -> Result<()> {
        match self {
            Self::Leasehold(lease) => {
                let released = lease.release().await?;
                ensure!(released == Released::Released, "a lease was lost");
            }
            Self::Rslock(manager, lock) => manager.unlock(&lock).await,
        }
        Ok(())
    }
}
