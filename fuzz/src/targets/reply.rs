//! Any bytes as a Redis server's answers.

use anyhow::Result;
use fastrand::Rng;
use leasehold_redis::fuzzing::{self, Meaning};

use crate::target::{Opened, Shape, Target};

/// Answers beyond this are looked into when they have come whole.
const LONG: usize = 4 << 10;

type Answers = Vec<Result<String, &'static str>>;

struct Reply;

pub(crate) fn open(lanes: usize) -> Result<Vec<Opened>> {
    Ok((0..lanes).map(|_| Box::new(Reply) as Opened).collect())
}

impl Target for Reply {
    fn check(&mut self, input: &[u8]) -> Result<Shape, String> {
        let whole = fuzzing::answers(input, usize::MAX);
        for piece in [1, 7] {
            // However it is cut, the same answers come out, and none that is wrong at once is
            // right in pieces. What is wrong with a long one may be told when all of it is there.
            let cut = fuzzing::answers(input, piece);
            let good = |answers: &Answers| {
                answers
                    .iter()
                    .filter_map(|answer| answer.clone().ok())
                    .collect::<Vec<_>>()
            };
            let wrong = |answers: &Answers| answers.last().is_some_and(Result::is_err);
            let late = wrong(&whole) && !wrong(&cut) && input.len() > LONG;
            if good(&cut) != good(&whole) || wrong(&cut) != wrong(&whole) && !late {
                return Err(format!(
                    "in pieces of {piece} it is {cut:?}, at once {whole:?}"
                ));
            }
        }
        for Meaning {
            command,
            token,
            bytes,
        } in fuzzing::meanings(input)
        {
            let plain = || {
                let text = String::from_utf8_lossy(bytes);
                // Attributes may come before it.
                let number = text.strip_suffix("\r\n")?.rsplit("\r\n").next()?;
                let whole = text.starts_with([':', '|']);
                whole.then(|| number.strip_prefix(':')?.parse::<u64>().ok())?
            };
            if token == 0 || plain() != Some(token) && command != "push" {
                return Err(format!(
                    "{:?} is token {token} as an answer to {command}",
                    String::from_utf8_lossy(bytes)
                ));
            }
        }
        let kinds = whole.iter().map(|answer| match answer {
            Ok(shown) => Shape::of_text(shown),
            Err(why) => Shape::of(why),
        });
        Ok(Shape::of(kinds.take(3).collect::<Vec<_>>()))
    }

    fn invent(&self, random: &mut Rng) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..random.usize(1..4) {
            value(&mut bytes, random, 0);
        }
        bytes
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[
            b"\r\n",
            b"*1\r\n",
            b"%1\r\n",
            b"|1\r\n",
            b"~1\r\n",
            b">2\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"$0\r\n\r\n",
            b"_\r\n",
            b"#t\r\n",
            b",1.5\r\n",
            b",nan\r\n",
            b"(1\r\n",
            b"=5\r\ntxt:a\r\n",
            b"!3\r\nERR\r\n",
            b"-NOSCRIPT x\r\n",
            b"+OK\r\n",
            b":0\r\n",
            b":-1\r\n",
            b"$16777216\r\n",
            b"*131072\r\n",
            b"$?\r\n",
            b";0\r\n",
            b"message",
            b"subscribe",
        ]
    }

    fn memory(&self, input: usize) -> usize {
        // A value of three bytes is 56 in memory, and kept in texts here besides.
        (4 << 20) + 2048 * input
    }
}

/// Writes an answer of any kind.
fn value(bytes: &mut Vec<u8>, random: &mut Rng, depth: u32) {
    let count = if depth < 4 { random.usize(..4) } else { 0 };
    let scalar: &[u8] = match random.u32(..16) {
        0 => b":9007199254740991\r\n",
        1 => b":-1\r\n",
        2 => b"$-1\r\n",
        3 => b"+OK\r\n",
        4 => b"-ERR no\r\n",
        5 => b"_\r\n",
        6 => b"#t\r\n",
        7 => b"$4\r\nab\r\n\r\n",
        8 => b"=6\r\ntxt:ab\r\n",
        9 => b":7\r\n",
        10 => b"$40\r\nh 0102030405060708090a0b0c0d0e0f10 900\r\n\r\n",
        kind => {
            let (mark, each) =
                [(b'*', 1), (b'~', 1), (b'%', 2), (b'|', 2), (b'>', 1)][kind as usize - 11];
            bytes.extend(format!("{}{count}\r\n", char::from(mark)).bytes());
            for _ in 0..count * each + usize::from(mark == b'|') {
                value(bytes, random, depth + 1);
            }
            return;
        }
    };
    bytes.extend_from_slice(scalar);
}
