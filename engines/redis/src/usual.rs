//! The usual acquire and the usual release: every node that is asked says yes, soon.
//!
//! They need no task of their own: whoever reads the last answer tells the caller. Any
//! other answer, and none for too long, makes a task of the operation, which goes on
//! from there ([`Asking::run`], [`Giving::go_on`]) as if it had been one from the start.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::Duration;

use leasehold_core::quorum::{AcquireOutcome, AcquireReply, Fate, NodeId, Reply};
use leasehold_core::{AcquireRequest, Acquired, Error, Instant, LockName, Mode, Nonce, Released};
use tokio::sync::Notify;
use tokio::task::spawn_local;

use crate::acquire::{self, Asking, Started};
use crate::clock;
use crate::grant::tidy;
use crate::hub::Hub;
use crate::release::{self, Giving};
use crate::talk::{Heard, Listener, Talk};
use crate::turn::Turn;
use crate::wire::Machine;

/// Begins with an acquire.
pub(crate) fn acquire(
    hub: &Rc<Hub>,
    request: Box<AcquireRequest>,
    turn: Turn,
    answer: acquire::Answer,
) {
    let task = |hub: &Rc<Hub>, request, turn, answer| {
        spawn_local(acquire::acquire(Rc::clone(hub), request, turn, answer));
    };
    let grant = &turn.grant;
    let hold = match acquire::check(hub, &request) {
        Ok(hold) if request.mode == Mode::Exclusive => hold,
        _ => return task(hub, request, turn, answer),
    };
    let known = grant.waits.get() || grant.held.get().is_some() || !grant.owed().is_empty();
    let votes = hub.voters(hub.quorum.all()).len() >= hub.quorum.size();
    if known || !votes || hub.slot.is_some() || !turn.has_come() {
        return task(hub, request, turn, answer);
    }
    let asking = Asking {
        hub,
        grant,
        request: &request,
        hold,
    };
    let started = match asking.start() {
        Ok(started) => started,
        Err(error) => {
            drop(turn);
            tidy(hub, &request.name, request.nonce);
            return drop(answer.send(Err(error)));
        }
    };
    let taking = Taking {
        hub: Rc::clone(hub),
        request,
        hold,
        turn,
        answer,
        started,
    };
    listen(Usual::Acquire(Box::new(taking)));
}

/// Begins with a release.
pub(crate) fn release(
    hub: &Rc<Hub>,
    name: LockName,
    nonce: Nonce,
    turn: Turn,
    answer: release::Answer,
) {
    if hub.slot.is_some() || !turn.has_come() {
        spawn_local(release::release(Rc::clone(hub), name, nonce, turn, answer));
        return;
    }
    hub.waiters.forget(nonce);
    match Giving::start(hub, &turn.grant, &name, nonce) {
        Ok(giving) => listen(Usual::Release(Box::new(Returning {
            giving,
            turn,
            answer,
        }))),
        Err(error) => {
            drop(turn);
            tidy(hub, &name, nonce);
            let _ = answer.send(Err(error));
        }
    }
}

/// An operation without a task.
enum Usual {
    Acquire(Box<Taking>),
    Release(Box<Returning>),
}

struct Taking {
    hub: Rc<Hub>,
    request: Box<AcquireRequest>,
    hold: Duration,
    turn: Turn,
    answer: acquire::Answer,
    started: Started,
}

struct Returning {
    giving: Giving,
    turn: Turn,
    answer: release::Answer,
}

/// Where it is while it waits for answers.
struct Waiting(RefCell<Option<Usual>>);

impl Listener for Waiting {
    fn hear(self: Rc<Self>, heard: Heard) {
        let Some(usual) = self.0.take() else {
            return;
        };
        if let Some(usual) = usual.hear(heard) {
            self.0.replace(Some(usual));
        }
    }
}

