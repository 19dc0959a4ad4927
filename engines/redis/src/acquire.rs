//! Taking a lock, or a place where a release is heard of.

use std::rc::Rc;
use std::time::Duration;

use leasehold_core::quorum::{Acquire, AcquireOutcome, Fate, NodeId, NodeSet, Plan};
use leasehold_core::{
    AcquireRequest, Acquired, Error, Granted, HeldBy, Instant, LockName, Mode, Operation, Queued,
};
use tokio::sync::oneshot;
use tokio::task::spawn_local;

use crate::clock;
use crate::fail::{ENGINE, Kind, Trouble};
use crate::grant::{Grant, Held, tidy};
use crate::hub::{Hub, why};
use crate::scripts::View;
use crate::wire::Wire;

/// How much later than a key's end it is worth asking again.
const SLACK: Duration = Duration::from_millis(2);
/// How long a client pauses at most after several have split the vote.
const SPLIT: Duration = Duration::from_millis(20);

type Answer = oneshot::Sender<Result<Acquired, Error>>;

/// Checks what needs no server.
pub(crate) fn check(hub: &Hub, request: &AcquireRequest) -> Result<Duration, Error> {
    let missing = match request.mode {
        Mode::Exclusive => None,
        Mode::Shared => Some("shared locks"),
        _ => Some("permits"),
    };
    if let Some(missing) = missing {
        return Err(Error::unsupported(
            ENGINE,
            missing,
            "take an exclusive lock, or use an engine that has them (see leasehold engines)",
        ));
    }
    let hold = request.ttl.get() + request.grace;
    let most = hub.options.max_ttl;
    if hold > most {
        return Err(too_long(hold, most));
    }
    Ok(hold)
}

pub(crate) fn too_long(hold: Duration, most: Duration) -> Error {
    Error::invalid(
        "ttl + grace",
        format!("{hold:?}"),
        format!(
            "it is above max_ttl={most:?}; choose a shorter TTL (it is renewed), or set a longer max_ttl= in the URL of every client: a server that forgot stays away for so long"
        ),
    )
}

/// Carries out one request; `answer` is told what came of it.
pub(crate) async fn acquire(hub: Rc<Hub>, request: AcquireRequest, answer: Answer) {
    let hold = match check(&hub, &request) {
        Ok(hold) => hold,
        Err(error) => return drop(answer.send(Err(error))),
    };
    let grant = Grant::of(&hub, &request.name, request.nonce);
    // Behind earlier requests of this nonce.
    let turn = grant.turn.lock().await;
    let asking = Asking {
        hub: &hub,
        grant: &grant,
        request: &request,
        hold,
    };
    asking.run(answer).await;
    drop(turn);
    drop(grant);
    tidy(&hub, &request.name, request.nonce);
}

struct Asking<'a> {
    hub: &'a Rc<Hub>,
    grant: &'a Rc<Grant>,
    request: &'a AcquireRequest,
    hold: Duration,
}

/// What came of one attempt.
enum Attempt {
    Answer(Acquired),
    /// Nodes have to join anew, or to load the scripts: a matter of moments.
    Lapsed,
    /// Several tried at once, and nobody has it.
    Split(Duration),
    /// It may have succeeded, is being undone, and others can vote.
    Unknown(Error),
}

