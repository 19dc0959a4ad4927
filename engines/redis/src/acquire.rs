//! Taking a lock, or a place where a release is heard of.

use std::rc::Rc;
use std::time::Duration;

use leasehold_core::quorum::{
    Acquire, AcquireOutcome, Ask, Command, Fate, HandoverTerms, NodeId, NodeSet, Plan, Quorum,
    Step, counter_of,
};
use leasehold_core::{
    AcquireRequest, Acquired, Deadline, Error, Granted, Instant, LockName, Mode, Token,
};
use tokio::sync::oneshot;
use tokio::task::spawn_local;

use crate::answer::clash;
use crate::clock;
use crate::fail::Kind;
use crate::grant::{Grant, Held, Known, tidy};
use crate::hub::Hub;
use crate::turn::Turn;
use crate::wire::Wire;

/// How many permits one request tries.
const SLOTS: u32 = 4;

pub(crate) type Answer = oneshot::Sender<Result<Acquired, Error>>;

/// How long the servers keep a place in the line: the waiter promises to ask again
/// in a third of it.
fn place_for(hub: &Hub, interval: Duration) -> Duration {
    interval.saturating_mul(3).min(hub.options.max_ttl)
}

/// Checks what needs no server.
pub(crate) fn check(hub: &Hub, request: &AcquireRequest) -> Result<Duration, Error> {
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

/// Carries out one request when its turn comes; `answer` is told what came of it.
pub(crate) async fn acquire(
    hub: Rc<Hub>,
    request: Box<AcquireRequest>,
    turn: Turn,
    answer: Answer,
) {
    let hold = match check(&hub, &request) {
        Ok(hold) => hold,
        Err(error) => return drop(answer.send(Err(error))),
    };
    turn.come().await;
    let asking = Asking {
        hub: &hub,
        grant: &turn.grant,
        request: &request,
        hold,
    };
    asking.run(answer, None).await;
    drop(turn);
    tidy(&hub, &request.name, request.nonce);
}

pub(crate) struct Asking<'a> {
    pub(crate) hub: &'a Rc<Hub>,
    pub(crate) grant: &'a Rc<Grant>,
    pub(crate) request: &'a AcquireRequest,
    /// TTL plus grace.
    pub(crate) hold: Duration,
}

/// An attempt that is under way, and what is to be done next.
pub(crate) struct Started {
    pub(crate) wire: Wire,
    pub(crate) acquire: Acquire,
    pub(crate) step: Step<Command, AcquireOutcome>,
}

/// What came of one attempt.
pub(crate) enum Attempt {
    Answer(Acquired),
    /// Nodes have to join anew, or to load the scripts: a matter of moments.
    Lapsed,
    /// Several tried at once, and nobody has it.
    Split(Duration),
    /// The permit that was asked for is taken, and this one is free.
    Slot(u32),
    /// It may have succeeded, is being undone, and others can vote.
    Unknown(Error),
}

