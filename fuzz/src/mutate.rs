//! From known inputs to new ones.

use fastrand::Rng;

/// The longest input that is made.
pub const LONGEST: usize = 64 << 10;

/// Numbers at which programs go wrong.
const NUMBERS: [&str; 20] = [
    "0",
    "-1",
    "1",
    "-0",
    "00",
    "63",
    "64",
    "127",
    "128",
    "255",
    "256",
    "65536",
    "2147483648",
    "4294967296",
    "9007199254740991",
    "9007199254740992",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "99999999999999999999999",
];

/// Changes an input in one to four places. `others` are inputs to borrow from.
#[must_use]
pub fn mutate(input: &[u8], others: &[Vec<u8>], dictionary: &[&[u8]], random: &mut Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.usize(..4) {
        change(&mut bytes, others, dictionary, random);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(bytes: &mut Vec<u8>, others: &[Vec<u8>], dictionary: &[&[u8]], random: &mut Rng) {
    let at = random.usize(..=bytes.len());
    let range = {
        let most = (bytes.len() - at).min(1 << random.u32(..12));
        let length = random.usize(..=most);
        at..at + length
    };
    match random.u32(..11) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.u32(..8),
        1 if at < bytes.len() => bytes[at] = random.u8(..),
        2 => drop(bytes.splice(range, [])),
        3 => {
            let copy = bytes[range].to_vec();
            bytes.splice(at..at, copy);
        }
        4 => bytes.truncate(at),
        5 => {
            let length = range.len() % 9;
            let word = std::iter::repeat_with(|| random.u8(..)).take(length);
            bytes.splice(range, word.collect::<Vec<_>>());
        }
        6 if !dictionary.is_empty() => {
            let word = dictionary[random.usize(..dictionary.len())];
            // In place of as much, or in between.
            let end = if random.bool() {
                at
            } else {
                (at + word.len()).min(bytes.len())
            };
            bytes.splice(at..end, word.iter().copied());
        }
        7 if !others.is_empty() => {
            let other = &others[random.usize(..others.len())];
            let from = random.usize(..=other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        8 => change_number(bytes, at, random),
        9 => {
            let piece = bytes[range].to_vec();
            let times = 1 << random.u32(..10);
            if piece.len() * times < LONGEST {
                bytes.splice(at..at, piece.repeat(times));
            }
        }
        10 if bytes.len() > 1 => {
            let other = random.usize(..bytes.len());
            bytes.swap(at.min(other), other);
        }
        _ => {
            let marks = b"\0\t\r\n \"%/:?@,&=[]{}-+~\x7f\x80\xff";
            bytes.insert(at, marks[random.usize(..marks.len())]);
        }
    }
}

/// Puts another number where the next one stands, or just here.
fn change_number(bytes: &mut Vec<u8>, at: usize, random: &mut Rng) {
    let number = NUMBERS[random.usize(..NUMBERS.len())];
    let digits = bytes[at..].iter().position(u8::is_ascii_digit);
    let from = digits.map_or(at, |skip| at + skip);
    let length = bytes[from..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    bytes.splice(from..from + length, number.bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let make = |seed| {
            let mut random = Rng::with_seed(seed);
            let others = [b"other".to_vec()];
            let mut inputs = vec![b"redis://r1:6379/0".to_vec()];
            for at in 0..2000 {
                inputs.push(mutate(&inputs[at], &others, &[b"word"], &mut random));
            }
            inputs
        };
        assert_eq!(make(3), make(3));
        assert_ne!(make(3), make(4));
    }
}
