//! What may happen in a state, and what must hold in each.

use leasehold_core::record::{Record, Step, View};
use leasehold_core::{
    AcquireRequest, Acquired, BreakRequest, Error, ExtendRequest, Extended, Lifetime, LockName,
    Mode, Nonce, Released,
};
use stateright::{Model, Property};

use crate::machine::Machine;
use crate::rules::{Before, Violation, ensure, extend_is_right, may_join};
use crate::scope::{CLIENTS, INTERVAL, Scope, UNIT, relies_for, ttl};
use crate::state::{Body, Client, Id, NOW, State, Stray, session};

/// One lock, its clients, and the machine that keeps it.
pub(crate) struct Lock {
    pub(crate) scope: Scope,
    machine: Machine,
    /// Whether every step is checked against the rules, or only what holders rely
    /// on and who is served.
    by_rules: bool,
    name: LockName,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A client sends a request, and this becomes of it.
    Send(Id, Body, Fate),
    /// The stray request arrives, and may arrive again if it is kept.
    Arrive { keep: bool },
    /// The stray request is lost.
    Lose,
    /// A client's process dies for good.
    Die(usize),
    /// The lock is broken by hand.
    Break,
    /// The store collects the idle record.
    Collect,
    /// A unit of time passes.
    Tick,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Carried out and answered.
    Answered,
    /// Carried out; the client does not hear of it.
    AnswerLost,
    /// Carried out and answered, and a copy of it will arrive again.
    Doubled,
    /// It will arrive later.
    Late,
}

type Outcome = Result<(), Violation>;

impl Lock {
    pub(crate) fn new(scope: Scope, machine: Machine, by_rules: bool) -> Self {
        Self {
            scope,
            machine,
            by_rules,
            name: "lock"
                .parse()
                .unwrap_or_else(|_| unreachable!("a valid name")),
        }
    }

    pub(crate) fn modes(&self) -> [Mode; CLIENTS] {
        self.scope.clients.map(|client| client.mode)
    }

    fn judge(&self, check: impl FnOnce() -> Outcome) -> Outcome {
        if self.by_rules { check() } else { Ok(()) }
    }

    fn act(&self, state: &mut State, action: Action) -> Outcome {
        match action {
            Action::Send(id, body, fate) => self.send(state, id, body, fate)?,
            Action::Arrive { keep } => {
                let Some(stray) = state.stray else {
                    return Ok(());
                };
                if !keep {
                    state.stray = None;
                }
                self.carry_out(state, stray, true)?;
            }
            Action::Lose => state.stray = None,
            Action::Die(client) => state.clients[client] = Client::Dead,
            Action::Break => self.break_lock(state)?,
            Action::Collect => self.collect(state)?,
            Action::Tick => state.tick(self.scope.ttl),
        }
        Ok(())
    }

    pub(crate) fn send(&self, state: &mut State, id: Id, body: Body, fate: Fate) -> Outcome {
        let client = &mut state.clients[id.client];
        let relied = matches!(client, Client::Holding(..));
        match body {
            Body::Acquire if client.id().is_none() => *client = Client::Asking(id),
            // Whoever gives up stops before it says so.
            Body::Release => *client = Client::Idle,
            _ => {}
        }
        let request = Stray { id, body, age: 0 };
        if matches!(fate, Fate::Late | Fate::Doubled) {
            state.stray = Some(request);
        }
        if fate == Fate::Late {
            return Ok(());
        }
        let lost = self.carry_out(state, request, fate != Fate::AnswerLost)?;
        self.judge(|| {
            ensure(!(relied && lost), "C4", || {
                format!("{body:?} lost a valid lease")
            })
        })
    }

