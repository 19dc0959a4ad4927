//! What operations ask of one server in the same moment, sent in one call.
//!
//! The usual acquire, extend and release wait here until the connection is about to be
//! written to. Those of a kind then go out together: a script call has a price of its
//! own, for the server and for the client. A lock that is not the usual case (held,
//! waited for, of another type) is left alone by that call and asked for by itself.
//!
//! What is asked under one nonce leaves in the order in which it was asked.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use leasehold_core::quorum::Command;
use leasehold_core::{Mode, Nonce, Owner, Token};
use redis::Value;

use crate::bond::Live;
use crate::fail::Kind;
use crate::grant::Grant;
use crate::hub::Hub;
use crate::node::{Miss, Node};
use crate::scripts::{Keys, Label, MOST, Packed, Terms, decode_many};

/// One command of an operation for one node.
pub(crate) struct Item {
    pub(crate) hub: Rc<Hub>,
    pub(crate) command: Command,
    pub(crate) keys: Rc<Keys>,
    pub(crate) nonce: Nonce,
    pub(crate) owner: Owner,
    pub(crate) grace: Duration,
    pub(crate) grant: Rc<Grant>,
    /// How many releases of the grant had been sent when this was asked.
    pub(crate) releases: u32,
    /// Is told what came of it, and on which connection.
    pub(crate) then: Box<dyn FnOnce(Result<Value, Miss>, u64)>,
}

/// What is to go out together.
pub(crate) struct Outbox {
    kinds: RefCell<[Vec<Item>; 3]>,
    /// Off in a Redis Cluster, where a script may touch the keys of one slot only.
    pub(crate) together: Cell<bool>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            kinds: RefCell::default(),
            together: Cell::new(true),
        }
    }
}