impl Asking<'_> {
    /// Asks until there is an answer, beginning with an attempt that was started
    /// already if there is one.
    pub(crate) async fn run(&self, mut answer: Answer, started: Option<Started>) {
        let limit = clock::now().saturating_add(self.hub.options.timeout);
        let handed_over = match started {
            None => self.handed_over(),
            Some(_) => None,
        };
        let said = match handed_over {
            Some(granted) => Ok(Acquired::Granted(granted)),
            None => self.ask(&mut answer, limit, started).await,
        };
        let (granted, queued) = match &said {
            Ok(Acquired::Granted(_)) => (true, false),
            Ok(Acquired::Queued(_)) => (false, true),
            _ => (false, false),
        };
        let (grant, request) = (self.grant, self.request);
        grant.waits.set(queued);
        if queued {
            // Remembered for as long as the waiter may take to come back.
            let interval = request.queue.unwrap_or_default();
            grant.ask(NodeSet::EMPTY, interval.saturating_mul(3));
        } else {
            self.hub.waiters.forget(request.nonce);
        }
        // Together with the other answers of this round: one wake-up for all who asked.
        tokio::task::yield_now().await;
        if answer.send(said).is_err() && granted {
            // Nobody is there to have it.
            let (name, nonce) = (&request.name, request.nonce);
            let _ = crate::release::give_back(self.hub, grant, name, nonce).await;
        }
    }

    async fn ask(
        &self,
        answer: &mut Answer,
        limit: Instant,
        mut started: Option<Started>,
    ) -> Result<Acquired, Error> {
        let mut slots_tried = 0;
        loop {
            let again = clock::now() < limit && !answer.is_closed();
            let started = match started.take() {
                Some(started) => started,
                None => {
                    self.settle(limit).await;
                    self.hub.ready(limit).await;
                    self.expect();
                    self.start()?
                }
            };
            match self.go_on(started, answer).await? {
                Attempt::Answer(acquired) => return Ok(acquired),
                Attempt::Lapsed if again => {}
                Attempt::Lapsed => return Err(self.hub.unavailable(&[])),
                Attempt::Slot(slot) if again && slots_tried < SLOTS => {
                    slots_tried += 1;
                    self.grant.slot.set(Some(slot));
                }
                Attempt::Split(pause) if again => tokio::time::sleep(pause).await,
                Attempt::Split(_) | Attempt::Slot(_) => return Ok(self.not_now()),
                Attempt::Unknown(_) if again => tokio::time::sleep(self.pause()).await,
                Attempt::Unknown(error) => return Err(error),
            }
        }
    }

    /// The lock, if it was handed over in the meantime and enough is left of that.
    fn handed_over(&self) -> Option<Granted> {
        let request = self.request;
        if matches!(request.mode, Mode::Permit(_)) {
            // Permits are asked for one by one, not handed over.
            return None;
        }
        let (token, deadline) = self.hub.waiters.granted(request.nonce)?;
        let line = place_for(self.hub, request.queue?);
        let whole = request.ttl.get().min(line.saturating_sub(request.grace));
        if deadline.remaining(clock::now()) < whole / 2 {
            return None;
        }
        self.grant.ask(self.hub.quorum.all(), self.hold);
        self.hold(token, deadline);
        Some(Granted {
            token,
            until: Some(deadline),
        })
    }

    fn hold(&self, token: Token, deadline: Deadline) {
        self.grant.owner.replace(Some(self.request.owner.clone()));
        self.grant.held.set(Some(Held {
            deadline,
            grace: self.request.grace,
            known: Some(Known {
                token,
                mode: self.request.mode,
            }),
        }));
    }

    fn terms(&self, interval: Duration) -> HandoverTerms {
        HandoverTerms {
            quorum: self.hub.quorum,
            ttl: self.request.ttl,
            grace: self.request.grace,
            line: place_for(self.hub, interval),
        }
    }

    /// Starts an attempt: the first commands are sent.
    pub(crate) fn start(&self) -> Result<Started, Error> {
        let (request, hub) = (self.request, self.hub);
        let mut wire = Wire::new(
            hub,
            self.grant,
            &request.name,
            request.nonce,
            request.owner.clone(),
            request.grace,
        )?;
        let plan = self.plan();
        let asked = plan.quorum.all().without(plan.skip);
        if asked.len() < hub.quorum.size() {
            return Err(self.unavailable(&wire, &[]));
        }
        let (acquire, mut step) = Acquire::start(plan, clock::now());
        wire.carry_out(step.send.take());
        Ok(Started {
            wire,
            acquire,
            step,
        })
    }

    /// Listens from now on for what the servers tell this waiter.
    pub(crate) fn expect(&self) {
        if let Some(interval) = self.request.queue {
            let (name, nonce) = (&self.request.name, self.request.nonce);
            self.hub.waiters.expect(name, nonce, self.terms(interval));
        }
    }

    /// Goes on with an attempt until something came of it.
    async fn go_on(&self, started: Started, answer: &mut Answer) -> Result<Attempt, Error> {
        let (request, hub) = (self.request, self.hub);
        let Started {
            mut wire,
            mut acquire,
            mut step,
        } = started;
        let outcome = loop {
            wire.carry_out(step.send);
            if let Some(outcome) = step.outcome {
                break outcome;
            }
            // A waiter that drops its request keeps its place.
            let dropped = async {
                match request.queue {
                    None => answer.closed().await,
                    Some(_) => std::future::pending().await,
                }
            };
            step = tokio::select! {
                biased;
                step = wire.next(&mut acquire) => step,
                () = dropped => acquire.cancel(clock::now()),
            };
        };
        let said = self.judge(&wire, &acquire, outcome);
        if acquire.is_cleaning_up() {
            // Releases what the failed attempt may have left.
            spawn_local(wire.finish(acquire));
        } else if matches!(said, Ok(Attempt::Answer(Acquired::Queued(_)))) && acquire.waits() {
            let limit = clock::now().saturating_add(hub.options.timeout);
            spawn_local(wire.linger(acquire, limit));
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
        let request = self.request;
        let first = preferred(voters, hub.quorum, &request.name);
        Plan {
            quorum: hub.quorum,
            ttl: request.ttl,
            nonce: request.nonce,
            ask: Ask {
                mode: request.mode,
                slot: self.slot(),
                hold: self.hold,
                line: request.queue.map(|interval| place_for(hub, interval)),
                proposal: hub.proposals.borrow().propose(&request.name),
            },
            first,
            hedge_after: hub.hedge_after(first),
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
            AcquireOutcome::Granted {
                token, deadline, ..
            } => Ok(Attempt::Answer(Acquired::Granted(
                self.granted(token, deadline),
            ))),
            AcquireOutcome::Busy { split: true, .. } => {
                Ok(Attempt::Split(self.split_pause(acquire.comes_first())))
            }
            AcquireOutcome::Busy { free_in, .. } => Ok(self.busy(wire, free_in)),
            AcquireOutcome::Queued {
                ahead,
                free_in,
                split,
            } => Ok(self.queued(wire, ahead, free_in, split)),
            AcquireOutcome::Clash { permits } => Err(clash(self.request, permits)),
            AcquireOutcome::Unavailable => {
                let lapsed = |fate: &Fate| *fate == Fate::NotJoined;
                let passes = |kind| matches!(kind, Kind::NoScript | Kind::Elsewhere);
                if wire.troubles.iter().any(|(_, t)| passes(t.kind)) || acquire.fates().iter().any(lapsed) {
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

    /// The lease, as it is known here from now on.
    pub(crate) fn granted(&self, token: Token, deadline: Deadline) -> Granted {
        let hub = self.hub;
        hub.proposals.borrow_mut().note(&self.request.name, token);
        // A lease that is asked for again while it is valid keeps its token,
        // although the nodes may have agreed on a greater one meanwhile.
        let old = self.grant.held.get();
        let old = old.filter(|held| !held.deadline.has_passed(clock::now()));
        let known = old.and_then(|held| held.known);
        let token = known.map_or(token, |known| known.token);
        self.hold(
            token,
            old.map_or(deadline, |held| held.deadline.max(deadline)),
        );
        Granted::whole(token)
    }
}

/// A quorum of these, in an order that all clients share: then the counters of a
/// name are the same on the servers that are asked, and the others have less to do.
fn preferred(among: NodeSet, quorum: Quorum, name: &LockName) -> NodeSet {
    let start = usize::from(counter_of(name)) % quorum.nodes();
    let turned = |node: &NodeId| (node.index() + quorum.nodes() - start) % quorum.nodes();
    let mut nodes: Vec<NodeId> = among.iter().collect();
    nodes.sort_unstable_by_key(turned);
    nodes.into_iter().take(quorum.size()).collect()
}
