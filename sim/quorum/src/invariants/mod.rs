//! One file per promise.

pub mod exclusion;
pub mod ownership;
pub mod tokens;
