//! How a run fails before there is anything to judge.

use std::io;

/// A run could not be carried out. Nothing is said about the locks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A setting is not acceptable. Nothing was started.
    #[error("{setting} {value:?} is not valid: {remedy}")]
    Invalid {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What to give instead.
        remedy: String,
    },
    /// A worker could not be started, or could not reach the engine.
    #[error("no worker is ready: {0}")]
    Worker(String),
    /// The history cannot be written.
    #[error("cannot write the history: {0}")]
    Io(#[from] io::Error),
}

impl Failure {
    pub(crate) fn invalid(
        setting: &'static str,
        value: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Invalid {
            setting,
            value: value.into(),
            remedy: remedy.into(),
        }
    }
}
