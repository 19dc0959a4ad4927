//! What `verify` asks, one file per question. The rule itself is a pure function with tests;
//! the `check` beside it gathers the facts.

pub(crate) mod banned;
pub(crate) mod budget;
pub(crate) mod house;
pub(crate) mod licences;
pub(crate) mod lockfile;
pub(crate) mod metadata;
pub(crate) mod rooms;
mod tree;
