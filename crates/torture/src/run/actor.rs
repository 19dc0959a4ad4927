//! One client as the parent sees it: what it is at and what it does next.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;

use crate::plan::{Plan, Step, Turn, millis, turn};
use crate::protocol::{Answer, Hello, Kind, Outcome, What};

/// After a failure a client rests for this long: it would not come back at once
/// either.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// A client.
#[derive(Debug)]
pub(super) struct Actor {
    /// The worker process it is in.
    pub(super) process: usize,
    /// Its number within that.
    slot: u32,
    /// Counts its lives, so that what was meant for an earlier one is ignored.
    pub(super) life: u64,
    dice: Rng,
    /// What it is at; nothing between two turns.
    turn: Option<Current>,
}

#[derive(Debug)]
struct Current {
    lease: u64,
    token: Option<u64>,
    kind: Kind,
    name: String,
    steps: VecDeque<Step>,
}

/// What a client does next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Ask for this.
    Ask(What),
    /// Nothing for so long.
    Rest(Duration),
}

/// A write that has just arrived at the resource.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) lease: u64,
    pub(super) name: String,
    pub(super) token: Option<u64>,
}

impl Actor {
    pub(super) fn new(plan: &Plan, client: u32, process: usize, slot: u32) -> Self {
        Self {
            process,
            slot,
            life: 0,
            dice: plan.dice(client),
            turn: None,
        }
    }

    /// Whether it has no lock and asks for none.
    pub(super) const fn is_idle(&self) -> bool {
        self.turn.is_none()
    }

    /// Its worker died: whatever it was at is over.
    pub(super) fn dies(&mut self) {
        self.life += 1;
        self.turn = None;
    }

    /// Its rest is over. `id` is that of its next ask.
    pub(super) fn wakes(&mut self, plan: &Plan, worker: &Hello, id: u64) -> Next {
        if self.turn.is_some() {
            return self.goes_on(plan);
        }
        let Turn { acquire, steps } = turn(plan, worker, self.slot, &mut self.dice);
        if let What::Acquire { name, mode, .. } = &acquire {
            self.turn = Some(Current {
                lease: id,
                token: None,
                kind: *mode,
                name: name.clone(),
                steps: steps.into(),
            });
        }
        Next::Ask(acquire)
    }

    /// It has an answer to what it asked.
    pub(super) fn hears(
        &mut self,
        plan: &Plan,
        what: &What,
        answer: &Answer,
    ) -> (Next, Option<Arrived>) {
        let Some(current) = &mut self.turn else {
            return (self.rests(plan), None);
        };
        let mut arrived = None;
        match (what, answer.ok) {
            (What::Acquire { .. }, Outcome::Granted) => current.token = answer.token,
            (What::Acquire { .. }, ok) => {
                self.turn = None;
                return match ok {
                    Outcome::Unknown | Outcome::Error => (Next::Rest(AFTER_FAILURE), None),
                    _ => (self.rests(plan), None),
                };
            }
            // Readers and holders of permits write nothing that a fence could order.
            (What::Use { .. }, Outcome::Used) if current.kind.is_exclusive() => {
                arrived = Some(Arrived {
                    lease: current.lease,
                    name: current.name.clone(),
                    token: current.token,
                });
            }
            // All that is left is to give it back.
            (What::Use { .. } | What::Extend { .. }, Outcome::Lost) => {
                let last = current.steps.len().saturating_sub(1);
                current.steps.drain(..last);
            }
            (What::Release { .. } | What::Drop { .. }, _) => {
                self.turn = None;
                return (self.rests(plan), None);
            }
            _ => {}
        }
        (self.goes_on(plan), arrived)
    }

    fn goes_on(&mut self, plan: &Plan) -> Next {
        let Some(current) = &mut self.turn else {
            return self.rests(plan);
        };
        let lease = current.lease;
        Next::Ask(match current.steps.pop_front() {
            Some(Step::Sleep(length)) => return Next::Rest(length),
            Some(Step::Use(pause)) => What::Use {
                lease,
                pause_ms: millis(pause),
            },
            Some(Step::Extend) => What::Extend {
                lease,
                ttl_ms: millis(plan.ttl),
            },
            Some(Step::Drop) => What::Drop { lease },
            // Every turn ends in one of the two.
            Some(Step::Release) | None => What::Release { lease },
        })
    }

    fn rests(&mut self, plan: &Plan) -> Next {
        Next::Rest(plan.think.mul_f64(0.5 + self.dice.f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{hello, plan};

    fn answer(ok: Outcome) -> Answer {
        Answer {
            id: 0,
            ok,
            token: Some(9),
            valid_ms: None,
            sent_us: 0,
            got_us: 0,
            text: None,
        }
    }

    #[test]
    fn a_turn_goes_from_the_grant_to_the_release_and_writes_with_its_token() {
        let mut plan = plan();
        plan.pauses = 100.0;
        plan.wait = Duration::ZERO;
        let mut actor = Actor::new(&plan, 0, 0, 0);
        let Next::Ask(acquire) = actor.wakes(&plan, &hello(&[]), 4) else {
            panic!("no acquire");
        };
        let (next, arrived) = actor.hears(&plan, &acquire, &answer(Outcome::Granted));
        let first = What::Use {
            lease: 4,
            pause_ms: 0,
        };
        assert_eq!((next, arrived), (Next::Ask(first.clone()), None));
        let (next, arrived) = actor.hears(&plan, &first, &answer(Outcome::Used));
        let arrived = arrived.expect("a write");
        assert_eq!((arrived.lease, arrived.token), (4, Some(9)));
        let Next::Ask(
            paused @ What::Use {
                lease: 4,
                pause_ms: 2_100..,
            },
        ) = next
        else {
            panic!("{next:?} is no paused use");
        };
        let (next, _) = actor.hears(&plan, &paused, &answer(Outcome::Used));
        let release = What::Release { lease: 4 };
        assert_eq!(next, Next::Ask(release.clone()));
        assert!(!actor.is_idle());
        let (next, _) = actor.hears(&plan, &release, &answer(Outcome::Lost));
        assert!(matches!(next, Next::Rest(_)) && actor.is_idle());
    }

    #[test]
    fn what_is_lost_is_given_back_at_once() {
        let plan = plan();
        let mut actor = Actor::new(&plan, 0, 0, 0);
        let Next::Ask(acquire) = actor.wakes(&plan, &hello(&[]), 4) else {
            panic!("no acquire");
        };
        actor.hears(&plan, &acquire, &answer(Outcome::Granted));
        let asked = What::Use {
            lease: 4,
            pause_ms: 0,
        };
        let (next, arrived) = actor.hears(&plan, &asked, &answer(Outcome::Lost));
        assert_eq!(
            (next, arrived),
            (Next::Ask(What::Release { lease: 4 }), None)
        );
    }
}
