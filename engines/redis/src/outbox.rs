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

use leasehold_core::quorum::{Command, NodeId};
use leasehold_core::{Instant, Mode, Token};

use crate::bond::Live;
use crate::fail::Kind;
use crate::node::{Miss, Node};
use crate::scripts::{Label, MOST, Packed, Terms, decode_many};
use crate::talk::Talk;

/// How many calls may be under way before others are kept back for company.
const UNDER_WAY: usize = 2;

/// One command of an operation for one node.
pub(crate) struct Item {
    pub(crate) talk: Rc<Talk>,
    pub(crate) command: Command,
    pub(crate) to: NodeId,
    /// When its operation was begun.
    pub(crate) sent: Instant,
    /// How many releases of the grant had been sent when this was asked.
    pub(crate) releases: u32,
}

/// What is to go out together.
pub(crate) struct Outbox {
    kinds: RefCell<[Vec<Item>; 3]>,
    /// How many calls have no answer yet.
    calls: Cell<usize>,
    /// Off in a Redis Cluster, where a script may touch the keys of one slot only.
    pub(crate) together: Cell<bool>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            kinds: RefCell::default(),
            calls: Cell::new(0),
            together: Cell::new(true),
        }
    }
}

impl Outbox {
    /// The connection is gone: nothing was sent.
    pub(crate) fn give_up(&self) {
        for items in self.kinds.take() {
            for item in items {
                item.tell(Err(Miss::NotSent), 0);
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
            && others.all(|(_, items)| {
                items
                    .iter()
                    .all(|other| other.talk.nonce != item.talk.nonce)
            })
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

/// Sends what waits, unless so many calls are under way that more will come together
/// until the next answer: the busier a server is, the more it is asked in one call.
pub(crate) fn gather(node: &Rc<Node>) {
    if node.outbox.calls.get() < UNDER_WAY {
        flush(node);
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
    let Some(live) = node.live() else {
        return item.tell(Err(Miss::NotSent), 0);
    };
    let call = Call::begin(node);
    node.send(item.packed(&live), move |answer, generation| {
        drop(call);
        item.tell(answer, generation);
    });
}

fn together(node: &Rc<Node>, items: Vec<Item>) {
    let Some(live) = node.live() else {
        return tell_all(items, &Miss::NotSent, 0);
    };
    let packed = packed(&items, &live);
    let call = Call::begin(node);
    node.send(packed, move |answer, generation| {
        let node = call.end();
        match answer {
            Ok(value) => {
                let said = decode_many(value, items.len());
                for (item, said) in items.into_iter().zip(said) {
                    match said {
                        Some(value) => item.tell(Ok(value), generation),
                        None => again(&node, item),
                    }
                }
            }
            // Because of one of them, perhaps.
            Err(Miss::Refused(why)) if why.kind != Kind::NoScript => {
                items.into_iter().for_each(|item| again(&node, item));
            }
            Err(miss) => tell_all(items, &miss, generation),
        }
    });
}

/// A call that is under way, until it is dropped.
struct Call(Rc<Node>);

impl Call {
    fn begin(node: &Rc<Node>) -> Self {
        let calls = &node.outbox.calls;
        calls.set(calls.get() + 1);
        Self(Rc::clone(node))
    }

    fn end(self) -> Rc<Node> {
        Rc::clone(&self.0)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let calls = &self.0.outbox.calls;
        calls.set(calls.get() - 1);
    }
}

/// Asks for one by itself that others had no effect on.
fn again(node: &Rc<Node>, item: Item) {
    match item.is_given_up() {
        true => item.tell(Err(Miss::NotSent), 0),
        false => alone(node, item),
    }
}

fn tell_all(items: Vec<Item>, miss: &Miss, generation: u64) {
    for item in items {
        item.tell(Err(miss.clone()), generation);
    }
}

/// One call for all of these, which are alike.
fn packed(items: &[Item], live: &Live) -> Packed {
    let first = &items[0];
    let scripts = &first.talk.hub.scripts;
    let owned = || items.iter().map(|item| (&item.talk.keys, item.talk.nonce));
    match first.command {
        Command::Acquire(ask) => {
            let terms = Terms {
                hold: ask.hold,
                line: ask.line,
                grace: first.talk.grace,
                owner: &first.talk.owner,
            };
            let locks = items
                .iter()
                .map(|item| (&item.talk.keys, item.talk.nonce, item.proposal()));
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
                let (own, their) = (&self.talk, &other.talk);
                (one.hold, one.line, own.grace) == (other_ask.hold, other_ask.line, their.grace)
                    && own.owner == their.owner
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
        matches!(self.command, Command::Acquire(_))
            && self.releases != self.talk.grant.releases.get()
    }

    /// The script for it alone.
    fn packed(&self, live: &Live) -> Packed {
        let talk = &self.talk;
        let scripts = &talk.hub.scripts;
        let (keys, nonce) = (&talk.keys, talk.nonce);
        let label = Label {
            owner: &talk.owner,
            grace: talk.grace,
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
