//! What one operation says to the nodes, and what it hears.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leasehold_core::quorum::{AcquireReply, Command, Failure, NodeId, PromoteReply, Reply};
use leasehold_core::{Instant, LockName, Nonce, Owner};
use redis::Value;

use crate::clock;
use crate::fail::{Kind, Trouble};
use crate::grant::Grant;
use crate::hub::Hub;
use crate::node::Miss;
use crate::outbox::{self, Item};
use crate::scripts::{
    BadReply, Keys, Packed, View, decode_acquire, decode_extend, decode_promote, decode_release,
};

/// What the commands of one operation on one lock have in common, and what was heard of
/// them so far.
pub(crate) struct Talk {
    pub(crate) hub: Rc<Hub>,
    pub(crate) grant: Rc<Grant>,
    pub(crate) name: LockName,
    pub(crate) nonce: Nonce,
    pub(crate) keys: Keys,
    pub(crate) owner: Owner,
    pub(crate) grace: Duration,
    /// When the acquire was sent.
    pub(crate) sent: Cell<Instant>,
    heard: RefCell<VecDeque<Heard>>,
    /// The operation, if it waits.
    waiter: RefCell<Option<Waker>>,
    /// Who is told at once, in place of a task that waits.
    pub(crate) listener: RefCell<Option<Rc<dyn Listener>>>,
}

/// An answer, and what came with it.
pub(crate) struct Heard {
    pub(crate) node: NodeId,
    pub(crate) reply: Reply,
    pub(crate) to: Command,
    pub(crate) sent: Instant,
    pub(crate) view: Option<View>,
    pub(crate) trouble: Option<Trouble>,
}

/// Is told each answer as it comes.
pub(crate) trait Listener {
    fn hear(self: Rc<Self>, heard: Heard);
}

impl Talk {
    pub(crate) fn new(
        (hub, grant): (&Rc<Hub>, &Rc<Grant>),
        (name, nonce): (&LockName, Nonce),
        keys: Keys,
        owner: Owner,
        grace: Duration,
    ) -> Self {
        Self {
            hub: Rc::clone(hub),
            grant: Rc::clone(grant),
            name: name.clone(),
            nonce,
            keys,
            owner,
            grace,
            sent: Cell::new(clock::now()),
            heard: RefCell::default(),
            waiter: RefCell::default(),
            listener: RefCell::default(),
        }
    }

    /// Sends a command to a node.
    pub(crate) fn send(self: &Rc<Self>, command: Command, to: NodeId) {
        let item = Item {
            talk: Rc::clone(self),
            command,
            to,
            sent: self.sent.get(),
            releases: self.grant.releases.get(),
        };
        outbox::send(self.hub.node(to), item);
    }

    /// Whether something was heard that nobody has looked at.
    pub(crate) fn has_news(&self) -> bool {
        !self.heard.borrow().is_empty()
    }

    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Heard> {
        match self.heard.borrow_mut().pop_front() {
            Some(heard) => Poll::Ready(heard),
            None => {
                self.waiter.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    fn push(self: Rc<Self>, heard: Heard) {
        let listener = self.listener.borrow().clone();
        if let Some(listener) = listener {
            // It may end the operation, and with it what is known of the nonce.
            drop(self);
            return listener.hear(heard);
        }
        self.heard.borrow_mut().push_back(heard);
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }
}

impl Item {
    /// Tells the operation what came of it, over the connection of this generation.
    pub(crate) fn tell(self, answer: Result<Value, Miss>, generation: u64) {
        let missing = matches!(&answer, Err(Miss::Refused(why)) if why.kind == Kind::NoScript);
        if missing && let Some(commands) = self.with_script() {
            let node = Rc::clone(self.talk.hub.node(self.to));
            return node.send_all(commands, move |answer, generation| {
                let answer = answer.map(|mut all| all.pop().unwrap_or_default());
                self.told(answer, generation);
            });
        }
        self.told(answer, generation);
    }

    fn told(self, answer: Result<Value, Miss>, generation: u64) {
        let heard = self.read(generation, answer);
        self.talk.push(heard);
    }

    /// An extend or a release for a node without scripts, which has to join: it brings
    /// its script along. Neither votes, so they are harmless there; scripts that do
    /// vote are loaded by joins alone.
    fn with_script(&self) -> Option<Packed> {
        let Talk {
            hub, keys, nonce, ..
        } = &*self.talk;
        let live = hub.node(self.to).live()?;
        let scripts = &hub.scripts;
        let (code, call) = match self.command {
            Command::Extend { slot, hold } => {
                let call = scripts.extend(keys, *nonce, slot, hold);
                (scripts.extend_code(), call)
            }
            Command::Release => (
                scripts.release_code(),
                scripts.release(keys, &live.run, *nonce),
            ),
            _ => return None,
        };
        let mut commands = Packed::of(&["SCRIPT", "LOAD", code]);
        commands.append(&call);
        Some(commands)
    }

    /// Reads an answer, and lets everybody learn from it.
    fn read(&self, generation: u64, answer: Result<Value, Miss>) -> Heard {
        let (command, hub, name) = (self.command, &self.talk.hub, &self.talk.name);
        let mut heard = Heard {
            node: self.to,
            reply: of(command, Failure::Refused),
            to: command,
            sent: self.sent,
            view: None,
            trouble: None,
        };
        let value = match answer {
            Ok(value) => value,
            Err(miss) => {
                heard.reply = match miss {
                    Miss::NotSent => of(command, Failure::NotSent),
                    Miss::Lost => of(command, Failure::Lost),
                    Miss::Refused(trouble) => {
                        heard.trouble = Some(trouble);
                        heard.reply
                    }
                };
                return heard;
            }
        };
        match decode(command, &value) {
            Ok((reply, view)) => (heard.reply, heard.view) = (reply, view),
            // It may have done anything.
            Err(bad) => {
                heard.trouble = Some(Trouble::nonsense(bad.to_string()));
                heard.reply = of(command, Failure::Lost);
            }
        }
        match heard.reply {
            Reply::Acquire(Ok(AcquireReply::NotJoined))
            | Reply::Promote(Ok(PromoteReply::NotJoined)) => hub.node(self.to).lapse(generation),
            Reply::Acquire(Ok(granted)) => hub.proposals.borrow_mut().on_reply(name, &granted),
            Reply::Promote(Ok(PromoteReply::At(counter))) => {
                hub.proposals.borrow_mut().note(name, counter);
            }
            _ => {}
        }
        heard
    }
}

/// The reply to a command that has no answer.
const fn of(command: Command, failure: Failure) -> Reply {
    match command {
        Command::Acquire(_) => Reply::Acquire(Err(failure)),
        Command::Promote { .. } => Reply::Promote(Err(failure)),
        Command::Place { .. } | Command::Yield { .. } => Reply::Noted,
        Command::Extend { .. } | Command::Release => Reply::Release(Err(failure)),
    }
}

fn decode(command: Command, value: &Value) -> Result<(Reply, Option<View>), BadReply> {
    Ok(match command {
        Command::Acquire(_) => {
            let (reply, view) = decode_acquire(value)?;
            (Reply::Acquire(Ok(reply)), view)
        }
        Command::Promote { .. } => (Reply::Promote(Ok(decode_promote(value)?)), None),
        Command::Place { .. } | Command::Yield { .. } => (Reply::Noted, None),
        Command::Extend { .. } => (Reply::Release(Ok(decode_extend(value)?)), None),
        Command::Release => (Reply::Release(Ok(decode_release(value)?)), None),
    })
}
