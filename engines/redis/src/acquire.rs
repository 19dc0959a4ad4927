//! Taking a lock, or a place where a release is heard of.

use std::rc::Rc;
use std::time::Duration;

use leasehold_core::quorum::{
    Acquire, AcquireOutcome, Ask, Fate, HandoverTerms, NodeId, NodeSet, Plan, Quorum, counter_of,
};
use leasehold_core::{
    AcquireRequest, Acquired, Deadline, Error, Granted, HeldBy, Instant, LockName, Mode, Operation,
    Queued, Token,
};
use tokio::sync::oneshot;
use tokio::task::spawn_local;

use crate::clock;
use crate::fail::{ENGINE, Kind, Trouble};
use crate::grant::{Grant, Held, Known, tidy};
use crate::hub::{Hub, why};
use crate::scripts::{Lease, View};
use crate::wire::Wire;

/// How much later than a key's end it is worth asking again.
const SLACK: Duration = Duration::from_millis(2);
/// How long a client pauses at most after several have split the vote.
const SPLIT: Duration = Duration::from_millis(20);
/// How often a lock is looked at that another kind of client holds: its release is
/// told to nobody.
const FOREIGN: Duration = Duration::from_millis(50);
/// How many permits one request tries.
const SLOTS: u32 = 4;

type Answer = oneshot::Sender<Result<Acquired, Error>>;

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
    /// The permit that was asked for is taken, and this one is free.
    Slot(u32),
    /// It may have succeeded, is being undone, and others can vote.
    Unknown(Error),
}

