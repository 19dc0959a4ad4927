//! What is fed with inputs, and what must hold of each.

use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::{Result, bail};

use crate::targets;

/// What a case came to, by which cases are told apart: one of a kind not seen before
/// is worth changing further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape(u64);

impl Shape {
    /// Of an answer.
    pub fn of(answer: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        answer.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Of a text: numbers and quoted values in it make no difference.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let mut quoted = false;
        let kept = text.chars().filter(|c| {
            quoted ^= matches!(c, '"' | '`');
            !quoted && !c.is_ascii_digit()
        });
        Self::of(kept.collect::<String>())
    }
}

/// Something that is fed with inputs.
pub trait Target: Send {
    /// Feeds it once.
    ///
    /// # Errors
    ///
    /// What does not hold. A panic is as bad.
    fn check(&mut self, input: &[u8]) -> Result<Shape, String>;

    /// Makes an input from nothing.
    fn invent(&self, random: &mut fastrand::Rng) -> Vec<u8>;

    /// Words that are worth putting into an input.
    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[]
    }

    /// What is worth counting besides the inputs.
    fn tally(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// How much memory a case with so many bytes of input may have at once.
    fn memory(&self, input: usize) -> usize {
        (4 << 20) + 256 * input
    }
}

/// A target that is ready to be fed.
pub type Opened = Box<dyn Target>;

/// The targets there are.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// How many cases run at once.
    pub lanes: usize,
    open: fn(usize) -> Result<Vec<Opened>>,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self {
            name: "url",
            about: "the URL that chooses an engine: an error that shows no password",
            lanes: 1,
            open: targets::url::open,
        },
        Self {
            name: "name",
            about: "the names of locks, and other words that people give",
            lanes: 1,
            open: targets::name::open,
        },
        Self {
            name: "record",
            about: "any bytes as a record in a store: an error, or a record that works",
            lanes: 1,
            open: targets::record::open,
        },
        Self {
            name: "damage",
            about: "a record damaged in a store: never one with a smaller token",
            lanes: 1,
            open: targets::damage::open,
        },
        Self {
            name: "reply",
            about: "any bytes as a Redis server's answers",
            lanes: 1,
            open: targets::reply::open,
        },
        Self {
            name: "engine",
            about: "the whole Redis engine against servers that lie",
            lanes: 6,
            open: targets::engine::open,
        },
    ];

    /// The one of this name.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn named(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|kind| kind.name == name) {
            Some(kind) => Ok(kind),
            None => {
                let names: Vec<_> = Self::ALL.iter().map(|kind| kind.name).collect();
                bail!(
                    "no target is called `{name}`; there are: {}",
                    names.join(", ")
                )
            }
        }
    }

    /// Makes it, so many times that all may be fed at once.
    ///
    /// # Errors
    ///
    /// When something that it needs cannot be had.
    pub fn open(&self, lanes: usize) -> Result<Vec<Opened>> {
        (self.open)(lanes)
    }
}