    /// Carries a request out. Says whether its answer is that there is no lease.
    fn carry_out(&self, state: &mut State, sent: Stray, heard: bool) -> Result<bool, Violation> {
        let Stray { id, body, age } = sent;
        let nonce = id.nonce();
        let heard = heard && state.clients[id.client].id() == Some(id);
        let client = |state: &mut State, is: Client| {
            if heard {
                state.clients[id.client] = is;
            }
        };
        let relies = |state: &State, units: u8| {
            let before = match state.clients[id.client] {
                Client::Holding(_, left) => Some(left),
                _ => None,
            };
            before.max(relies_for(units, age))
        };
        match body {
            Body::Acquire => {
                let request = self.request(id);
                let answer = self.step(state, Some((id, body)), |record, view| {
                    self.machine.acquire(record, &request, view)
                })?;
                let held = matches!(answer, Acquired::Granted(_));
                self.judge(|| self.is_true(state, nonce, &answer))?;
                match answer {
                    Acquired::Granted(_) => match relies(state, self.scope.ttl) {
                        Some(left) => client(state, Client::Holding(id, left)),
                        None => client(state, Client::Asking(id)),
                    },
                    Acquired::Queued(_) => client(state, Client::Asking(id)),
                    Acquired::Busy(_) => client(state, Client::Idle),
                }
                Ok(!held)
            }
            Body::Extend(units) => {
                let request = ExtendRequest {
                    name: self.name.clone(),
                    nonce,
                    ttl: ttl(units),
                };
                let before = state.record.clone();
                let answer = self.step(state, Some((id, body)), |record, view| {
                    Ok(self.machine.extend(record, &request, view))
                })?;
                self.judge(|| extend_is_right(nonce, NOW, &before, &state.record, answer))?;
                match (answer, state.clients[id.client]) {
                    // It gives the rest of it back, or asks anew.
                    (Extended::Lost, _) => client(state, Client::Asking(id)),
                    (Extended::Extended, Client::Holding(..)) => {
                        let left = relies(state, units).unwrap_or(0);
                        client(state, Client::Holding(id, left));
                    }
                    // Once lost is lost, whatever the answer to an old request says.
                    _ => {}
                }
                Ok(answer == Extended::Lost)
            }
            Body::Release => {
                let answer = self.step(state, Some((id, body)), |record, view| {
                    Ok(self.machine.release(record, nonce, view))
                })?;
                let gone = !state.record.grants.iter().any(|g| g.nonce == nonce)
                    && !state.record.waiters.iter().any(|w| w.nonce == nonce);
                self.judge(|| {
                    ensure(gone, "answers are true", || {
                        "released and still there".to_owned()
                    })
                })?;
                Ok(answer == Released::AlreadyLost)
            }
        }
    }

    fn is_true(&self, state: &State, nonce: Nonce, answer: &Acquired) -> Outcome {
        let record = &state.record;
        let grant = record.grants.iter().find(|g| g.nonce == nonce);
        let truth = match answer {
            Acquired::Granted(granted) => {
                grant.is_some_and(|g| g.token == granted.token && g.unclaimed.is_none())
            }
            Acquired::Queued(queued) => state.rules.ahead(nonce) == Some(queued.ahead),
            Acquired::Busy(_) => {
                let held: Vec<_> = record.grants.iter().map(|g| g.mode).collect();
                let mode = self.modes()[usize::from(nonce.as_bytes()[0])];
                !record.waiters.is_empty() || !may_join(mode, &held)
            }
        };
        ensure(truth, "answers are true", || {
            format!("{answer:?} of {record:?}")
        })
    }

    fn request(&self, id: Id) -> AcquireRequest {
        let profile = self.scope.clients[id.client];
        AcquireRequest {
            name: self.name.clone(),
            nonce: id.nonce(),
            owner: "someone".into(),
            mode: profile.mode,
            ttl: ttl(self.scope.ttl),
            grace: UNIT * u32::from(self.scope.grace),
            lifetime: match profile.detached {
                true => Lifetime::Detached,
                false => Lifetime::Process,
            },
            queue: profile.waits.then_some(INTERVAL),
        }
    }

