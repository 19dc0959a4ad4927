//! The slots of a Redis Cluster: which one a key is in, and keys for each of them.
//!
//! Source: the Redis Cluster specification, "Key distribution model" and "Hash tags".

use std::sync::OnceLock;

/// How many slots a Cluster has.
pub(crate) const SLOTS: u16 = 1 << 14;

/// The slot of a key.
pub(crate) fn slot_of(key: &str) -> u16 {
    crc16(tag_of(key).as_bytes()) & (SLOTS - 1)
}

/// The part of a key that decides its slot: what stands between the first `{` and the
/// next `}` if that is not empty, else all of it.
pub(crate) fn tag_of(key: &str) -> &str {
    let tag = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    match tag {
        Some((tag, _)) if !tag.is_empty() => tag,
        _ => key,
    }
}

/// A text that is in this slot, to be put between braces. All clients must agree on it
/// for ever: it is the smallest number whose decimal digits are in the slot.
pub(crate) fn tag_in(slot: u16) -> &'static str {
    static TAGS: OnceLock<Vec<String>> = OnceLock::new();
    &TAGS.get_or_init(all_tags)[usize::from(slot & (SLOTS - 1))]
}

fn all_tags() -> Vec<String> {
    let mut tags = vec![String::new(); SLOTS.into()];
    let mut left = tags.len();
    for number in 0_u32.. {
        let text = number.to_string();
        let tag = &mut tags[usize::from(slot_of(&text))];
        if tag.is_empty() {
            *tag = text;
            left -= 1;
        }
        if left == 0 {
            break;
        }
    }
    tags
}

/// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, starting from 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| match crc >> 15 {
            0 => crc << 1,
            _ => (crc << 1) ^ 0x1021,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of("foo"), 12182);
        assert_eq!(slot_of("{user1000}.following"), slot_of("user1000"));
        assert_eq!(tag_of("foo{}{bar}"), "foo{}{bar}");
        assert_eq!(tag_of("foo{{bar}}zap"), "{bar");
        assert_eq!(tag_of("foo{bar}{zap}"), "bar");
    }

    #[test]
    fn every_slot_has_a_tag_and_it_never_changes() {
        for slot in 0..SLOTS {
            assert_eq!(slot_of(&format!("x{{{}}}y", tag_in(slot))), slot);
        }
        assert_eq!(tag_in(slot_of("0")), "0");
        let longest = (0..SLOTS).map(|slot| tag_in(slot).len()).max();
        assert_eq!(longest, Some(6));
    }
}