impl Asking<'_> {
    async fn run(&self, mut answer: Answer) {
        let limit = clock::now().saturating_add(self.hub.options.timeout);
        let said = loop {
            let again = clock::now() < limit && !answer.is_closed();
            match self.attempt(&mut answer, limit).await {
                Ok(Attempt::Answer(acquired)) => break Ok(acquired),
                Ok(Attempt::Lapsed) if again => {}
                Ok(Attempt::Lapsed) => break Err(self.hub.unavailable(&[])),
                Ok(Attempt::Split(pause)) if again => tokio::time::sleep(pause).await,
                Ok(Attempt::Split(_)) => break Ok(Acquired::Busy(Vec::new())),
                Ok(Attempt::Unknown(_)) if again => tokio::time::sleep(self.pause()).await,
                Ok(Attempt::Unknown(error)) => break Err(error),
                Err(error) => break Err(error),
            }
        };
        let (granted, queued) = match &said {
            Ok(Acquired::Granted(_)) => (true, false),
            Ok(Acquired::Queued(_)) => (false, true),
            _ => (false, false),
        };
        self.grant.waits.set(queued);
        if queued {
            // Remembered for as long as the waiter may take to come back.
            let interval = self.request.queue.unwrap_or_default();
            self.grant.ask(NodeSet::EMPTY, interval.saturating_mul(3));
        } else if let Ok(keys) =
            crate::scripts::Keys::of(&self.request.name, &self.hub.options.prefix)
        {
            self.hub.wakes.forget(keys.wake(), self.request.nonce);
        }
        if answer.send(said).is_err() && granted {
            // Nobody is there to have it.
            let _ = crate::release::give_back(
                self.hub,
                self.grant,
                &self.request.name,
                self.request.nonce,
            )
            .await;
        }
    }

    async fn attempt(&self, answer: &mut Answer, limit: Instant) -> Result<Attempt, Error> {
        let request = self.request;
        let hub = self.hub;
        let mut wire = Wire::new(
            hub,
            self.grant,
            &request.name,
            request.nonce,
            request.owner.clone(),
            request.grace,
        )?;
        if request.queue.is_some() {
            hub.wakes
                .expect(&hub.nodes, wire.keys.wake(), request.nonce);
        }
        self.settle(limit).await;
        hub.ready(limit).await;
        let plan = self.plan();
        let asked = plan.quorum.all().without(plan.skip);
        if asked.len() < hub.quorum.size() {
            return Err(self.unavailable(&wire, &[]));
        }
        self.grant.ask(asked, self.hold);
        let (mut acquire, mut step) = Acquire::start(plan, clock::now());
        let outcome = loop {
            wire.carry_out(step.send);
            if let Some(outcome) = step.outcome {
                break outcome;
            }
            step = tokio::select! {
                biased;
                step = wire.next(&mut acquire) => step,
                () = answer.closed() => acquire.cancel(clock::now()),
            };
        };
        let said = self.judge(&wire, &acquire, outcome);
        if acquire.is_cleaning_up() {
            // Releases what the failed attempt may have left.
            spawn_local(wire.finish(acquire));
        }
        said
    }

    /// Waits for releases of this nonce that are under way, where they may get
    /// through.
    async fn settle(&self, limit: Instant) {
        loop {
            let paid = self.grant.paid.notified();
            let owed = self.hub.reachable(self.grant.owed());
            if owed.is_empty() || clock::now() >= limit {
                return;
            }
            tokio::select! {
                () = paid => {}
                () = clock::sleep_until(Some(limit)) => {}
            }
        }
    }

    fn plan(&self) -> Plan {
        let hub = self.hub;
        let all = hub.quorum.all();
        let barred = self.grant.owed().or(self.grant.astray.get());
        let voters = hub.voters(all.without(barred));
        Plan {
            quorum: hub.quorum,
            ttl: self.request.ttl,
            hold: self.hold,
            proposal: hub.proposals.borrow_mut().propose(&self.request.name),
            first: voters,
            hedge_after: hub.hedge_after(voters),
            skip: all.without(voters),
            patience: hub.options.timeout,
        }
    }

    fn judge(
        &self,
        wire: &Wire,
        acquire: &Acquire,
        outcome: AcquireOutcome,
    ) -> Result<Attempt, Error> {
        match outcome {
            AcquireOutcome::Granted { token, deadline, .. } => {
                self.hub.proposals.borrow_mut().note(&self.request.name, token);
                // A lease that is asked for again while it is valid keeps its token,
                // although the nodes may have agreed on a greater one meanwhile.
                let old = self.grant.held.get();
                let old = old.filter(|held| !held.deadline.has_passed(clock::now()));
                let token = old.and_then(|held| held.token).unwrap_or(token);
                self.grant.held.set(Some(Held {
                    deadline: old.map_or(deadline, |held| held.deadline.max(deadline)),
                    grace: self.request.grace,
                    token: Some(token),
                }));
                Ok(Attempt::Answer(Acquired::Granted(Granted { token })))
            }
            AcquireOutcome::Busy { free_in, split } => Ok(self.busy(wire, free_in, split)),
            AcquireOutcome::Unavailable => {
                let lapsed = |fate: &Fate| *fate == Fate::NotJoined;
                let no_script = wire.troubles.iter().any(|(_, t)| t.kind == Kind::NoScript);
                if no_script || acquire.fates().iter().any(lapsed) {
                    return Ok(Attempt::Lapsed);
                }
                Err(self.unavailable(wire, acquire.fates()))
            }
            AcquireOutcome::Indeterminate => {
                let said = self.said(wire, acquire.fates());
                self.unknown(&self.hub.explain(&said).0)
            }
            AcquireOutcome::TooLate => self.unknown(
                "a quorum agreed when the lease's deadline had passed; it is being given back. Give it a longer TTL",
            ),
            AcquireOutcome::Cancelled => Err(self.indeterminate("the request was dropped")),
        }
    }

    /// What was or may have been granted is being released. That is no news to a
    /// waiter, as long as a quorum can be asked again.
    fn unknown(&self, detail: &str) -> Result<Attempt, Error> {
        let error = self.indeterminate(detail);
        let hub = self.hub;
        if hub.voters(hub.quorum.all()).len() < hub.quorum.size() {
            return Err(error);
        }
        Ok(match self.request.queue {
            None => Attempt::Unknown(error),
            Some(interval) => Attempt::Answer(queued(Vec::new(), self.pause(), interval)),
        })
    }

    /// A short time, different for each client.
    fn pause(&self) -> Duration {
        Duration::from_millis(1) + self.hub.up_to(SPLIT)
    }

    fn indeterminate(&self, detail: &str) -> Error {
        Error::Indeterminate {
            operation: Operation::Acquire,
            engine: ENGINE,
            detail: detail.to_owned(),
        }
    }

    fn busy(&self, wire: &Wire, free_in: Duration, split: bool) -> Attempt {
        let pause = match split {
            true => self.pause(),
            false => free_in.saturating_add(SLACK),
        };
        let holders = match split {
            true => Vec::new(),
            false => holder(&wire.views, self.hub).into_iter().collect(),
        };
        match self.request.queue {
            // Nobody has it: several tried at once, and one of them shall have it.
            None if split => Attempt::Split(pause),
            None => Attempt::Answer(Acquired::Busy(holders)),
            Some(interval) => Attempt::Answer(queued(holders, pause, interval)),
        }
    }

    fn unavailable(&self, wire: &Wire, fates: &[Fate]) -> Error {
        let foreign = |(_, trouble): &&(NodeId, Trouble)| trouble.kind == Kind::WrongType;
        if let Some((node, trouble)) = wire.troubles.iter().find(foreign) {
            return wrong_type(&self.request.name, &self.hub.node(*node).name, trouble);
        }
        if let Some(Fate::TooLong(most)) = fates.iter().find(|f| matches!(f, Fate::TooLong(_))) {
            return too_long(self.hold, *most);
        }
        self.hub.unavailable(&self.said(wire, fates))
    }

    /// What nodes said, or failed to say, in this attempt.
    fn said(&self, wire: &Wire, fates: &[Fate]) -> Vec<(NodeId, Trouble)> {
        let mut said = wire.troubles.clone();
        for (fate, node) in fates.iter().zip(&self.hub.nodes) {
            let detail = match fate {
                Fate::Waiting | Fate::Lost => "no answer came",
                Fate::Exhausted => "its 53 bits of counter are used up",
                _ => continue,
            };
            if why(node).is_none() {
                let remedy = "see that the server runs and can be reached";
                said.push((node.id, Trouble::new(Kind::Silent, detail, remedy)));
            }
        }
        said
    }
}

