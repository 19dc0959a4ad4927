//! Which events a state allows, and what must hold.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use leasehold_core::quorum::{Mutation, mutate};
use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

use crate::scope::Scope;
use crate::state::{NODES, State, lock};

/// The promise.
const C1: &str = "C1";

struct Quorum {
    scope: Scope,
    mutation: Option<Mutation>,
    /// When to stop. The checker's own timeout does not end a thread that has work.
    end: Instant,
    stopped: AtomicBool,
    /// All is over, and ways to what was found are being played again.
    replays: AtomicBool,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// A client asks.
    Ask(usize),
    /// The oldest message of a connection arrives, there or back.
    Deliver(usize, usize, bool),
    /// The keys of a node run out.
    Expire(usize),
    /// A node forgets, in place or by a restart.
    Forget(usize, bool),
    /// Its join begins, or goes on after a pause.
    Join(usize),
    /// An answer is late, or a client gives up.
    Tick(usize, bool),
    /// A client gives its lease back.
    Release(usize),
}

impl Model for Quorum {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        mutate(None);
        vec![State::new(self.scope)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        if Instant::now() >= self.end && !self.replays.load(Ordering::Relaxed) {
            self.stopped.store(true, Ordering::Relaxed);
            return;
        }
        for (at, client) in state.clients.iter().enumerate() {
            if client.acquire.is_none() {
                actions.push(Action::Ask(at));
            }
            if state.ticks > 0 && client.may_tick() {
                actions.extend([false, true].map(|gives_up| Action::Tick(at, gives_up)));
            }
            if self.scope.line && client.may_release() {
                actions.push(Action::Release(at));
            }
        }
        let under_way = state.under_way().into_iter();
        actions.extend(under_way.map(|(party, node, there)| Action::Deliver(party, node, there)));
        for node in 0..NODES {
            if state.expiries > 0 {
                actions.push(Action::Expire(node));
            }
            if state.losses > 0 && (node == 0 || !self.scope.victim) {
                actions.extend([false, true].map(|restart| Action::Forget(node, restart)));
            }
            if state.may_join(node) {
                actions.push(Action::Join(node));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        // Checkers have threads of their own.
        mutate(self.mutation);
        let mut next = last.clone();
        match action {
            Action::Ask(client) => next.ask(client, self.scope.line),
            Action::Deliver(party, node, there) => next.deliver(party, node, there),
            Action::Expire(node) => {
                next.expiries -= 1;
                next.nodes[node].expire_key(&lock());
            }
            Action::Forget(node, restart) => next.forget(node, restart),
            Action::Join(node) => next.join(node),
            Action::Tick(client, gives_up) => next.tick(client, gives_up),
            Action::Release(client) => next.give_back(client),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![
            Property::always(C1, |_, state: &State| state.broken.is_none()),
            Property::sometimes("somebody has the lock", |_, s: &State| {
                !s.granted.is_empty()
            }),
            Property::sometimes("one after the other has it", |_, s: &State| {
                s.granted.len() > 1
            }),
        ];
        if self.scope.losses > 0 {
            all.push(Property::sometimes("a node rejoined", |_, s: &State| {
                s.rejoined > 0
            }));
            all.push(Property::sometimes(
                "counters were promoted",
                |_, s: &State| s.promoted,
            ));
        }
        all
    }
}

/// What a check came to.
pub(crate) struct Checked {
    pub(crate) states: usize,
    pub(crate) depth: usize,
    pub(crate) seconds: f64,
    /// A way to a state in which C1 is broken.
    pub(crate) broken: Option<String>,
    /// What was not come across.
    missing: Vec<&'static str>,
    complete: bool,
}

impl Checked {
    pub(crate) fn verdict(&self) -> String {
        let all = match self.complete {
            true => "holds in every state".to_owned(),
            false => "holds in those that the time was enough for".to_owned(),
        };
        match (&self.broken, self.missing.is_empty()) {
            (Some(how), _) => format!("BROKEN\n{how}"),
            (None, true) => all,
            (None, false) => format!("{all}; never: {}", self.missing.join(", ")),
        }
    }
}

/// Goes through the states until all were seen, C1 is broken, or time is up.
pub(crate) fn check(scope: Scope, mutation: Option<Mutation>, time: Duration) -> Checked {
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // Depth first: the states still to visit are then few.
    let model = Quorum {
        scope,
        mutation,
        end: began + time,
        stopped: AtomicBool::new(false),
        replays: AtomicBool::new(false),
    };
    let checker = model
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_dfs()
        .join();
    let took = began.elapsed();
    checker.model().replays.store(true, Ordering::Relaxed);
    let found = checker.discoveries();
    let broken = found.get(C1).map(|path| {
        let how = path.last_state().broken.clone().unwrap_or_default();
        let way: Vec<_> = path.clone().into_actions();
        format!("{how}\n{way:?}")
    });
    let properties = checker.model().properties();
    let missing = properties
        .iter()
        .filter(|p| p.expectation == Expectation::Sometimes && !found.contains_key(p.name))
        .map(|p| p.name)
        .collect();
    Checked {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        seconds: took.as_secs_f64(),
        broken,
        missing,
        complete: !checker.model().stopped.load(Ordering::Relaxed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::SCOPES;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_small_scope_holds_in_every_state() {
        let small = Scope {
            expiries: 0,
            ticks: 0,
            ..SCOPES[0]
        };
        let checked = check(small, None, LONG);
        println!("{} states in {} s", checked.states, checked.seconds);
        assert_eq!(checked.broken, None);
        assert!(checked.complete);
        assert!(checked.states > 1_000, "{}", checked.states);
    }
}
