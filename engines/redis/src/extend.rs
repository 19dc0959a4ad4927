//! Prolonging a lease.

use std::rc::Rc;
use std::time::Duration;

use leasehold_core::quorum::{Ask, Command, Extend, ExtendOutcome, NodeSet};
use leasehold_core::{Deadline, Error, ExtendRequest, Extended, Instant, Operation, Owner, Ttl};
use tokio::sync::oneshot;

use crate::answer::wrong_type;
use crate::clock;
use crate::fail::{ENGINE, Kind};
use crate::grant::{Grant, Held, tidy};
use crate::hub::Hub;
use crate::look;
use crate::turn::Turn;
use crate::wire::Wire;

/// Carries out one extend when its turn comes; `answer` is told what came of it.
pub(crate) async fn extend(
    hub: Rc<Hub>,
    request: ExtendRequest,
    turn: Turn,
    answer: oneshot::Sender<Result<Extended, Error>>,
) {
    turn.come().await;
    let said = attempt(&hub, &turn.grant, &request).await;
    drop(turn);
    tidy(&hub, &request.name, request.nonce);
    let _ = answer.send(said);
}

async fn attempt(
    hub: &Rc<Hub>,
    grant: &Rc<Grant>,
    request: &ExtendRequest,
) -> Result<Extended, Error> {
    let limit = clock::now().saturating_add(hub.options.timeout);
    hub.located(limit).await;
    let Some(held) = held(hub, grant, request).await? else {
        return Ok(Extended::Lost);
    };
    let now = clock::now();
    if held.deadline.has_passed(now) {
        return Ok(Extended::Lost);
    }
    let hold = request.ttl.get() + held.grace;
    if hold > hub.options.max_ttl {
        return Err(crate::acquire::too_long(hold, hub.options.max_ttl));
    }
    let mut wire = Wire::new(
        hub,
        grant,
        &request.name,
        request.nonce,
        Owner::new(""),
        held.grace,
    )?;
    // A key on a node that is owed a release is not to be counted on.
    let barred = grant.owed().or(grant.astray.get());
    let nodes = hub.reachable(grant.asked.get().without(barred));
    grant.ask(NodeSet::EMPTY, hold);
    let patience = hub.options.timeout;
    let now = clock::now();
    let (mut extend, mut step) = Extend::start(
        hub.quorum,
        nodes,
        request.ttl,
        (grant.slot.get().unwrap_or_default(), hold),
        held.deadline,
        patience,
        now,
    );
    let outcome = loop {
        wire.carry_out(step.send);
        if let Some(outcome) = step.outcome {
            break outcome;
        }
        step = wire.next(&mut extend).await;
    };
    match outcome {
        ExtendOutcome::Extended { deadline } => {
            grant.held.set(Some(Held { deadline, ..held }));
            top_up(hub, grant, request, held, hold);
            Ok(Extended::Extended)
        }
        ExtendOutcome::Lost | ExtendOutcome::TooLate => Ok(Extended::Lost),
        ExtendOutcome::Indeterminate => {
            top_up(hub, grant, request, held, hold);
            let foreign = wire
                .troubles
                .iter()
                .find(|(_, t)| t.kind == Kind::WrongType);
            if let Some((node, trouble)) = foreign {
                return Err(wrong_type(&request.name, &hub.node(*node).name, trouble));
            }
            Err(indeterminate(hub.explain(&wire.troubles).0))
        }
    }
}

/// Takes the lock on the nodes that were not asked for it so far. A short lease does
/// without; one that is renewed shall outlive the loss of a minority. Whatever they
/// answer, the next extend asks them as well.
fn top_up(hub: &Rc<Hub>, grant: &Rc<Grant>, request: &ExtendRequest, held: Held, hold: Duration) {
    let barred = grant.asked.get().or(grant.owed()).or(grant.astray.get());
    let nodes = hub.voters(hub.quorum.all().without(barred));
    let owner = grant.owner.borrow().clone();
    let (Some(known), Some(owner), false) = (held.known, owner, nodes.is_empty()) else {
        return;
    };
    let (name, nonce) = (&request.name, request.nonce);
    if let Ok(mut wire) = Wire::new(hub, grant, name, nonce, owner, held.grace) {
        let ask = Ask {
            mode: known.mode,
            slot: grant.slot.get().unwrap_or_default(),
            hold,
            line: None,
            proposal: known.token,
        };
        wire.carry_out(Some((Command::Acquire(ask), nodes)));
    }
}

fn indeterminate(detail: String) -> Error {
    Error::Indeterminate {
        operation: Operation::Extend,
        engine: ENGINE,
        detail,
    }
}

/// The lease, by what this client knows; else by what the nodes say, if it is of
/// another client. `None` if no quorum can have it.
async fn held(
    hub: &Rc<Hub>,
    grant: &Rc<Grant>,
    request: &ExtendRequest,
) -> Result<Option<Held>, Error> {
    if let Some(held) = grant.held.get() {
        return Ok(Some(held));
    }
    let asked_at: Instant = clock::now();
    let looked = look::look(hub, &request.name)
        .await
        .map_err(|error| match error {
            Error::Unavailable { detail, .. } => indeterminate(detail),
            other => other,
        })?;
    let mut ends = Vec::new();
    for (key, lease) in looked.leases() {
        if lease.nonce == request.nonce {
            ends.push((key.free_in.saturating_sub(lease.grace), lease.grace));
        }
    }
    let needed = hub.quorum.size();
    if ends.len() + looked.silent(hub) < needed {
        return Ok(None);
    }
    if ends.len() < needed {
        return Err(indeterminate("too few servers tell of it".to_owned()));
    }
    // The end that a quorum reaches, judged as if it had been asked for just now.
    ends.sort_unstable();
    let (left, grace) = ends[ends.len() - needed];
    let Ok(left) = Ttl::new(left) else {
        return Ok(None);
    };
    let deadline = Deadline::of(asked_at, left);
    let held = Held {
        deadline,
        grace,
        known: None,
    };
    grant.held.set(Some(held));
    grant.asked.set(hub.quorum.all());
    grant.ask(hub.quorum.all(), left.get() + grace);
    Ok(Some(held))
}
