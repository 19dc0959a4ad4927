//! Text cut and wrapped by the columns it takes on a terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns a text takes. It must have no colours in it.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text, cut with `…` if it takes more than `room` columns.
pub(crate) fn shorten(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut taken = 0;
    for c in text.chars() {
        let more = c.width().unwrap_or(0);
        if taken + more + 1 > room {
            break;
        }
        taken += more;
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// The text in lines of at most `room` columns, broken between words where it can
/// be.
pub(crate) fn wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(8);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word = word;
        loop {
            let line = lines.last_mut().expect("there is always a last line");
            let gap = usize::from(!line.is_empty());
            if width(line) + gap + width(word) <= room {
                line.push_str(&" ".repeat(gap));
                line.push_str(word);
                break;
            }
            if line.is_empty() {
                let (head, tail) = split(word, room);
                line.push_str(head);
                word = tail;
            }
            lines.push(String::new());
        }
    }
    lines
}

/// Splits a word that is longer than a line.
fn split(word: &str, room: usize) -> (&str, &str) {
    let mut taken = 0;
    for (at, c) in word.char_indices() {
        taken += c.width().unwrap_or(0);
        if taken > room {
            return word.split_at(at);
        }
    }
    (word, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_counts_columns_not_characters() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefg", 6), "abcde…");
        assert_eq!(width(&shorten("錠錠錠錠", 6)), 5);
    }

    #[test]
    fn lines_break_between_words_and_inside_endless_ones() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghijkl m", 8), ["abcdefgh", "ijkl m"]);
        assert_eq!(wrap("", 8), [""]);
        for line in wrap(&"錠".repeat(50), 9) {
            assert!(width(&line) <= 9);
        }
    }
}
