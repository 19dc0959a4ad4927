//! One state of clients and store, with what does not matter taken out.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use leasehold_core::record::Record;
use leasehold_core::{Mode, Nonce, SessionId, StoreTime, Token};

use crate::rules::{Rules, Violation};
use crate::scope::{CLIENTS, UNIT};

/// The store's clock in every state; what is dated before it moves instead.
pub(crate) const NOW: StoreTime = StoreTime::from_micros(1_000_000_000);

/// The last token granted in every state; the tokens before it move instead.
const LAST: u64 = 1_000;

/// A state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) record: Record,
    /// The store's floor.
    pub(crate) floor: Token,
    pub(crate) clients: [Client; CLIENTS],
    /// A request on its way, of which there is at most one.
    pub(crate) stray: Option<Stray>,
    pub(crate) rules: Rules,
    /// The first rule broken on the way here.
    pub(crate) broken: Option<Violation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    Dead,
    Idle,
    /// It asked with this nonce.
    Asking(Id),
    /// It holds the lock with this nonce, and relies on it for so many more units.
    Holding(Id, u8),
}

/// A nonce: one of the two that each client uses in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) client: usize,
    pub(crate) second: bool,
}

/// A request on its way, and how many units ago it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stray {
    pub(crate) id: Id,
    pub(crate) body: Body,
    pub(crate) age: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Body {
    Acquire,
    /// For so many units.
    Extend(u8),
    Release,
}

impl Client {
    pub(crate) const fn id(self) -> Option<Id> {
        match self {
            Self::Dead | Self::Idle => None,
            Self::Asking(id) | Self::Holding(id, _) => Some(id),
        }
    }
}

impl Id {
    pub(crate) const fn nonce(self) -> Nonce {
        let mut bytes = [0; 16];
        bytes[0] = self.client as u8;
        bytes[1] = self.second as u8;
        Nonce::from_bytes(bytes)
    }
}

