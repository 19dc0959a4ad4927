//! Which run it is: a line of text that reproduces it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::log::Keep;
use crate::mistakes::{self, Mistake};
use crate::timed::{self, Clocks};
use crate::untimed::{self, Mix};
use crate::{Run, Script, record};

/// A kind of world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// The quorum of so many nodes without clocks.
    Untimed(usize, Mix),
    /// The quorum of so many nodes with clocks.
    Timed(usize, Clocks),
    /// The record on one store.
    Record(Clocks),
}

impl World {
    /// Plays one run in it.
    #[must_use]
    pub fn play(self, script: &Script) -> Run {
        match self {
            Self::Untimed(nodes, mix) => untimed::run(untimed::Setup::of(nodes, mix), script),
            Self::Timed(nodes, clocks) => {
                let setup = timed::Setup {
                    clocks,
                    ..timed::Setup::of(nodes)
                };
                timed::run(setup, script)
            }
            Self::Record(clocks) => record::run(record::Setup::of(clocks), script),
        }
    }

    /// Its name without the number of nodes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Untimed(_, Mix::Usual) => "untimed",
            Self::Untimed(_, Mix::Amnesia) => "untimed-amnesia",
            Self::Untimed(_, Mix::Stale) => "untimed-stale",
            Self::Timed(_, Clocks::Within) => "timed",
            Self::Timed(_, Clocks::Beyond) => "timed-beyond",
            Self::Record(Clocks::Within) => "record",
            Self::Record(Clocks::Beyond) => "record-beyond",
        }
    }

    /// How many nodes it has; 1 for a record's store.
    #[must_use]
    pub const fn nodes(self) -> usize {
        match self {
            Self::Untimed(nodes, _) | Self::Timed(nodes, _) => nodes,
            Self::Record(_) => 1,
        }
    }

    fn named(name: &str, nodes: usize) -> Option<Self> {
        let all = [
            Self::Untimed(nodes, Mix::Usual),
            Self::Untimed(nodes, Mix::Amnesia),
            Self::Untimed(nodes, Mix::Stale),
            Self::Timed(nodes, Clocks::Within),
            Self::Timed(nodes, Clocks::Beyond),
            Self::Record(Clocks::Within),
            Self::Record(Clocks::Beyond),
        ];
        all.into_iter().find(|world| world.name() == name)
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} nodes={}", self.name(), self.nodes())
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The world.
    pub world: World,
    /// The seed.
    pub seed: u64,
    /// A mistake made on purpose.
    pub mistake: Option<Mistake>,
    /// Only these choices happen; `None` for all of them.
    pub only: Option<BTreeSet<u32>>,
}

impl Schedule {
    /// Plays it, with its mistake.
    #[must_use]
    pub fn play(&self, keep: Keep) -> Run {
        let script = Script {
            seed: self.seed,
            keep,
            only: self.only.clone(),
        };
        mistakes::make(self.mistake);
        let run = self.world.play(&script);
        mistakes::make(None);
        run
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seed={}", self.world, self.seed)?;
        if let Some(mistake) = self.mistake {
            write!(f, " mistake={}", mistake.name)?;
        }
        if let Some(only) = &self.only {
            let only: Vec<_> = only.iter().map(u32::to_string).collect();
            write!(f, " only={}", only.join(","))?;
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let name = words.next().ok_or("name a world")?;
        let (mut nodes, mut seed, mut mistake, mut only) = (3, 0, None, None);
        for word in words {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| format!("{word}: write key=value"))?;
            let wrong = |error: std::num::ParseIntError| format!("{word}: {error}");
            match key {
                "nodes" => nodes = value.parse().map_err(wrong)?,
                "seed" => seed = value.parse().map_err(wrong)?,
                "mistake" => mistake = Some(Mistake::named(value)?),
                "only" if value.is_empty() => only = Some(BTreeSet::new()),
                "only" => {
                    let choices = value.split(',').map(|choice| choice.parse().map_err(wrong));
                    only = Some(choices.collect::<Result<_, String>>()?);
                }
                _ => return Err(format!("{word}: the keys are nodes, seed, mistake, only")),
            }
        }
        if !(1..=9).contains(&nodes) {
            return Err(format!("nodes={nodes}: give 1 to 9"));
        }
        let world = World::named(name, nodes).ok_or_else(|| {
            format!(
                "{name}: the worlds are untimed, untimed-amnesia, untimed-stale, timed, timed-beyond, record, record-beyond"
            )
        })?;
        Ok(Self {
            world,
            seed,
            mistake,
            only,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_it_all() {
        for line in [
            "untimed nodes=3 seed=5",
            "timed-beyond nodes=5 seed=7 mistake=no-promote only=1,20,300",
            "record nodes=1 seed=0 only=",
        ] {
            let schedule: Schedule = line.parse().unwrap();
            assert_eq!(schedule.to_string(), line);
        }
        for wrong in [
            "",
            "nowhere",
            "timed nodes=10",
            "timed mistake=none",
            "timed x",
        ] {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }
}
