//! Reading RESP3. Whatever a server sends, nothing here panics, and nothing takes
//! much more memory than what was received.

use redis::{PushKind, Value, VerbatimFormat};

/// The longest string, line or whole answer that is read.
pub(crate) const LONGEST: usize = 16 << 20;
/// The most values in one answer.
pub(super) const MOST_VALUES: usize = 1 << 17;
/// How deep arrays may be nested.
pub(super) const DEEPEST: usize = 16;

/// What came is no RESP3, or more than is believable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Reads the first answer: it, and its length in bytes. `None` if it is not all
/// there yet.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Value, usize)>, Malformed> {
    let mut reader = Reader {
        bytes,
        at: 0,
        values: 0,
    };
    match reader.value(0) {
        Ok(value) => Ok(Some((value, reader.at))),
        Err(Stop::Partial) if bytes.len() < LONGEST => Ok(None),
        Err(Stop::Partial) => Err(Malformed("an answer of more than 16 MiB")),
        Err(Stop::Malformed(why)) => Err(Malformed(why)),
    }
}

/// Why there is no value.
enum Stop {
    /// More has to come.
    Partial,
    Malformed(&'static str),
}

use Stop::{Malformed as Bad, Partial};

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many values were announced so far.
    values: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        if depth > DEEPEST {
            return Err(Bad("an answer nested too deeply"));
        }
        let kind = *self.bytes.get(self.at).ok_or(Partial)?;
        self.at += 1;
        let line = self.line()?;
        Ok(match kind {
            b':' => Value::Int(number(line)?),
            b'$' => match self.bulk(line)? {
                Some(bytes) => Value::BulkString(bytes.to_vec()),
                None => Value::Nil,
            },
            b'*' | b'~' => match length(line)? {
                None => Value::Nil,
                Some(count) if kind == b'*' => Value::Array(self.values(count, depth)?),
                Some(count) => Value::Set(self.values(count, depth)?),
            },
            b'+' if line == b"OK" => Value::Okay,
            b'+' => Value::SimpleString(text(line)?),
            b'-' => refusal(line)?,
            b'_' => Value::Nil,
            b'#' => Value::Boolean(line == b"t"),
            b',' => Value::Double(parsed(line)?),
            b'(' => Value::BigNumber(line.to_vec()),
            b'!' => refusal(self.bulk(line)?.unwrap_or_default())?,
            b'=' => verbatim(self.bulk(line)?.unwrap_or_default())?,
            b'%' => Value::Map(self.pairs(line, depth)?),
            b'|' => {
                // Facts about the answer that follows, which nobody asked for.
                self.pairs(line, depth)?;
                return self.value(depth + 1);
            }
            b'>' => {
                let count = length(line)?.unwrap_or(0);
                push(self.values(count, depth)?)?
            }
            _ => return Err(Bad("an answer that is no RESP3")),
        })
    }

    /// The rest of the line, without its end.
    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(Partial)?;
        self.at += end + 1;
        rest[..end]
            .strip_suffix(b"\r")
            .ok_or(Bad("a line that does not end as in RESP3"))
    }

    /// A string of the length that the line says.
    fn bulk(&mut self, line: &[u8]) -> Result<Option<&'a [u8]>, Stop> {
        let Some(length) = length(line)? else {
            return Ok(None);
        };
        let rest = &self.bytes[self.at..];
        let whole = rest.get(..length + 2).ok_or(Partial)?;
        self.at += length + 2;
        match whole.strip_suffix(b"\r\n") {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(Bad("a string longer than announced")),
        }
    }

    fn values(&mut self, count: usize, depth: usize) -> Result<Vec<Value>, Stop> {
        self.announce(count)?;
        let mut values = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            values.push(self.value(depth + 1)?);
        }
        Ok(values)
    }

    fn pairs(&mut self, line: &[u8], depth: usize) -> Result<Vec<(Value, Value)>, Stop> {
        let count = length(line)?.unwrap_or(0);
        self.announce(count.saturating_mul(2))?;
        let mut pairs = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            pairs.push((self.value(depth + 1)?, self.value(depth + 1)?));
        }
        Ok(pairs)
    }

    fn announce(&mut self, count: usize) -> Result<(), Stop> {
        self.values = self.values.saturating_add(count);
        match self.values <= MOST_VALUES {
            true => Ok(()),
            false => Err(Bad("an answer of too many values")),
        }
    }
}

fn number(line: &[u8]) -> Result<i64, Stop> {
    parsed(line)
}

/// A length; `None` for the -1 that stands for nothing at all.
fn length(line: &[u8]) -> Result<Option<usize>, Stop> {
    match usize::try_from(number(line)?) {
        Ok(length) if length <= LONGEST => Ok(Some(length)),
        Ok(_) => Err(Bad("an answer of more than 16 MiB")),
        Err(_) if line == b"-1" => Ok(None),
        Err(_) => Err(Bad("a negative length")),
    }
}

fn parsed<T: std::str::FromStr>(line: &[u8]) -> Result<T, Stop> {
    let text = std::str::from_utf8(line).ok();
    let parsed = text.and_then(|text| text.parse().ok());
    parsed.ok_or(Bad("no number where one belongs"))
}

