//! The URL that chooses an engine.

use std::time::Duration;

use crate::Error;

/// A URL taken apart: `scheme:body?key=value&key=value`.
///
/// Each engine reads its own body and takes the keys it knows; what is left over
/// is an error that lists the known keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineUrl {
    scheme: String,
    body: String,
    keys: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl EngineUrl {
    /// Takes a URL apart. Percent-escapes in keys and values are decoded; the body
    /// is left as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if there is no scheme, or a key is given twice or has
    /// no value.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let refuse = |remedy: &str| Err(Error::invalid("url", shown(url), remedy));
        let Some((scheme, rest)) = url.split_once(':').filter(|(scheme, _)| is_scheme(scheme))
        else {
            return refuse("begin with an engine, as in local:/var/lib/app/locks.db");
        };
        let (body, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut keys: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                return refuse(&format!("give the key {pair:?} a value, as in key=value"));
            };
            let (Some(key), Some(value)) = (decode(key), decode(value)) else {
                // Its value may be a password.
                return refuse(&format!("mend the percent-escape behind {key:?}"));
            };
            if keys.iter().any(|(known, _)| *known == key) {
                return refuse(&format!("give the key {key:?} only once"));
            }
            keys.push((key, value));
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            body: body.to_owned(),
            keys,
            known: Vec::new(),
        })
    }

    /// The part before the colon: the kind of engine.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The part between the colon and the question mark.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Takes the value of a key, and notes that the engine knows the key.
    pub fn take(&mut self, key: &'static str) -> Option<String> {
        self.known.push(key);
        let at = self.keys.iter().position(|(given, _)| given == key)?;
        Some(self.keys.remove(at).1)
    }

    /// Takes a key whose value is a duration with a unit.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the value is no duration.
    pub fn take_duration(&mut self, key: &'static str) -> Result<Option<Duration>, Error> {
        self.take(key)
            .map(|value| parse_duration(key, &value))
            .transpose()
    }

    /// Checks that every key was taken.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] that names the first unknown key and lists the known
    /// ones.
    pub fn finish(self) -> Result<(), Error> {
        let Some((key, _)) = self.keys.into_iter().next() else {
            return Ok(());
        };
        let scheme = self.scheme;
        let remedy = match &self.known[..] {
            [] => format!("{scheme}: URLs take no keys; remove it"),
            known => format!("{scheme}: URLs know {}", known.join(", ")),
        };
        Err(Error::invalid("url key", key, remedy))
    }
}

/// Reads a duration such as `90s`, `1m 30s` or `250ms`.
///
/// # Errors
///
/// [`Error::Invalid`], naming `setting`, if the text is no duration; a bare
/// number other than 0 is none, since its unit would be a guess.
pub fn parse_duration(setting: &str, text: &str) -> Result<Duration, Error> {
    humantime::parse_duration(text).map_err(|error| {
        let remedy = match text.trim().parse::<f64>() {
            Ok(_) => format!("give it a unit: {0}ms, {0}s, {0}m or {0}h", text.trim()),
            Err(_) => {
                format!("write a whole number with a unit, as in 250ms, 30s or 1m 30s ({error})")
            }
        };
        Error::invalid(setting, text, remedy)
    })
}

/// What an error shows of a URL, which may have a password in it: all but the login,
/// and of the keys nothing.
fn shown(url: &str) -> String {
    let (body, _) = url.split_once('?').unwrap_or((url, ""));
    match (body.split_once("//"), body.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, servers))) => format!("{scheme}//…@{servers}"),
        _ => body.to_owned(),
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest
            .get(..2)
            .filter(|d| d.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_comes_apart() {
        let mut url = EngineUrl::parse("local:/tmp/a.db?collect_after=1h&note=a%20b").unwrap();
        assert_eq!((url.scheme(), url.body()), ("local", "/tmp/a.db"));
        assert_eq!(
            url.take_duration("collect_after").unwrap(),
            Some(Duration::from_secs(3600))
        );
        assert_eq!(url.take("note").unwrap(), "a b");
        url.finish().unwrap();
    }

    #[test]
    fn unknown_keys_are_named_beside_the_known() {
        let mut url = EngineUrl::parse("local:?colect_after=1h").unwrap();
        assert_eq!(url.take("collect_after"), None);
        let said = url.finish().unwrap_err().to_string();
        assert!(
            said.contains("colect_after") && said.contains("know collect_after"),
            "{said}"
        );
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for bad in [
            "",
            "/tmp/x",
            ":x",
            "1a:x",
            "local:?a",
            "local:?a=1&a=2",
            "local:?a=%zz",
            "local:?a=%+1",
        ] {
            assert!(EngineUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_error_shows_a_password() {
        for url in [
            "redis://al:secret@r1?x",
            "redis://al:secret@r1?a=%zz",
            "redis://al:se@cret@r1?a=1&a=2",
            "redis+unix:/run/a.sock?password=secret%zz",
            "redis+unix:/run/a.sock?password=secret&password=secret",
            "1redis://al:secret@r1",
        ] {
            let error = EngineUrl::parse(url).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(!said.contains("cret"), "{said}");
        }
    }

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(
            parse_duration("ttl", "1m 30s").unwrap(),
            Duration::from_secs(90)
        );
        let said = parse_duration("ttl", "10").unwrap_err().to_string();
        assert!(said.contains("ttl") && said.contains("10s"), "{said}");
        assert!(
            parse_duration("ttl", "soon")
                .unwrap_err()
                .to_string()
                .contains("250ms")
        );
    }
}
