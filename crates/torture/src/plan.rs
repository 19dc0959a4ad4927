//! What is run, and what each client does next. Every choice comes from the seed.

use std::time::Duration;

use fastrand::Rng;

use crate::failure::Failure;
use crate::protocol::{Hello, Kind, Skill, What};

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The deployment, for the workers.
    pub url: String,
    /// How many clients.
    pub clients: u32,
    /// In how many processes at least.
    pub processes: u32,
    /// For how long clients take new locks.
    pub duration: Duration,
    /// Over how many locks.
    pub names: u32,
    /// The TTL of each lease.
    pub ttl: Duration,
    /// How long most leases are held.
    pub hold: Duration,
    /// How long a client rests between two locks.
    pub think: Duration,
    /// How long most waiters wait.
    pub wait: Duration,
    /// How many leases in a hundred are used only after a pause longer than the TTL.
    pub pauses: f64,
    /// How the locks are taken.
    pub mode: Kind,
    /// What all choices come from.
    pub seed: u64,
}

impl Plan {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    ///
    /// [`Failure::Invalid`] with the setting, the value, and what to give instead.
    pub fn check(&self) -> Result<(), Failure> {
        let number = |setting, value: u32, most| {
            let remedy = format!("choose from 1 to {most}");
            match value {
                n if (1..=most).contains(&n) => Ok(()),
                n => Err(Failure::invalid(setting, n.to_string(), remedy)),
            }
        };
        number("--clients", self.clients, 1_000)?;
        number("--processes", self.processes, 200)?;
        number("--names", self.names, 100_000)?;
        let length = |setting, value: Duration, from: Duration, to: Duration| {
            let remedy = format!("choose from {from:?} to {to:?}");
            match value {
                v if (from..=to).contains(&v) => Ok(()),
                v => Err(Failure::invalid(setting, format!("{v:?}"), remedy)),
            }
        };
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        length("--duration", self.duration, second, 24 * 60 * minute)?;
        length("--ttl", self.ttl, second / 10, 10 * minute)?;
        length("--hold", self.hold, Duration::ZERO, 10 * minute)?;
        length("--think", self.think, Duration::ZERO, 10 * minute)?;
        if !(0.0..=100.0).contains(&self.pauses) {
            let value = self.pauses.to_string();
            return Err(Failure::invalid(
                "--pauses",
                value,
                "choose from 0% to 100%",
            ));
        }
        if self.url.starts_with("memory:") {
            return Err(Failure::invalid(
                "--url",
                self.url.clone(),
                "name a store that several processes share, such as local:/tmp/locks.db or \
                 redis://127.0.0.1; memory: is another one in each process",
            ));
        }
        Ok(())
    }

    /// The name of a lock, different in each run.
    #[must_use]
    pub fn name(&self, number: u32) -> String {
        format!("torture/{:x}/{number}", self.seed)
    }

    /// What client number `client` draws from.
    pub(crate) fn dice(&self, client: u32) -> Rng {
        let mixed = self.seed
            ^ u64::from(client)
                .wrapping_add(1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Rng::with_seed(mixed)
    }
}

/// One turn of a client: an attempt, and what it does if it is granted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Turn {
    /// The acquire, for the client of this number within its worker.
    pub(crate) acquire: What,
    /// What follows a grant. Ends with a release or a drop.
    pub(crate) steps: Vec<Step>,
}

/// A thing done with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Time passes.
    Sleep(Duration),
    /// A write after so long a pause.
    Use(Duration),
    /// An extension by one TTL.
    Extend,
    /// A release.
    Release,
    /// Letting go.
    Drop,
}

