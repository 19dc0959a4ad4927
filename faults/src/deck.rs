//! Which fault comes next, from the seed.

use std::time::Duration;

use fastrand::Rng;
use leasehold_torture::history::Scope;

use crate::fault::{Fault, Kind};
use crate::scene::{Flavour, Scene};

/// Every fault that makes sense for a scene, in an order drawn anew each time all
/// have been had.
#[derive(Debug)]
pub struct Deck {
    all: Vec<(Kind, Scope)>,
    left: Vec<(Kind, Scope)>,
    ttl: Duration,
    processes: usize,
    dice: Rng,
}

impl Deck {
    /// All faults for such a scene.
    #[must_use]
    pub fn of(scene: &Scene, ttl: Duration, processes: usize, seed: u64) -> Self {
        let mut all: Vec<_> = [
            Kind::Freeze,
            Kind::Kill,
            Kind::Flush,
            Kind::BlackHole,
            Kind::AnswersLost,
            Kind::Slow,
            Kind::Cut,
        ]
        .map(|kind| (kind, Scope::Minority))
        .into();
        if scene.flavour == Flavour::Durable {
            all.push((Kind::FullDisk, Scope::Minority));
        }
        all.extend([Kind::ClientStop, Kind::ClientKill].map(|kind| (kind, Scope::Client)));
        let majority = [
            Kind::Freeze,
            Kind::Kill,
            Kind::KillInTurn,
            Kind::Flush,
            Kind::BlackHole,
            Kind::Cut,
        ];
        all.extend(majority.map(|kind| (kind, Scope::Majority)));
        if scene.has_clocks {
            for scope in [Scope::Minority, Scope::Majority] {
                all.extend([Kind::ClockStep, Kind::ClockRate].map(|kind| (kind, scope)));
            }
        }
        Self::with(all, ttl, processes, seed)
    }

    /// These faults and no others.
    #[must_use]
    pub fn with(all: Vec<(Kind, Scope)>, ttl: Duration, processes: usize, seed: u64) -> Self {
        Self {
            all,
            left: Vec::new(),
            ttl,
            processes,
            dice: Rng::with_seed(seed),
        }
    }

    /// The next fault.
    pub fn draw(&mut self) -> Fault {
        if self.left.is_empty() {
            self.left = self.all.clone();
            self.dice.shuffle(&mut self.left);
        }
        let (kind, scope) = self.left.pop().unwrap_or((Kind::Freeze, Scope::Minority));
        Fault::draw(kind, scope, self.ttl, self.processes, &mut self.dice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deck(seed: u64) -> Deck {
        let all = vec![
            (Kind::Freeze, Scope::Minority),
            (Kind::Cut, Scope::Majority),
            (Kind::ClientStop, Scope::Client),
        ];
        Deck::with(all, Duration::from_secs(1), 4, seed)
    }

    #[test]
    fn the_same_seed_draws_the_same_and_each_comes_once_a_round() {
        let draw = |seed| {
            let mut deck = deck(seed);
            (0..30).map(|_| deck.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        for round in draw(7).chunks(3) {
            for kind in [Kind::Freeze, Kind::Cut, Kind::ClientStop] {
                assert_eq!(round.iter().filter(|fault| fault.kind == kind).count(), 1);
            }
        }
    }

    #[test]
    fn a_minority_leaves_a_quorum_and_a_majority_does_not() {
        let mut deck = deck(3);
        for _ in 0..300 {
            let fault = deck.draw();
            let count = fault.targets.len();
            match fault.scope {
                Scope::Minority => assert!((1..=2).contains(&count)),
                Scope::Majority => assert!((3..=5).contains(&count)),
                Scope::Client => assert!(count == 1 && fault.targets[0] < 4),
            }
        }
    }
}