    fn break_lock(&self, state: &mut State) -> Outcome {
        let request = BreakRequest {
            name: self.name.clone(),
            by: "operator".into(),
            reason: "test".into(),
            unix_seconds: 0,
            force: false,
        };
        self.step(state, None, |record, view| {
            Ok(self.machine.break_lock(record, &request, view))
        })?;
        // C3 is given up for those who were broken: only their tokens are dead.
        for client in &mut state.clients {
            if let Client::Holding(id, _) = *client {
                *client = Client::Asking(id);
            }
        }
        Ok(())
    }

    fn collect(&self, state: &mut State) -> Outcome {
        let mut settled = state.record.clone();
        settled.settle(&View {
            now: NOW,
            floor: state.floor,
            session: None,
            is_dead: &|session| state.is_dead(session),
        });
        if settled.is_idle() {
            let is_dead = |session| state.is_dead(session);
            let before = Before {
                hands_over: false,
                is_break: false,
                ..before(state, None, &is_dead)
            };
            let mut rules = state.rules.clone();
            self.judge(|| rules.step(&before, &settled, true, None))?;
            state.rules = rules;
            state.floor = self.machine.fold(&settled, state.floor);
            state.record = Record::new();
        }
        Ok(())
    }

    /// One step of the machine, under the rules.
    fn step<T>(
        &self,
        state: &mut State,
        asker: Option<(Id, Body)>,
        act: impl FnOnce(&mut Record, &View<'_>) -> Result<Step<T>, Error>,
    ) -> Result<T, Violation> {
        let is_dead = |session| state.is_dead(session);
        let view = View {
            now: NOW,
            floor: state.floor,
            session: asker.map(|(id, _)| session(id.client)),
            is_dead: &is_dead,
        };
        let mut after = state.record.clone();
        let step = act(&mut after, &view).map_err(|error| Violation {
            rule: "answers are true",
            detail: error.to_string(),
        })?;
        let mut before = before(state, asker, &is_dead);
        before.hands_over &= step.changed || !before.gives_up;
        let mut rules = state.rules.clone();
        self.judge(|| rules.step(&before, &after, step.changed, Some(&step.hints)))?;
        state.rules = rules;
        state.record = after;
        Ok(step.answer)
    }
}

fn before<'a>(
    state: &'a State,
    asker: Option<(Id, Body)>,
    is_dead: &'a dyn Fn(leasehold_core::SessionId) -> bool,
) -> Before<'a> {
    let body = asker.map(|(_, body)| body);
    Before {
        record: &state.record,
        now: NOW,
        floor: state.floor,
        is_dead,
        asker: asker.map(|(id, _)| id.nonce()),
        wants: body == Some(Body::Acquire),
        gives_up: body == Some(Body::Release),
        is_break: body.is_none(),
        hands_over: !matches!(body, Some(Body::Extend(_))),
    }
}

impl Model for Lock {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        for (at, client) in state.clients.into_iter().enumerate() {
            let fates: &[Fate] = match (at == 0, state.stray) {
                (true, None) => &[Fate::Answered, Fate::AnswerLost, Fate::Doubled, Fate::Late],
                _ => &[Fate::Answered, Fate::AnswerLost],
            };
            let bodies: &[Body] = match client {
                Client::Dead => continue,
                Client::Idle => &[Body::Acquire],
                Client::Asking(_) => &[Body::Acquire, Body::Release],
                Client::Holding(..) => &[
                    Body::Acquire,
                    Body::Extend(1),
                    Body::Extend(self.scope.ttl),
                    Body::Release,
                ],
            };
            let id = client.id().or_else(|| state.fresh(at));
            for (id, &body) in id
                .into_iter()
                .flat_map(|id| bodies.iter().map(move |b| (id, b)))
            {
                actions.extend(fates.iter().map(|&fate| Action::Send(id, body, fate)));
            }
            actions.push(Action::Die(at));
        }
        if state.stray.is_some() {
            actions.extend([
                Action::Arrive { keep: false },
                Action::Arrive { keep: true },
                Action::Lose,
            ]);
        }
        actions.extend([Action::Break, Action::Collect, Action::Tick]);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        if let Err(violation) = self.act(&mut next, action) {
            next.broken = Some(violation);
        }
        next.normalize();
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        crate::properties::all()
    }
}