/// Draws a client's next turn.
pub(crate) fn turn(plan: &Plan, worker: &Hello, client: u32, dice: &mut Rng) -> Turn {
    let can = |skill| worker.can.contains(&skill);
    let mode = match plan.mode {
        // Some writers among the readers, or nothing would be kept apart.
        Kind::Shared if dice.u8(..4) == 0 => Kind::Exclusive,
        mode => mode,
    };
    let name = plan.name(dice.u32(..plan.names));
    // A quarter does not wait: what it is granted was asked for a moment before.
    let wait = if dice.u8(..4) == 0 {
        Duration::ZERO
    } else {
        plan.wait
    };
    let hold = plan.hold.mul_f64(0.5 + dice.f64());
    let (mut renew, mut cancel) = (false, None);
    let beyond = plan.ttl.mul_f64(1.05 + dice.f64() / 2.0);
    // Drawn in every turn, so that what a worker can changes as little as may be.
    let (paused, chance, after) = (dice.f64() * 100.0, dice.u8(..100), dice.u64(..40));
    let steps = if paused < plan.pauses {
        vec![Step::Use(Duration::ZERO), Step::Use(beyond), Step::Release]
    } else {
        let plain = vec![
            Step::Use(Duration::ZERO),
            Step::Sleep(hold),
            Step::Use(Duration::ZERO),
        ];
        match chance {
            0..5 if can(Skill::Cancel) => {
                cancel = Some(after);
                [plain, vec![Step::Release]].concat()
            }
            5..10 if can(Skill::Extend) => [
                plain,
                vec![Step::Extend, Step::Use(Duration::ZERO), Step::Release],
            ]
            .concat(),
            10..13 if can(Skill::Drop) => [plain, vec![Step::Drop]].concat(),
            13 if can(Skill::Renew) => {
                renew = true;
                vec![
                    Step::Sleep(beyond),
                    Step::Use(Duration::ZERO),
                    Step::Release,
                ]
            }
            14 => vec![
                Step::Sleep(beyond),
                Step::Use(Duration::ZERO),
                Step::Release,
            ],
            _ => [plain, vec![Step::Release]].concat(),
        }
    };
    Turn {
        acquire: What::Acquire {
            client,
            name,
            ttl_ms: millis(plan.ttl),
            wait_ms: millis(wait),
            mode,
            renew,
            cancel_after_ms: cancel,
        },
        steps,
    }
}

pub(crate) fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn plan() -> Plan {
        Plan {
            url: "redis://r1".into(),
            clients: 8,
            processes: 4,
            duration: Duration::from_secs(30),
            names: 1,
            ttl: Duration::from_secs(2),
            hold: Duration::from_millis(5),
            think: Duration::from_millis(5),
            wait: Duration::from_secs(5),
            pauses: 5.0,
            mode: Kind::Exclusive,
            seed: 7,
        }
    }

    pub(crate) fn hello(can: &[Skill]) -> Hello {
        Hello {
            hello: "test".into(),
            version: "0".into(),
            tokens: true,
            clients: 1,
            can: can.to_vec(),
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_turns_and_nothing_a_worker_cannot() {
        let plan = plan();
        let draw = |worker: &Hello| {
            let mut dice = plan.dice(3);
            (0..2_000)
                .map(|_| turn(&plan, worker, 0, &mut dice))
                .collect::<Vec<_>>()
        };
        let all = hello(&[Skill::Extend, Skill::Drop, Skill::Cancel, Skill::Renew]);
        assert_eq!(draw(&all), draw(&all));
        let kinds = |turns: &[Turn]| {
            let steps = turns.iter().flat_map(|turn| &turn.steps);
            let extend = steps.clone().filter(|step| **step == Step::Extend).count();
            let drop = steps.filter(|step| **step == Step::Drop).count();
            let renewed = |turn: &&Turn| matches!(turn.acquire, What::Acquire { renew: true, .. });
            let cut = |turn: &&Turn| {
                matches!(
                    turn.acquire,
                    What::Acquire {
                        cancel_after_ms: Some(_),
                        ..
                    }
                )
            };
            let renew = turns.iter().filter(renewed).count();
            [extend, drop, renew, turns.iter().filter(cut).count()]
        };
        assert!(kinds(&draw(&all)).iter().all(|&count| count > 0));
        assert_eq!(kinds(&draw(&hello(&[]))), [0; 4]);
    }

    #[test]
    fn what_makes_no_sense_is_named_with_its_remedy() {
        assert!(plan().check().is_ok());
        for (change, said) in [
            ((|plan| plan.clients = 0) as fn(&mut Plan), "--clients"),
            (|plan| plan.ttl = Duration::from_millis(5), "--ttl"),
            (|plan| plan.pauses = 101.0, "--pauses"),
            (|plan| plan.url = "memory:".into(), "local:"),
        ] {
            let mut plan = plan();
            change(&mut plan);
            let error = plan.check().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
