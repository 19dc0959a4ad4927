//! Where the store is, and its settings.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use leasehold_core::{EngineUrl, Error};

use crate::reserve::BLOCK;

/// How long a lock stays idle before its name is collected, unless set.
const COLLECT_AFTER: Duration = Duration::from_secs(60 * 60);

/// Settings of a [`LocalEngine`](crate::LocalEngine).
///
/// Processes that share a store may have different settings.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    pub(crate) path: PathBuf,
    /// The folders above the file are ours to make.
    pub(crate) make_folders: bool,
    pub(crate) collect_after: Duration,
    pub(crate) boot_id: Option<String>,
    pub(crate) token_block: u64,
}

impl LocalOptions {
    /// The store in the file at `path`, which is created if need be; its folder
    /// must exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            make_folders: false,
            collect_after: COLLECT_AFTER,
            boot_id: None,
            token_block: BLOCK,
        }
    }

    /// The store of this user: `leasehold/locks.db` in `$XDG_STATE_HOME`, or in
    /// `$HOME/.local/state`. The folders are created if need be, for this user
    /// alone.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if neither variable holds an absolute path.
    pub fn for_this_user() -> Result<Self, Error> {
        let absolute = |name| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|p| p.is_absolute())
        };
        let state = absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        match state {
            Some(state) => Ok(Self {
                make_folders: true,
                ..Self::new(state.join("leasehold/locks.db"))
            }),
            None => Err(Error::invalid(
                "url",
                "local:",
                "neither XDG_STATE_HOME nor HOME is set to an absolute path; set one, or name the file, as in local:/var/lib/app/locks.db",
            )),
        }
    }

    /// The store that a URL names: `local:` for [this user's](Self::for_this_user),
    /// `local:/path/to/locks.db` or `local:locks.db` for a file. Knows the key
    /// `collect_after`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for another scheme, an unknown key or a bad value.
    pub fn from_url(mut url: EngineUrl) -> Result<Self, Error> {
        if url.scheme() != "local" {
            return Err(Error::invalid(
                "url",
                format!("{}:", url.scheme()),
                "this is the local engine; begin with local:, as in local:/var/lib/app/locks.db",
            ));
        }
        let mut options = match url.body() {
            "" => Self::for_this_user()?,
            path => Self::new(path),
        };
        if let Some(after) = url.take_duration("collect_after")? {
            options = options.collect_after(after);
        }
        url.finish()?;
        Ok(options)
    }

    /// How long a lock must have been idle before its name is forgotten; one hour
    /// unless set. Its tokens go on growing all the same.
    #[must_use]
    pub const fn collect_after(mut self, idle: Duration) -> Self {
        self.collect_after = idle;
        self
    }

    /// Stands in for the machine's boot id, so that a test can restart the machine
    /// without doing so.
    #[doc(hidden)]
    #[must_use]
    pub fn boot_id(mut self, id: impl Into<String>) -> Self {
        self.boot_id = Some(id.into());
        self
    }

    /// How many tokens are reserved at once, so that a test need not use up a
    /// million.
    #[doc(hidden)]
    #[must_use]
    pub const fn token_block(mut self, tokens: u64) -> Self {
        self.token_block = tokens;
        self
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(url: &str) -> Result<LocalOptions, Error> {
        LocalOptions::from_url(EngineUrl::parse(url).unwrap())
    }

    #[test]
    fn a_url_names_file_and_settings() {
        let options = from("local:/var/lib/x.db?collect_after=5m").unwrap();
        assert_eq!(options.path(), std::path::Path::new("/var/lib/x.db"));
        assert_eq!(options.collect_after, Duration::from_secs(300));
        assert!(!options.make_folders);
        assert_eq!(
            from("local:x.db").unwrap().path(),
            std::path::Path::new("x.db")
        );
    }

    #[test]
    fn unknown_keys_and_schemes_are_named() {
        let said = from("local:/x?colect=1h").unwrap_err().to_string();
        assert!(
            said.contains("colect") && said.contains("collect_after"),
            "{said}"
        );
        let said = from("redis:/x").unwrap_err().to_string();
        assert!(said.contains("redis:"), "{said}");
    }
}
