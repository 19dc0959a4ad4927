//! The names of locks, and other words that people give.

use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use leasehold_core::{
    AcquireRequest, Acquired, Engine, LockName, MAX_NAME_BYTES, Mode, Nonce, Owner, Token, Ttl,
    parse_duration,
};
use leasehold_memory::MemoryEngine;
use pollster::block_on;

use super::text;
use crate::target::{Opened, Shape, Target};

struct Name(MemoryEngine);

pub(crate) fn open(lanes: usize) -> Result<Vec<Opened>> {
    let one = |_| Box::new(Name(MemoryEngine::new())) as Opened;
    Ok((0..lanes).map(one).collect())
}

impl Target for Name {
    fn check(&mut self, input: &[u8]) -> Result<Shape, String> {
        let given = text(input);
        others(&given)?;
        let fits =
            (1..=MAX_NAME_BYTES).contains(&given.len()) && !given.chars().any(char::is_control);
        let name = match LockName::new(&*given) {
            Ok(_) if !fits => return Err("a name that should be refused is taken".to_owned()),
            Err(error) if fits => {
                return Err(format!("a name that should be taken is refused: {error}"));
            }
            Err(error) => {
                let said = error.to_string();
                if said.chars().any(char::is_control) || said.len() > 1000 {
                    return Err(format!(
                        "an error that is too long, or with control characters: {said:?}"
                    ));
                }
                return Ok(Shape::of_text(&said));
            }
            Ok(name) => name,
        };
        let json = serde_json::to_string(&name).map_err(|error| error.to_string())?;
        if serde_json::from_str::<LockName>(&json).ok().as_ref() != Some(&name)
            || name.as_str() != given
        {
            return Err("the name does not come back".to_owned());
        }
        self.lock(&name)?;
        Ok(Shape::of((given.len().ilog2(), given.is_ascii())))
    }

    fn invent(&self, random: &mut Rng) -> Vec<u8> {
        let letters = [
            "a",
            "/",
            " ",
            "é",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "{",
            "}",
            "*",
            "\u{10ffff}",
            "0",
            ":",
        ];
        let length = random.usize(..=MAX_NAME_BYTES + 2);
        let one = || letters[random.usize(..letters.len())];
        std::iter::repeat_with(one)
            .take(length)
            .collect::<String>()
            .into_bytes()
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[
            b"leasehold:",
            b"{a}",
            b"permit 3",
            b"1h 3m",
            b"584942417355y",
            b"9007199254740992",
            b"\0",
        ]
    }
}

impl Name {
    /// The lock can be taken, is listed under its name alone, and is free again.
    fn lock(&self, name: &LockName) -> Result<(), String> {
        let request = AcquireRequest {
            name: name.clone(),
            nonce: Nonce::from_bytes([7; 16]),
            owner: Owner::new(name.as_str()),
            mode: Mode::Exclusive,
            ttl: Ttl::new(Duration::from_secs(1)).map_err(|error| error.to_string())?,
            grace: Duration::ZERO,
            lifetime: leasehold_core::Lifetime::Detached,
            queue: None,
        };
        let said = |error: leasehold_core::Error| format!("{name:?}: {error}");
        match block_on(self.0.acquire(&request)).map_err(said)? {
            Acquired::Granted(_) => {}
            other => return Err(format!("a free lock is not granted: {other:?}")),
        }
        let listed = block_on(self.0.list(name.as_str())).map_err(said)?;
        if listed.len() != 1 || listed[0].name != *name {
            return Err(format!("{name:?} is not what is listed"));
        }
        block_on(self.0.release(name, request.nonce)).map_err(said)?;
        let left = block_on(self.0.list("")).map_err(said)?;
        match left.is_empty() {
            true => Ok(()),
            false => Err(format!("{name:?} stays listed")),
        }
    }
}

/// What else is read from text: an error at worst, and what was read comes back.
fn others(given: &str) -> Result<(), String> {
    let same = |what: &str, back: Option<bool>| match back {
        Some(false) => Err(format!("the {what} does not come back")),
        _ => Ok(()),
    };
    let token = given.parse::<Token>().ok();
    same(
        "token",
        token.map(|token| token.to_string().parse().ok() == Some(token)),
    )?;
    let nonce = given.parse::<Nonce>().ok();
    same(
        "nonce",
        nonce.map(|nonce| nonce.to_string().parse().ok() == Some(nonce)),
    )?;
    if let Err(error) = parse_duration("ttl", given) {
        let said = error.to_string();
        if said.chars().any(char::is_control) {
            return Err(format!("an error with control characters: {said:?}"));
        }
    }
    if let Ok(length) = parse_duration("ttl", given) {
        // Refused or not, it is without a panic.
        let _ = Ttl::new(length);
    }
    let owner = Owner::new(given);
    same("owner", Some(Owner::new(owner.as_str()) == owner))
}