/// Waits for answers, unless one came at once or nothing was sent.
fn listen(usual: Usual) {
    let (talk, is_decided, late_at) = match &usual {
        Usual::Acquire(taking) => (
            &taking.started.wire.talk,
            taking.started.step.outcome.is_some(),
            taking.started.acquire.wake_at(),
        ),
        Usual::Release(returning) => (
            &returning.giving.wire.talk,
            returning.giving.step.outcome.is_some(),
            returning.giving.release.wake_at(),
        ),
    };
    let late_at = match late_at {
        Some(at) if !is_decided && !talk.has_news() => at,
        _ => return usual.become_task(),
    };
    let (talk, late) = (Rc::clone(talk), Rc::clone(&talk.hub.late));
    let waiting = Rc::new(Waiting(RefCell::new(Some(usual))));
    late.push(late_at, Rc::downgrade(&waiting));
    talk.listener.replace(Some(waiting));
}

impl Usual {
    /// Deals with an answer; gives itself back if more have to come.
    fn hear(self, heard: Heard) -> Option<Self> {
        match self {
            Self::Acquire(taking) => taking.hear(heard).map(Self::Acquire),
            Self::Release(returning) => returning.hear(heard).map(Self::Release),
        }
    }

    /// Its answers are late.
    fn on_tick(self, now: Instant) {
        match self {
            Self::Acquire(mut taking) => {
                let started = &mut taking.started;
                started.step = started.acquire.on_tick(now);
                taking.become_task();
            }
            Self::Release(mut returning) => {
                let giving = &mut returning.giving;
                giving.step = giving.release.on_tick(now);
                returning.become_task();
            }
        }
    }

    fn become_task(self) {
        match self {
            Self::Acquire(taking) => taking.become_task(),
            Self::Release(returning) => returning.become_task(),
        }
    }
}

impl Taking {
    fn asking(&self) -> Asking<'_> {
        Asking {
            hub: &self.hub,
            grant: &self.turn.grant,
            request: &self.request,
            hold: self.hold,
        }
    }

    fn hear(mut self: Box<Self>, heard: Heard) -> Option<Box<Self>> {
        let (node, reply) = (heard.node, heard.reply);
        let started = &mut self.started;
        started.wire.note(heard);
        started.step = started.acquire.on_reply(node, reply, clock::now());
        let is_grant = matches!(reply, Reply::Acquire(Ok(AcquireReply::Granted { .. })));
        match started.step.outcome {
            _ if !is_grant || started.step.send.is_some() => self.become_task(),
            None => return Some(self),
            Some(AcquireOutcome::Granted { .. }) => self.end(),
            Some(_) => self.become_task(),
        }
        None
    }

    fn become_task(self: Box<Self>) {
        self.started.wire.talk.listener.take();
        self.listen_for_pushes();
        spawn_local(Box::pin(self.go_on()));
    }

    /// It may become a waiter's from here on. What nodes have said so far counts for it;
    /// what they tell unasked comes behind that.
    fn listen_for_pushes(&self) {
        self.asking().expect();
        let (waiters, nonce) = (&self.hub.waiters, self.request.nonce);
        let sent = self.started.wire.talk.sent.get();
        for (place, fate) in self.started.acquire.fates().iter().enumerate() {
            if let (Some(node), Some(reply)) = (NodeId::new(place), answered(*fate)) {
                waiters.on_answer(nonce, node, sent, &reply);
            }
        }
    }

    async fn go_on(self: Box<Self>) {
        let Self {
            hub,
            request,
            hold,
            turn,
            answer,
            started,
        } = *self;
        let asking = Asking {
            hub: &hub,
            grant: &turn.grant,
            request: &request,
            hold,
        };
        asking.run(answer, Some(started)).await;
        drop(turn);
        tidy(&hub, &request.name, request.nonce);
    }

    /// It is granted.
    fn end(self: Box<Self>) {
        let Some(AcquireOutcome::Granted {
            token, deadline, ..
        }) = self.started.step.outcome
        else {
            return;
        };
        self.started.wire.talk.listener.take();
        self.hub.waiters.forget(self.request.nonce);
        let granted = self.asking().granted(token, deadline);
        let Self {
            hub,
            request,
            turn,
            answer,
            ..
        } = *self;
        if answer.send(Ok(Acquired::Granted(granted))).is_err() {
            // Nobody is there to have it.
            spawn_local(async move {
                let (name, nonce) = (&request.name, request.nonce);
                let _ = release::give_back(&hub, &turn.grant, name, nonce).await;
                drop(turn);
                tidy(&hub, name, nonce);
            });
        }
    }
}

