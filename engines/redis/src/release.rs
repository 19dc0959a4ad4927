//! Giving a lease back.

use std::rc::Rc;
use std::time::Duration;

use leasehold_core::quorum::{Command, NodeSet, Release, ReleaseOutcome, Step};
use leasehold_core::{Error, LockName, Nonce, Operation, Owner, Released};
use tokio::sync::oneshot;
use tokio::task::spawn_local;

use crate::clock;
use crate::fail::{ENGINE, Kind};
use crate::grant::{Grant, tidy};
use crate::hub::Hub;
use crate::turn::Turn;
use crate::wire::Wire;

pub(crate) type Answer = oneshot::Sender<Result<Released, Error>>;

/// Carries out one release when its turn comes, whether or not anybody still listens.
pub(crate) async fn release(
    hub: Rc<Hub>,
    name: LockName,
    nonce: Nonce,
    turn: Turn,
    answer: Answer,
) {
    turn.come().await;
    hub.waiters.forget(nonce);
    let said = give_back(&hub, &turn.grant, &name, nonce).await;
    drop(turn);
    tidy(&hub, &name, nonce);
    // Together with the other answers of this round: one wake-up for all who asked.
    tokio::task::yield_now().await;
    let _ = answer.send(said);
}

/// Releases; goes on in the background once a quorum has answered.
pub(crate) async fn give_back(
    hub: &Rc<Hub>,
    grant: &Rc<Grant>,
    name: &LockName,
    nonce: Nonce,
) -> Result<Released, Error> {
    hub.located(clock::now().saturating_add(hub.options.timeout))
        .await;
    Giving::start(hub, grant, name, nonce)?.go_on().await
}

/// A release that is under way, and what is to be done next.
pub(crate) struct Giving {
    pub(crate) wire: Wire,
    pub(crate) release: Release,
    pub(crate) step: Step<Command, ReleaseOutcome>,
    /// The lease had run out by this client's clock.
    expired: bool,
}

impl Giving {
    /// The commands are sent.
    pub(crate) fn start(
        hub: &Rc<Hub>,
        grant: &Rc<Grant>,
        name: &LockName,
        nonce: Nonce,
    ) -> Result<Self, Error> {
        let expired = grant
            .held
            .get()
            .is_some_and(|held| held.deadline.has_passed(clock::now()));
        // Whoever asked from another process asked any of them.
        let nodes = match grant.asked.get() {
            NodeSet::EMPTY => hub.quorum.all(),
            asked => asked,
        };
        let hold = match grant.hold.get() {
            Duration::ZERO => hub.options.max_ttl,
            hold => hold,
        };
        let owner = grant.owner.borrow().clone();
        let owner = owner.unwrap_or_else(|| Owner::new(""));
        let mut wire = Wire::new(hub, grant, name, nonce, owner, Duration::ZERO)?;
        let (release, mut step) = Release::start(
            hub.quorum,
            nodes,
            hold,
            hub.hedge_after(nodes),
            hub.options.timeout,
            clock::now(),
        );
        wire.carry_out(step.send.take());
        Ok(Self {
            wire,
            release,
            step,
            expired,
        })
    }

    /// Goes on until something came of it.
    pub(crate) async fn go_on(mut self) -> Result<Released, Error> {
        loop {
            self.wire.carry_out(self.step.send.take());
            if let Some(outcome) = self.step.outcome {
                return self.end(outcome);
            }
            self.step = self.wire.next(&mut self.release).await;
        }
    }

    /// What came of it; the rest is done in the background.
    pub(crate) fn end(self, outcome: ReleaseOutcome) -> Result<Released, Error> {
        self.wire.grant.end();
        let said = match outcome {
            ReleaseOutcome::Released if self.expired => Ok(Released::AlreadyLost),
            ReleaseOutcome::Released => Ok(Released::Released),
            ReleaseOutcome::AlreadyLost => Ok(Released::AlreadyLost),
            ReleaseOutcome::Indeterminate => Err(failure(&self.wire)),
        };
        if !self.release.is_done() {
            spawn_local(self.wire.finish(self.release));
        }
        said
    }
}

fn failure(wire: &Wire) -> Error {
    let hub = &wire.hub;
    let foreign = wire
        .troubles
        .iter()
        .find(|(_, t)| t.kind == Kind::WrongType);
    if let Some((node, trouble)) = foreign {
        return crate::answer::wrong_type(&wire.name, &hub.node(*node).name, trouble);
    }
    Error::Indeterminate {
        operation: Operation::Release,
        engine: ENGINE,
        detail: hub.explain(&wire.troubles).0,
    }
}
