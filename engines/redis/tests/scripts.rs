//! The Lua scripts on a real server, against core's model of a node.

#[path = "scripts/differential.rs"]
mod differential;
#[path = "scripts/examples.rs"]
mod examples;
#[path = "scripts/garbage.rs"]
mod garbage;
#[path = "scripts/near.rs"]
mod near;
#[path = "scripts/remote.rs"]
mod remote;
#[allow(dead_code, unused_imports, unreachable_pub)] // the engine uses all of it
#[path = "../src/scripts/mod.rs"]
mod scripts;
mod support;
#[path = "scripts/together.rs"]
mod together;
