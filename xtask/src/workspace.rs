//! The workspaces of this repository: the root, and those that stand apart because their
//! dependencies (simulators, peers) must not weigh on the root build.

use std::path::{Path, PathBuf};

/// Workspaces with a `Cargo.toml` and `Cargo.lock` of their own, each checked once it exists.
const FURTHER: &[&str] = &["sim", "bench", "fuzz", "peers/rslock"];

/// The name of the root workspace.
pub(crate) const ROOT: &str = "root";

/// One cargo workspace of the repository.
pub(crate) struct Workspace {
    /// [`ROOT`], or the name of its folder.
    pub(crate) name: &'static str,
    /// The folder of its `Cargo.toml`.
    pub(crate) dir: PathBuf,
}

/// The folder of the repository.
pub(crate) fn root_dir() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The root workspace.
pub(crate) fn root() -> Workspace {
    Workspace {
        name: ROOT,
        dir: root_dir().to_path_buf(),
    }
}

/// The root and every further workspace that exists.
pub(crate) fn all() -> Vec<Workspace> {
    let mut found = vec![root()];
    for name in FURTHER {
        let dir = root_dir().join(name);
        if dir.join("Cargo.toml").is_file() {
            found.push(Workspace { name, dir });
        }
    }
    found
}