fn queued(holders: Vec<HeldBy>, pause: Duration, interval: Duration) -> Acquired {
    Acquired::Queued(Queued {
        ahead: 0,
        holders,
        recheck_after: pause.min(interval).max(Duration::from_millis(1)),
    })
}

/// Another application has something else under this name.
pub(crate) fn wrong_type(name: &LockName, node: &str, trouble: &Trouble) -> Error {
    Error::invalid(
        "lock name",
        name.as_str(),
        format!(
            "on {node} another application keeps something else than a string under this key; {}",
            trouble.remedy
        ),
    )
}

/// The holder that most of the nodes tell of.
fn holder(views: &[(NodeId, View)], hub: &Hub) -> Option<HeldBy> {
    let leases = views.iter().filter_map(|(_, view)| {
        let lease = view.key.as_ref()?.lease.as_ref()?;
        Some((lease, view.counter?))
    });
    let same = |nonce| {
        leases
            .clone()
            .filter(move |(lease, _)| lease.nonce == nonce)
    };
    let (lease, _) = leases
        .clone()
        .max_by_key(|(lease, _)| same(lease.nonce).count())?;
    // The token is what a quorum agreed on; with fewer answers the holder is not
    // named, rather than with a token that it may not have.
    let agreed = same(lease.nonce).find_map(|(_, token)| {
        let alike = same(lease.nonce).filter(|(_, other)| *other == token);
        (alike.count() >= hub.quorum.size()).then_some(token)
    });
    Some(HeldBy {
        owner: lease.owner.to_string(),
        token: agreed?,
        nonce: lease.nonce,
        held_for: lease.held_for,
    })
}