fn text(line: &[u8]) -> Result<String, Stop> {
    let text = std::str::from_utf8(line).map_err(|_| Bad("a line that is no UTF-8"))?;
    Ok(text.to_owned())
}

/// An error of the server's. Its type can be made by its library only.
fn refusal(line: &[u8]) -> Result<Value, Stop> {
    let text = String::from_utf8_lossy(line);
    let line = format!("-{}\r\n", text.replace(['\r', '\n'], " "));
    redis::parse_redis_value(line.as_bytes()).map_err(|_| Bad("an error without a text"))
}

fn verbatim(bytes: &[u8]) -> Result<Value, Stop> {
    let whole = text(bytes)?;
    let (format, text) = whole.split_once(':').ok_or(Bad("a text without format"))?;
    Ok(Value::VerbatimString {
        format: match format {
            "txt" => VerbatimFormat::Text,
            "mkd" => VerbatimFormat::Markdown,
            other => VerbatimFormat::Unknown(other.to_owned()),
        },
        text: text.to_owned(),
    })
}

fn push(mut values: Vec<Value>) -> Result<Value, Stop> {
    let kind = match values.first() {
        Some(Value::BulkString(kind)) => text(kind)?,
        Some(Value::SimpleString(kind)) => kind.clone(),
        _ => return Err(Bad("a push without a kind")),
    };
    values.remove(0);
    let kind = match &*kind {
        "message" => PushKind::Message,
        "subscribe" => PushKind::Subscribe,
        "unsubscribe" => PushKind::Unsubscribe,
        _ => PushKind::Other(kind),
    };
    Ok(Value::Push { kind, data: values })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Value {
        let (value, length) = parse(text.as_bytes()).unwrap().expect("it is whole");
        assert_eq!(length, text.len(), "{text:?}");
        // Of no beginning of it is anything read.
        for end in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..end]), Ok(None), "{text:?}, {end}");
        }
        value
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn every_kind_of_answer() {
        assert_eq!(one(":-12\r\n"), Value::Int(-12));
        assert_eq!(one("$5\r\na\r\nb\n\r\n"), bulk("a\r\nb\n"));
        assert_eq!(one("$0\r\n\r\n"), bulk(""));
        for nil in ["$-1\r\n", "*-1\r\n", "_\r\n"] {
            assert_eq!(one(nil), Value::Nil);
        }
        assert_eq!(one("+OK\r\n"), Value::Okay);
        assert_eq!(one("+PONG\r\n"), Value::SimpleString("PONG".to_owned()));
        assert_eq!(one("#t\r\n"), Value::Boolean(true));
        assert_eq!(one(",1.5\r\n"), Value::Double(1.5));
        assert_eq!(one("(12\r\n"), Value::BigNumber(b"12".to_vec()));
        let array = Value::Array(vec![Value::Int(1), Value::Array(vec![bulk("a")])]);
        assert_eq!(one("*2\r\n:1\r\n*1\r\n$1\r\na\r\n"), array);
        assert_eq!(one("~1\r\n:1\r\n"), Value::Set(vec![Value::Int(1)]));
        let map = Value::Map(vec![(bulk("a"), Value::Int(1))]);
        assert_eq!(one("%1\r\n$1\r\na\r\n:1\r\n"), map);
        assert_eq!(one("|1\r\n$1\r\na\r\n:1\r\n:7\r\n"), Value::Int(7));
        let text = Value::VerbatimString {
            format: VerbatimFormat::Text,
            text: "a:b".to_owned(),
        };
        assert_eq!(one("=7\r\ntxt:a:b\r\n"), text);
        let push = Value::Push {
            kind: PushKind::Message,
            data: vec![bulk("c"), bulk("x")],
        };
        assert_eq!(one(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n"), push);
    }

    #[test]
    fn errors_keep_code_and_text() {
        for text in ["-NOSCRIPT No such\r\n", "!16\r\nNOSCRIPT No such\r\n"] {
            let error = one(text).extract_error().unwrap_err();
            assert_eq!(error.code(), Some("NOSCRIPT"));
            assert_eq!(error.detail(), Some("No such"));
        }
    }

    #[test]
    fn what_a_liar_announces_is_not_believed() {
        for text in [
            "$99999999999\r\n",
            "*99999999\r\n",
            "%9223372036854775807\r\n",
            "*1000\r\n*1000\r\n*1000000\r\n",
            "$-2\r\n",
            ":x\r\n",
            "$1\r\nabc",
            "HTTP/1.1 400\r\n",
            "220 mail.example\r\n",
            ">0\r\n",
            ":1\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
        let deep = "*1\r\n".repeat(100_000);
        assert!(parse(deep.as_bytes()).is_err());
        let deep = "|0\r\n".repeat(100_000);
        assert!(parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn an_answer_without_end_is_given_up() {
        let mut endless = vec![b'+'];
        endless.resize(LONGEST, b'x');
        assert!(parse(&endless).is_err());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(
            prop_oneof![
                prop::sample::select(b"*$:+-_#,(!=%|~>0123456789\r\n".to_vec()),
                any::<u8>(),
            ],
            0..200,
        )) {
            if let Ok(Some((_, length))) = parse(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
