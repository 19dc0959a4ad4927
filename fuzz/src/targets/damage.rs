//! A record that was damaged in its store: a torn write, a stretch of noise, a piece
//! that is missing or there twice.
//!
//! An input is the recipe: eight bytes from which the record is made, and one stretch
//! to change. What is read then, if anything, must know the record's tokens.

use anyhow::Result;
use fastrand::Rng;
use leasehold_core::record::Record;

use super::record::any_record;
use crate::target::{Opened, Shape, Target};

struct Damage;

pub(crate) fn open(lanes: usize) -> Result<Vec<Opened>> {
    Ok((0..lanes).map(|_| Box::new(Damage) as Opened).collect())
}

impl Target for Damage {
    fn check(&mut self, input: &[u8]) -> Result<Shape, String> {
        let Some((seed, rest)) = input.split_first_chunk::<8>() else {
            return Ok(Shape::of("short"));
        };
        let Some((place, new)) = rest.split_first_chunk::<5>() else {
            return Ok(Shape::of("short"));
        };
        let whole = any_record(&mut Rng::with_seed(u64::from_le_bytes(*seed)));
        let bytes = whole.encode();
        let damaged = damage(&bytes, *place, new);
        if damaged == bytes {
            return Ok(Shape::of("whole"));
        }
        match Record::decode(&damaged) {
            Err(said) => Ok(Shape::of_text(&said)),
            Ok(record) if record.token < whole.token || record.floor < whole.floor => Err(format!(
                "{} is read as a record with token {} and floor {}, not {} and {}",
                String::from_utf8_lossy(&damaged),
                record.token,
                record.floor,
                whole.token,
                whole.floor
            )),
            Ok(record) => Ok(Shape::of((
                record.grants == whole.grants,
                record.waiters == whole.waiters,
            ))),
        }
    }

    fn invent(&self, random: &mut Rng) -> Vec<u8> {
        let new = [0, 1, 1, 2, 4, 17][random.usize(..6)];
        std::iter::repeat_with(|| random.u8(..))
            .take(13 + new)
            .collect()
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[
            b"0",
            b"1",
            b",",
            b"}",
            b"\"t\":1",
            b"\"f\":0",
            b"\"v\":1",
            b"\0\0\0\0\0\0\0\0",
        ]
    }
}

/// Changes one stretch.
fn damage(bytes: &[u8], [at, more, length, how, over]: [u8; 5], new: &[u8]) -> Vec<u8> {
    let at = usize::from(u16::from_le_bytes([at, more])) % (bytes.len() + 1);
    let end = (at + usize::from(length)).min(bytes.len());
    let (before, piece, after) = (&bytes[..at], &bytes[at..end], &bytes[end..]);
    match how % 5 {
        // Torn.
        0 => before.to_vec(),
        1 => [before, new, &bytes[(at + new.len()).min(bytes.len())..]].concat(),
        2 => [before, new, after].concat(),
        3 => [before, piece, piece, after].concat(),
        // A digit for a digit: the kind that a reader of JSON does not notice.
        _ => {
            let mut damaged = bytes.to_vec();
            let digit = damaged[at..].iter_mut().find(|byte| byte.is_ascii_digit());
            if let Some(digit) = digit {
                *digit = b'0' + over % 10;
            }
            damaged
        }
    }
}
