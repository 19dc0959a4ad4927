//! Whether a long answer is all there, looking at each byte once however many pieces
//! it comes in.

use super::parse::{DEEPEST, LONGEST, MOST_VALUES, Malformed};

/// How far an answer has been looked at. What it holds is for [`parse`](super::parse)
/// to say, which is asked when all of it is there.
#[derive(Debug)]
pub(super) struct Scan {
    /// Where the next value begins, or the string that has to come.
    at: usize,
    /// Up to where there is no end of line behind `at`.
    seen: usize,
    /// How many values are open at each level.
    open: Vec<usize>,
    /// How many values were announced.
    values: usize,
    /// How many bytes were looked at in all.
    #[cfg(test)]
    looked: usize,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            at: 0,
            seen: 0,
            open: vec![1],
            values: 0,
            #[cfg(test)]
            looked: 0,
        }
    }
}

impl Scan {
    /// Whether the answer that `bytes` begin with is all there. They begin as they did
    /// the last time, and go on further.
    ///
    /// # Errors
    ///
    /// If it is no answer, or more than is believable.
    pub(super) fn is_whole(&mut self, bytes: &[u8]) -> Result<bool, Malformed> {
        while !self.open.is_empty() {
            if !self.step(bytes)? {
                return match bytes.len() < LONGEST {
                    true => Ok(false),
                    false => Err(Malformed("an answer of more than 16 MiB")),
                };
            }
            while self.open.last() == Some(&0) {
                self.open.pop();
            }
        }
        Ok(true)
    }

    /// Looks at the next value; whether its line, and its string if it is one, is there.
    fn step(&mut self, bytes: &[u8]) -> Result<bool, Malformed> {
        let from = self.at.max(self.seen);
        let rest = bytes.get(from..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n');
        #[cfg(test)]
        {
            self.looked += end.map_or(rest.len(), |end| end + 1);
        }
        let Some(end) = end else {
            self.seen = bytes.len();
            return Ok(false);
        };
        let line = &bytes[self.at..from + end];
        let next = from + end + 1;
        let kind = line.first().copied().unwrap_or(b'\n');
        let length = || length(line);
        let (then, count) = match kind {
            b'$' | b'!' | b'=' => (next + length()?.map_or(0, |length| length + 2), 0),
            b'*' | b'~' | b'>' => (next, length()?.unwrap_or(0)),
            b'%' => (next, 2 * length()?.unwrap_or(0)),
            // The value that it is about comes behind.
            b'|' => (next, 2 * length()?.unwrap_or(0) + 1),
            b':' | b'+' | b'-' | b'_' | b'#' | b',' | b'(' => (next, 0),
            _ => return Err(Malformed("an answer that is no RESP3")),
        };
        if then > bytes.len() {
            // The line is looked at again when the string is there: it is short.
            self.seen = next - 1;
            return Ok(false);
        }
        self.at = then;
        self.count(count)?;
        Ok(true)
    }

    /// One value less is open, and so many more a level deeper.
    fn count(&mut self, count: usize) -> Result<(), Malformed> {
        if let Some(open) = self.open.last_mut() {
            *open -= 1;
        }
        self.values = self.values.saturating_add(count);
        if self.values > MOST_VALUES {
            return Err(Malformed("an answer of too many values"));
        }
        if count > 0 {
            self.open.push(count);
        }
        match self.open.len() <= DEEPEST + 1 {
            true => Ok(()),
            false => Err(Malformed("an answer nested too deeply")),
        }
    }
}

/// The length behind the mark; `None` for -1.
fn length(line: &[u8]) -> Result<Option<usize>, Malformed> {
    let digits = line.strip_suffix(b"\r").and_then(|line| line.get(1..));
    let text = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    match text.and_then(|text| text.parse::<i64>().ok()) {
        None => Err(Malformed("no number where one belongs")),
        Some(-1) => Ok(None),
        Some(number) => match usize::try_from(number) {
            Ok(length) if length <= LONGEST => Ok(Some(length)),
            Ok(_) => Err(Malformed("an answer of more than 16 MiB")),
            Err(_) => Err(Malformed("a negative length")),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parse::parse;
    use super::*;

    /// An answer of some kind, well formed.
    fn answer() -> impl Strategy<Value = String> {
        let plain = prop::sample::select(vec![
            ":7\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "_\r\n",
            "+OK\r\n",
            "$4\r\na\r\nb\r\n",
            "=5\r\ntxt:a\r\n",
            "-ERR no\r\n",
            "!5\r\nERR a\r\n",
            "$0\r\n\r\n",
        ]);
        plain
            .prop_map(str::to_owned)
            .prop_recursive(5, 40, 4, |inner| {
                let many = prop::collection::vec(inner, 0..4);
                (prop::sample::select(vec!["*", "~", "%", "|"]), many).prop_map(|(mark, values)| {
                    let (count, values) = match mark {
                        "*" | "~" => (values.len(), values),
                        _ => (values.len(), [values.clone(), values].concat()),
                    };
                    let behind = if mark == "|" { ":1\r\n" } else { "" };
                    format!("{mark}{count}\r\n{}{behind}", values.concat())
                })
            })
    }

    proptest! {
        #[test]
        fn it_is_whole_when_it_can_be_read(text in answer(), more in "[a-z]{0,9}") {
            let bytes = [text.as_bytes(), more.as_bytes()].concat();
            let mut scan = Scan::default();
            for end in 0..=bytes.len() {
                let read = parse(&bytes[..end]).unwrap().is_some();
                prop_assert_eq!(scan.is_whole(&bytes[..end]).unwrap(), read, "{:?}", &bytes[..end]);
                if read {
                    return Ok(());
                }
            }
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(
            prop::sample::select(b"*$:+-_#,(!=%|~>0123456789\r\n".to_vec()),
            0..200,
        )) {
            let mut scan = Scan::default();
            for end in 0..=bytes.len() {
                match scan.is_whole(&bytes[..end]) {
                    // Whatever can be read is said to be whole, if not before.
                    Ok(false) => prop_assert!(!matches!(parse(&bytes[..end]), Ok(Some(_)))),
                    Ok(true) | Err(_) => break,
                }
            }
        }
    }

    #[test]
    fn each_byte_is_looked_at_once_however_small_the_pieces() {
        let texts = [
            format!("*10000\r\n{}", "$3\r\nabc\r\n".repeat(10_000)),
            format!("+{}\r\n", "x".repeat(100_000)),
            format!("*2\r\n$100000\r\n{}\r\n:1\r\n", "x".repeat(100_000)),
        ];
        for text in texts {
            let mut scan = Scan::default();
            for end in 1..text.len() {
                assert!(!scan.is_whole(&text.as_bytes()[..end]).unwrap());
            }
            assert!(scan.is_whole(text.as_bytes()).unwrap());
            // The ends of lines before strings that are not there yet are met again.
            assert!(
                scan.looked < 3 * text.len(),
                "{} of {}",
                scan.looked,
                text.len()
            );
        }
    }

    #[test]
    fn what_does_not_end_is_given_up() {
        let mut scan = Scan::default();
        let mut endless = b"*100000\r\n".to_vec();
        endless.extend(
            b"$400\r\n"
                .iter()
                .chain(&[b'x'; 400])
                .chain(b"\r\n")
                .copied()
                .cycle()
                .take(LONGEST),
        );
        let said: Vec<_> = (1..=endless.len() >> 16)
            .map(|pieces| scan.is_whole(&endless[..pieces << 16]))
            .collect();
        assert!(said.last().unwrap().is_err());
        assert!(said[..said.len() - 1].iter().all(|said| *said == Ok(false)));
    }
}