/// What a node must have answered for this to have become of it, as far as a waiter is
/// concerned.
fn answered(fate: Fate) -> Option<AcquireReply> {
    match fate {
        Fate::Granted(counter) => Some(AcquireReply::Granted { counter }),
        Fate::Queued {
            place,
            ahead,
            free_in,
            holder,
        } => Some(AcquireReply::Queued {
            place,
            ahead,
            free_in,
            holder,
        }),
        _ => None,
    }
}

impl Returning {
    fn hear(mut self: Box<Self>, heard: Heard) -> Option<Box<Self>> {
        let (node, reply) = (heard.node, heard.reply);
        let giving = &mut self.giving;
        giving.wire.note(heard);
        giving.step = Machine::on_reply(&mut giving.release, node, reply, clock::now());
        match giving.step.outcome {
            _ if giving.step.send.is_some() => self.become_task(),
            None => return Some(self),
            Some(outcome) => {
                let talk = Rc::clone(&giving.wire.talk);
                talk.listener.take();
                let Self {
                    giving,
                    turn,
                    answer,
                } = *self;
                let said = giving.end(outcome);
                end(talk, turn, answer, said);
            }
        }
        None
    }

    fn become_task(self: Box<Self>) {
        let talk = Rc::clone(&self.giving.wire.talk);
        talk.listener.take();
        spawn_local(Box::pin(async move {
            let said = self.giving.go_on().await;
            end(talk, self.turn, self.answer, said);
        }));
    }
}

fn end(talk: Rc<Talk>, turn: Turn, answer: release::Answer, said: Result<Released, Error>) {
    let (hub, name, nonce) = (Rc::clone(&talk.hub), talk.name.clone(), talk.nonce);
    // Both hold the grant.
    drop((talk, turn));
    tidy(&hub, &name, nonce);
    let _ = answer.send(said);
}

/// Operations without a task, and when their answers are late.
#[derive(Default)]
pub(crate) struct Late {
    waiting: RefCell<VecDeque<(Instant, Weak<Waiting>)>>,
    /// Something waits that did not before.
    begun: Notify,
}

impl Late {
    fn push(&self, at: Instant, waiting: Weak<Waiting>) {
        let mut all = self.waiting.borrow_mut();
        // Nearly in order, since what is late changes slowly.
        while all
            .front()
            .is_some_and(|(_, first)| first.strong_count() == 0)
        {
            all.pop_front();
        }
        if all.is_empty() {
            self.begun.notify_one();
        }
        all.push_back((at, waiting));
    }

    /// Those whose time has come by now, and when to look again.
    fn due(&self, now: Instant) -> (Vec<Rc<Waiting>>, Option<Instant>) {
        let mut all = self.waiting.borrow_mut();
        let mut due = Vec::new();
        while let Some((at, first)) = all.front() {
            match first.upgrade() {
                Some(waiting) if *at <= now => due.push(waiting),
                Some(_) => return (due, Some(*at)),
                None => {}
            }
            all.pop_front();
        }
        (due, None)
    }
}

/// Makes tasks of operations whose answers are late.
pub(crate) async fn watch(late: Rc<Late>) {
    loop {
        let now = clock::now();
        let (due, next) = late.due(now);
        for waiting in due {
            if let Some(usual) = waiting.0.take() {
                usual.on_tick(now);
            }
        }
        match next {
            Some(_) => clock::sleep_until(next).await,
            None => late.begun.notified().await,
        }
    }
}
