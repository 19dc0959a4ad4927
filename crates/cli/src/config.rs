//! Which engine to use: `--url`, else `LEASEHOLD_URL`, else the config file, else
//! the local default.

use std::env::VarError;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::{Failure, code};

/// What a config file may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: Option<String>,
}

/// An engine's URL and who named it.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) url: String,
    pub(crate) source: Source,
}

/// Where the URL came from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Environment,
    File(PathBuf),
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("--url"),
            Self::Environment => f.write_str("LEASEHOLD_URL"),
            Self::File(path) => write!(f, "url in {}", path.display()),
            Self::Default => f.write_str("the default url"),
        }
    }
}

/// Chooses the engine.
pub(crate) fn choose(flag: Option<&str>, file: Option<&Path>) -> Result<Chosen, Failure> {
    let chosen = |url: String, source| Chosen {
        url: absolute(url),
        source,
    };
    // A file named by hand is read even if a flag overrides it: a mistake in it
    // should not wait for the day the flag is left out.
    let config = match file {
        Some(path) => Some((read(path)?, path.to_owned())),
        None => None,
    };
    if let Some(url) = flag {
        return Ok(chosen(url.to_owned(), Source::Flag));
    }
    match std::env::var("LEASEHOLD_URL") {
        // Taking an empty variable for an unset one would quietly lock somewhere
        // else than was meant.
        Ok(url) if url.is_empty() => {
            return Err(Failure::usage(
                "LEASEHOLD_URL is empty: set it to an engine's URL such as local:, or unset it",
            ));
        }
        Ok(url) => return Ok(chosen(url, Source::Environment)),
        Err(VarError::NotPresent) => {}
        Err(VarError::NotUnicode(_)) => {
            return Err(Failure::usage(
                "LEASEHOLD_URL is not UTF-8: set it to an engine's URL such as local:",
            ));
        }
    }
    let config = match config {
        Some(given) => Some(given),
        None => match default_path().filter(|path| path.exists()) {
            Some(path) => Some((read(&path)?, path)),
            None => None,
        },
    };
    Ok(match config {
        Some((Config { url: Some(url) }, path)) => chosen(url, Source::File(path)),
        _ => chosen("local:".to_owned(), Source::Default),
    })
}

fn default_path() -> Option<PathBuf> {
    let set = |key| std::env::var_os(key).filter(|value| !value.is_empty());
    let base = match set("XDG_CONFIG_HOME") {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(set("HOME")?).join(".config"),
    };
    Some(base.join("leasehold").join("config.toml"))
}

fn read(path: &Path) -> Result<Config, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(
            code::USAGE,
            "invalid",
            format!(
                "config file {} cannot be read: {error}; mend it, or name another with --config",
                path.display()
            ),
        )
    })?;
    toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        Failure::usage(format!(
            "config file {} line {line}: {}; the known keys are: url (a text)",
            path.display(),
            error.message().replace('`', "'").trim(),
        ))
    })
}

/// The URL with a relative path of a local database made absolute, since it is
/// handed on to a command that may run in another directory.
fn absolute(url: String) -> String {
    let Some(rest) = url.strip_prefix("local:") else {
        return url;
    };
    let (path, keys) = rest
        .split_once('?')
        .map_or((rest, None), |(p, k)| (p, Some(k)));
    if path.is_empty() {
        return url;
    }
    match std::path::absolute(path).map(PathBuf::into_os_string) {
        Ok(path) => match (path.into_string(), keys) {
            (Ok(path), Some(keys)) => format!("local:{path}?{keys}"),
            (Ok(path), None) => format!("local:{path}"),
            (Err(_), _) => url,
        },
        Err(_) => url,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_database_becomes_absolute() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(
            absolute("local:a.db?x=1".into()),
            format!("local:{}/a.db?x=1", here.display())
        );
        for as_it_is in ["local:", "local:/a.db", "redis://a/b", "local:?x=1"] {
            assert_eq!(absolute(as_it_is.into()), as_it_is);
        }
    }

    #[test]
    fn a_config_file_with_an_unknown_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "url = \"local:\"\nttl = \"3s\"\n").unwrap();
        let said = read(&path).unwrap_err().message;
        for part in ["c.toml", "line 2", "ttl", "known keys", "url"] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn a_flag_goes_before_the_file_but_the_file_must_be_sound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "url = \"local:/from/file.db\"").unwrap();
        let chosen = choose(Some("local:/flag.db"), Some(&path)).unwrap();
        assert_eq!(
            (&*chosen.url, chosen.source),
            ("local:/flag.db", Source::Flag)
        );
        std::fs::write(&path, "url = 3").unwrap();
        assert!(choose(Some("local:/flag.db"), Some(&path)).is_err());
    }
}
