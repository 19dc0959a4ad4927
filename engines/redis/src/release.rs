//! Giving a lease back.

use std::rc::Rc;
use std::time::Duration;

use leasehold_core::quorum::{NodeSet, Release, ReleaseOutcome};
use leasehold_core::{Error, LockName, Nonce, Operation, Owner, Released};
use tokio::sync::oneshot;
use tokio::task::spawn_local;

use crate::clock;
use crate::fail::{ENGINE, Kind};
use crate::grant::{Grant, tidy};
use crate::hub::Hub;
use crate::wire::Wire;

/// Carries out one release, whether or not anybody still listens.
pub(crate) async fn release(
    hub: Rc<Hub>,
    name: LockName,
    nonce: Nonce,
    answer: oneshot::Sender<Result<Released, Error>>,
) {
    let grant = Grant::of(&hub, &name, nonce);
    let turn = grant.turn.lock().await;
    hub.waiters.forget(nonce);
    let said = give_back(&hub, &grant, &name, nonce).await;
    drop(turn);
    drop(grant);
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
    let mut wire = Wire::new(hub, grant, name, nonce, Owner::new(""), Duration::ZERO)?;
    let patience = hub.options.timeout;
    hub.located(clock::now().saturating_add(patience)).await;
    let (mut release, mut step) = Release::start(
        hub.quorum,
        nodes,
        hold,
        hub.hedge_after(nodes),
        patience,
        clock::now(),
    );
    let outcome = loop {
        wire.carry_out(step.send);
        if let Some(outcome) = step.outcome {
            break outcome;
        }
        step = wire.next(&mut release).await;
    };
    grant.end();
    let said = match outcome {
        ReleaseOutcome::Released if expired => Ok(Released::AlreadyLost),
        ReleaseOutcome::Released => Ok(Released::Released),
        ReleaseOutcome::AlreadyLost => Ok(Released::AlreadyLost),
        ReleaseOutcome::Indeterminate => Err(failure(&wire)),
    };
    if !release.is_done() {
        spawn_local(wire.finish(release));
    }
    said
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
