//! Feeds Leasehold with what nobody should ever send it, and checks that the answer
//! is an error: no panic, no hang, no memory without bound, no token forgotten, and
//! no lease that nobody granted.
//!
//! Runs on stable Rust. It knows nothing of the branches a case takes; instead a
//! case that leads to an answer not seen before is kept, and changed further. What
//! fails is made as small as it goes and written to a file.
//!
//! # Layout
//!
//! * [`target`]: what is fed, and what must hold. `targets/`: one file each.
//! * `liar/`: a Redis server that lies: a proxy before a real one.
//! * [`mutate`]: from known inputs to new ones. [`minimise`]: to the smallest.
//! * [`corpus`]: the inputs kept in the repository, as text.
//! * [`run`]: runs a target for a while. [`watch`]: panics, hangs and memory.

pub mod corpus;
mod liar;
pub mod minimise;
pub mod mutate;
pub mod run;
pub mod target;
mod targets;
pub mod watch;