impl Outbox {
    /// The connection is gone: nothing was sent.
    pub(crate) fn give_up(&self) {
        for items in self.kinds.take() {
            for item in items {
                (item.then)(Err(Miss::NotSent), 0);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.kinds.borrow().iter().all(Vec::is_empty)
    }

    /// Whether this may join those of its kind without overtaking any of its nonce.
    fn accepts(&self, kind: usize, item: &Item) -> bool {
        let kinds = self.kinds.borrow();
        let mut others = (0..).zip(kinds.iter()).filter(|(of, _)| *of != kind);
        kinds[kind].first().is_none_or(|first| first.is_like(item))
            && others.all(|(_, items)| items.iter().all(|other| other.nonce != item.nonce))
    }
}

/// Asks for this as soon as the connection is written to, together with others.
pub(crate) fn send(node: &Rc<Node>, item: Item) {
    let kind = item.kind().filter(|_| node.outbox.together.get());
    let (Some(kind), Some(live)) = (kind, node.live()) else {
        flush(node);
        return alone(node, item);
    };
    if !node.outbox.accepts(kind, &item) {
        flush(node);
    }
    let mut kinds = node.outbox.kinds.borrow_mut();
    kinds[kind].push(item);
    let is_full = kinds[kind].len() == MOST;
    drop(kinds);
    match is_full {
        true => flush(node),
        false => live.wake(),
    }
}

/// Sends all that waits. Releases come first: what they free may be asked for.
pub(crate) fn flush(node: &Rc<Node>) {
    if node.outbox.is_empty() {
        return;
    }
    for mut items in node.outbox.kinds.take() {
        match items.len() {
            0 => {}
            1 => items.drain(..).for_each(|item| alone(node, item)),
            _ => together(node, items),
        }
    }
}

fn alone(node: &Rc<Node>, item: Item) {
    match node.live() {
        Some(live) => node.send(item.packed(&live), item.then),
        None => (item.then)(Err(Miss::NotSent), 0),
    }
}

fn together(node: &Rc<Node>, items: Vec<Item>) {
    let Some(live) = node.live() else {
        return tell_all(items, &Miss::NotSent, 0);
    };
    let packed = packed(&items, &live);
    let sender = Rc::clone(node);
    node.send(packed, move |answer, generation| match answer {
        Ok(value) => {
            let said = decode_many(value, items.len());
            for (item, said) in items.into_iter().zip(said) {
                match said {
                    Some(value) => (item.then)(Ok(value), generation),
                    None => again(&sender, item),
                }
            }
        }
        // Because of one of them, perhaps.
        Err(Miss::Refused(why)) if why.kind != Kind::NoScript => {
            items.into_iter().for_each(|item| again(&sender, item));
        }
        Err(miss) => tell_all(items, &miss, generation),
    });
}

/// Asks for one by itself that others had no effect on.
fn again(node: &Rc<Node>, item: Item) {
    match item.is_given_up() {
        true => (item.then)(Err(Miss::NotSent), 0),
        false => alone(node, item),
    }
}

fn tell_all(items: Vec<Item>, miss: &Miss, generation: u64) {
    for item in items {
        (item.then)(Err(miss.clone()), generation);
    }
}

/// One call for all of these, which are alike.
fn packed(items: &[Item], live: &Live) -> Packed {
    let first = &items[0];
    let scripts = &first.hub.scripts;
    let owned = || items.iter().map(|item| (&*item.keys, item.nonce));
    match first.command {
        Command::Acquire(ask) => {
            let terms = Terms {
                hold: ask.hold,
                line: ask.line,
                grace: first.grace,
                owner: &first.owner,
            };
            let locks = items
                .iter()
                .map(|item| (&*item.keys, item.nonce, item.proposal()));
            scripts.acquire_many(&live.run, terms, &locks.collect::<Vec<_>>())
        }
        Command::Extend { hold, .. } => scripts.extend_many(hold, &owned().collect::<Vec<_>>()),
        _ => scripts.release_many(&owned().collect::<Vec<_>>()),
    }
}

impl Item {
    /// With which others it may go; `None` if it must go alone.
    const fn kind(&self) -> Option<usize> {
        match self.command {
            Command::Release => Some(0),
            Command::Extend { slot: 0, .. } => Some(1),
            Command::Acquire(ask) if matches!(ask.mode, Mode::Exclusive) => Some(2),
            _ => None,
        }
    }

    /// Whether one call can do both, which are of one kind.
    fn is_like(&self, other: &Self) -> bool {
        match (self.command, other.command) {
            (Command::Acquire(one), Command::Acquire(other_ask)) => {
                (one.hold, one.line, self.grace) == (other_ask.hold, other_ask.line, other.grace)
                    && self.owner == other.owner
            }
            (Command::Extend { hold: one, .. }, Command::Extend { hold, .. }) => one == hold,
            _ => true,
        }
    }

    fn proposal(&self) -> Token {
        match self.command {
            Command::Acquire(ask) => ask.proposal,
            _ => Token::NONE,
        }
    }

    /// Whether it is an acquire whose release is on its way already: sent once more, it
    /// would come behind.
    fn is_given_up(&self) -> bool {
        matches!(self.command, Command::Acquire(_)) && self.releases != self.grant.releases.get()
    }

    /// The script for it alone.
    fn packed(&self, live: &Live) -> Packed {
        let scripts = &self.hub.scripts;
        let (keys, nonce) = (&*self.keys, self.nonce);
        let label = Label {
            owner: &self.owner,
            grace: self.grace,
            channel: &live.channel,
        };
        match self.command {
            Command::Acquire(ask) => scripts.acquire(keys, &live.run, nonce, &ask, label),
            Command::Promote { to } => scripts.promote(keys, &live.run, nonce, to),
            Command::Place { to } => scripts.place(keys, nonce, to),
            Command::Yield {
                to,
                up_to,
                place,
                line,
            } => {
                let terms = (to, up_to, place, line);
                scripts.step_back(keys, &live.run, nonce, terms, label.channel)
            }
            Command::Extend { slot, hold } => scripts.extend(keys, nonce, slot, hold),
            Command::Release => scripts.release(keys, &live.run, nonce),
        }
    }
}
