//! The inputs kept in the repository: one a line, as text with escapes, so that a
//! change can be read.
//!
//! `corpus/TARGET.txt` is what mutation begins with; `regressions/TARGET.txt` is what
//! once failed. Lines that begin with `#` are remarks.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Reads what is kept for a target.
///
/// # Errors
///
/// When a file cannot be read, or a line has an escape that is none.
pub fn load(target: &str) -> Result<Vec<Vec<u8>>> {
    let mut inputs = read(&folder("corpus").join(format!("{target}.txt")))?;
    inputs.extend(regressions(target)?);
    Ok(inputs)
}

/// Reads what once failed.
///
/// # Errors
///
/// As [`load`].
pub fn regressions(target: &str) -> Result<Vec<Vec<u8>>> {
    read(&folder("regressions").join(format!("{target}.txt")))
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(file: &Path) -> Result<Vec<Vec<u8>>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| {
            let what = || format!("{}:{}: an escape that is none", file.display(), at + 1);
            unescape(line).with_context(what)
        })
        .collect()
}

/// An input as a line.
#[must_use]
pub fn escape(input: &[u8]) -> String {
    let mut line = String::new();
    for (at, byte) in input.iter().enumerate() {
        match byte {
            b'\r' => line.push_str("\\r"),
            b'\n' => line.push_str("\\n"),
            b'\\' => line.push_str("\\\\"),
            b'#' if at == 0 => line.push_str("\\x23"),
            b' '..=b'~' => line.push(char::from(*byte)),
            // Writing to a String does not fail.
            other => drop(write!(line, "\\x{other:02x}")),
        }
    }
    if line.is_empty() {
        // An empty line is no input.
        line.push_str("\\e");
    }
    line
}

/// The input that a line stands for; `None` for an escape that is none.
#[must_use]
pub fn unescape(line: &str) -> Option<Vec<u8>> {
    let mut input = Vec::new();
    let mut rest = line.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            input.push(*first);
            continue;
        }
        let (kind, tail) = rest.split_first()?;
        rest = tail;
        match kind {
            b'r' => input.push(b'\r'),
            b'n' => input.push(b'\n'),
            b'\\' => input.push(b'\\'),
            b'e' => {}
            b'x' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                input.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            }
            _ => return None,
        }
    }
    Some(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_is_a_line_and_back() {
        let mut random = fastrand::Rng::with_seed(7);
        for length in 0..200 {
            let input: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
                .take(length)
                .collect();
            let line = escape(&input);
            assert!(!line.is_empty() && !line.contains('\n') && !line.starts_with('#'));
            assert_eq!(unescape(&line), Some(input), "{line}");
        }
        assert_eq!(unescape("\\q"), None);
        assert_eq!(unescape("\\x0"), None);
    }
}