pub(crate) const fn session(client: usize) -> SessionId {
    SessionId::from_bytes([client as u8; 16])
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            record: Record::new(),
            floor: Token::NONE,
            clients: [Client::Idle; CLIENTS],
            stray: None,
            rules: Rules::default(),
            broken: None,
        }
    }

    pub(crate) fn is_dead(&self, of: SessionId) -> bool {
        (0..CLIENTS).any(|at| session(at) == of && self.clients[at] == Client::Dead)
    }

    /// A nonce of this client that is in no use any more.
    pub(crate) fn fresh(&self, client: usize) -> Option<Id> {
        let ids = [false, true].map(|second| Id { client, second });
        ids.into_iter().find(|&id| !self.uses(id))
    }

    /// Whoever relies on the lock, in which mode.
    pub(crate) fn relying(&self, modes: [Mode; CLIENTS]) -> impl Iterator<Item = Mode> {
        let pairs = self.clients.into_iter().zip(modes);
        pairs.filter_map(|(client, mode)| matches!(client, Client::Holding(..)).then_some(mode))
    }

    /// One unit of time passes.
    pub(crate) fn tick(&mut self, ttl: u8) {
        for client in &mut self.clients {
            if let Client::Holding(id, left) = *client {
                *client = match left.checked_sub(1) {
                    Some(left) => Client::Holding(id, left),
                    None => Client::Asking(id),
                };
            }
        }
        if let Some(stray) = &mut self.stray {
            // Beyond the TTL it makes no difference.
            stray.age = (stray.age + 1).min(ttl);
        }
        let age = |at: StoreTime| at.as_micros() - micros(UNIT);
        let earlier = |at: StoreTime| StoreTime::from_micros(age(at));
        for grant in &mut self.record.grants {
            grant.renewed = earlier(grant.renewed);
        }
        for waiter in &mut self.record.waiters {
            waiter.refreshed = earlier(waiter.refreshed);
        }
        for place in &mut self.rules.line {
            place.asked = earlier(place.asked);
        }
    }

    /// Makes states alike that differ only in what decides nothing: how long ago
    /// things ended, dates kept for people, and the sizes of tokens.
    pub(crate) fn normalize(&mut self) {
        let over = |length: Duration| {
            let whole = length.as_secs() + 1;
            StoreTime::from_micros(NOW.as_micros() - whole * micros(UNIT))
        };
        for grant in &mut self.record.grants {
            grant.granted = NOW;
            let ends = grant.unclaimed.unwrap_or(grant.ttl + grant.grace);
            grant.renewed = grant.renewed.max(over(ends));
        }
        for waiter in &mut self.record.waiters {
            waiter.since = NOW;
            waiter.refreshed = waiter.refreshed.max(over(waiter.patience()));
        }
        for place in &mut self.rules.line {
            place.asked = place.asked.max(over(place.interval * 3));
        }
        self.record.changed = NOW;
        self.record.last_break = None;
        for client in 0..CLIENTS {
            self.rename(client);
        }
        self.renumber();
    }

    /// A client with one nonce in use has it as its first.
    fn rename(&mut self, client: usize) {
        let [first, second] = [false, true].map(|second| Id { client, second });
        if self.uses(first) || !self.uses(second) {
            return;
        }
        let (from, to) = (second.nonce(), first.nonce());
        let grants = self.record.grants.iter_mut().map(|g| &mut g.nonce);
        let waiters = self.record.waiters.iter_mut().map(|w| &mut w.nonce);
        let places = self.rules.line.iter_mut().map(|p| &mut p.nonce);
        for nonce in grants.chain(waiters).chain(places) {
            if *nonce == from {
                *nonce = to;
            }
        }
        let stray = self.stray.iter_mut().map(|stray| &mut stray.id);
        let asked = self.clients.iter_mut().filter_map(|client| match client {
            Client::Asking(id) | Client::Holding(id, _) => Some(id),
            Client::Dead | Client::Idle => None,
        });
        for id in stray.chain(asked) {
            if *id == second {
                *id = first;
            }
        }
    }

    fn uses(&self, id: Id) -> bool {
        let nonce = id.nonce();
        self.clients[id.client].id() == Some(id)
            || self.stray.is_some_and(|stray| stray.id == id)
            || self.record.grants.iter().any(|g| g.nonce == nonce)
            || self.record.waiters.iter().any(|w| w.nonce == nonce)
    }

    fn renumber(&mut self) {
        let last = self.rules.last;
        // A floor that the next token exceeds anyway does nothing.
        for floor in [&mut self.record.floor, &mut self.floor] {
            if *floor <= self.record.token {
                *floor = Token::NONE;
            }
        }
        let mut in_use: Vec<_> = self.record.grants.iter().map(|grant| grant.token).collect();
        in_use.extend([self.record.token, last]);
        in_use.sort_unstable();
        in_use.dedup();
        let renumbered = |token: Token| {
            if token == Token::NONE {
                return token;
            }
            let value = match in_use.binary_search(&token) {
                Ok(rank) => LAST - (in_use.len() - 1 - rank) as u64,
                Err(_) if last == Token::NONE => token.get(),
                Err(_) => LAST + token.get().saturating_sub(last.get()),
            };
            Token::new(value).unwrap_or(Token::MAX)
        };
        for grant in &mut self.record.grants {
            grant.token = renumbered(grant.token);
        }
        self.record.floor = renumbered(self.record.floor);
        self.floor = renumbered(self.floor);
        self.record.token = renumbered(self.record.token);
        self.rules.last = renumbered(last);
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, to: &mut H) {
        (self.record.token, self.record.floor, self.floor).hash(to);
        for grant in &self.record.grants {
            (grant.nonce, grant.token, grant.renewed).hash(to);
            (grant.unclaimed, grant.ttl).hash(to);
        }
        for waiter in &self.record.waiters {
            (waiter.nonce, waiter.refreshed).hash(to);
        }
        (self.clients, self.stray, &self.broken).hash(to);
        self.rules.hash(to);
    }
}

fn micros(length: Duration) -> u64 {
    length.as_micros() as u64
}
