//! What the manifests declare, as `cargo metadata` tells it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;
use crate::workspace::Workspace;

/// The members of a workspace and where it builds.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Member>,
    pub(crate) target_directory: PathBuf,
}

/// A package of the workspace.
#[derive(Deserialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency as declared, optional and target-specific ones included.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Nothing for a normal dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

impl Metadata {
    /// Asks cargo about the manifests alone: this resolves and downloads nothing.
    ///
    /// # Errors
    ///
    /// When a manifest is invalid.
    pub(crate) fn read(workspace: &Workspace) -> Result<Self> {
        let args = "metadata --no-deps --locked --format-version 1";
        let json = process::read(process::cargo(workspace).args(args.split(' ')))?;
        serde_json::from_str(&json).context("cannot understand what `cargo metadata` wrote")
    }
}