impl Asking<'_> {
    async fn run(&self, mut answer: Answer) {
        let limit = clock::now().saturating_add(self.hub.options.timeout);
        let said = match self.handed_over() {
            Some(granted) => Ok(Acquired::Granted(granted)),
            None => self.ask(&mut answer, limit).await,
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

    async fn ask(&self, answer: &mut Answer, limit: Instant) -> Result<Acquired, Error> {
        let mut slots_tried = 0;
        loop {
            let again = clock::now() < limit && !answer.is_closed();
            match self.attempt(answer, limit).await? {
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
        if let Some(interval) = request.queue {
            let terms = self.terms(interval);
            hub.waiters.expect(&request.name, request.nonce, terms);
        }
        self.settle(limit).await;
        hub.ready(limit).await;
        let plan = self.plan();
        let asked = plan.quorum.all().without(plan.skip);
        if asked.len() < hub.quorum.size() {
            return Err(self.unavailable(&wire, &[]));
        }
        let (mut acquire, mut step) = Acquire::start(plan, clock::now());
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
            AcquireOutcome::Busy { free_in, split } => Ok(self.busy(wire, free_in, split)),
            AcquireOutcome::Queued {
                ahead,
                free_in,
                split,
            } => Ok(self.queued(wire, ahead, free_in, split)),
            AcquireOutcome::Clash { permits } => Err(clash(self.request, permits)),
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
            Some(_) => Attempt::Answer(self.in_line(Vec::new(), 0, self.pause())),
        })
    }

    /// The lease, as it is known here from now on.
    fn granted(&self, token: Token, deadline: Deadline) -> Granted {
        let hub = self.hub;
        hub.proposals.borrow_mut().note(&self.request.name, token);
        // A lease that is asked for again while it is valid keeps its token,
        // although the nodes may have agreed on a greater one meanwhile.
        let old = self.grant.held.get();
        let old = old.filter(|held| !held.deadline.has_passed(clock::now()));
        let known = old.and_then(|held| held.known);
        let token = known.map_or(token, |known| known.token);
        self.hold(token, old.map_or(deadline, |held| held.deadline.max(deadline)));
        Granted::whole(token)
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
        // Nobody has it: several tried at once, and one of them shall have it.
        if split {
            return Attempt::Split(self.pause());
        }
        if let Some(slot) = self.another_slot(wire) {
            return Attempt::Slot(slot);
        }
        let holders = holders(&wire.views, self.hub);
        Attempt::Answer(match self.request.queue {
            None => Acquired::Busy(holders),
            Some(_) => self.in_line(holders, 0, free_in.saturating_add(SLACK)),
        })
    }

    fn queued(&self, wire: &Wire, ahead: u32, free_in: Duration, split: bool) -> Attempt {
        if let Some(slot) = self.another_slot(wire) {
            return Attempt::Slot(slot);
        }
        let holders = holders(&wire.views, self.hub);
        let foreign = wire.views.iter().any(|(_, view)| view.is_foreign());
        let mut pause = free_in.saturating_add(SLACK * (ahead + 1));
        if split {
            pause = self.pause();
        } else if foreign {
            // Nobody tells of its release.
            pause = pause.min(FOREIGN + self.hub.up_to(FOREIGN));
        }
        Attempt::Answer(self.in_line(holders, ahead as usize, pause))
    }

    fn not_now(&self) -> Acquired {
        match self.request.queue {
            None => Acquired::Busy(Vec::new()),
            Some(_) => self.in_line(Vec::new(), 0, self.pause()),
        }
    }

    fn in_line(&self, holders: Vec<HeldBy>, ahead: usize, pause: Duration) -> Acquired {
        let interval = self.request.queue.unwrap_or_default();
        Acquired::Queued(Queued {
            ahead,
            holders,
            recheck_after: pause.min(interval).max(Duration::from_millis(1)),
        })
    }

    /// The permit to ask for: the one that was called free, or asked for last;
    /// else any, so that clients do not all begin with the same.
    fn slot(&self) -> u32 {
        let Mode::Permit(n) = self.request.mode else {
            return 0;
        };
        let called = self.hub.waiters.called(self.request.nonce);
        let slot = called.or(self.grant.slot.get());
        let slot = slot.unwrap_or_else(|| self.hub.below(n.get()));
        self.grant.slot.set(Some(slot));
        slot
    }

    /// A permit that a quorum of servers had free, if the one asked for was taken.
    fn another_slot(&self, wire: &Wire) -> Option<u32> {
        let Mode::Permit(n) = self.request.mode else {
            return None;
        };
        let views = || wire.views.iter().map(|(_, view)| view);
        let needed = self.hub.quorum.size().min(wire.views.len()).max(1);
        // Whoever comes first will want what is free.
        let has_room = |view: &&View| view.leases().count() + (view.ahead as usize) < n.get() as usize;
        if views().filter(has_room).count() < needed {
            return None;
        }
        let free = |slot: u32| {
            let has_it = |view: &&View| view.leases().all(|lease| lease.slot != slot);
            views().filter(has_it).count() >= needed
        };
        let (asked, start) = (self.grant.slot.get(), self.hub.below(n.get()));
        let mut slots = (0..n.get()).map(|slot| (slot + start) % n.get());
        slots.find(|&slot| Some(slot) != asked && free(slot))
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

/// A quorum of these, in an order that all clients share: then the counters of a
/// name are the same on the servers that are asked, and the others have less to do.
fn preferred(among: NodeSet, quorum: Quorum, name: &LockName) -> NodeSet {
    let start = usize::from(counter_of(name)) % quorum.nodes();
    let turned = |node: &NodeId| (node.index() + quorum.nodes() - start) % quorum.nodes();
    let mut nodes: Vec<NodeId> = among.iter().collect();
    nodes.sort_unstable_by_key(turned);
    nodes.into_iter().take(quorum.size()).collect()
}

fn clash(request: &AcquireRequest, permits: u32) -> Error {
    let asked = match request.mode {
        Mode::Permit(n) => n.get(),
        _ => 0,
    };
    Error::invalid(
        "permits",
        asked.to_string(),
        format!(
            "others use {} with {permits} permits; all must name the same number",
            request.name
        ),
    )
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

/// The holders that a quorum of the nodes tells of, with the same token: with fewer
/// answers a holder is not named, rather than with a token that it may not have.
fn holders(views: &[(NodeId, View)], hub: &Hub) -> Vec<HeldBy> {
    let leases = || views.iter().flat_map(|(_, view)| view.leases());
    let mut found: Vec<HeldBy> = Vec::new();
    for lease in leases() {
        let same = |other: &&Lease| other.nonce == lease.nonce && other.counter == lease.counter;
        let known = found.iter().any(|held| held.nonce == lease.nonce);
        if !known && leases().filter(same).count() >= hub.quorum.size() {
            found.push(HeldBy {
                owner: lease.owner.to_string(),
                token: lease.counter,
                nonce: lease.nonce,
                held_for: lease.held_for,
            });
        }
    }
    found
}
