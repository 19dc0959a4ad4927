//! Drives lock clients in several processes, records what they saw on one clock,
//! checks it against the promises C1 to C7, and draws it.
//!
//! # Layout
//!
//! * [`protocol`]: what the parent and its workers say to each other. [`worker`]:
//!   our own client as a worker.
//! * [`Plan`]: what is run, and what each client does next.
//! * [`run()`]: runs it. `register`: the resource that the locks protect.
//! * [`clock`]: the one clock of a history. [`history`]: what happened.
//! * [`mod@check`]: which promises it breaks. [`report`]: what people read.

#![forbid(unsafe_code)]

pub mod check;
pub mod clock;
mod failure;
pub mod history;
mod plan;
pub mod protocol;
mod register;
pub mod report;
mod run;
pub mod worker;

pub use check::check;
pub use failure::Failure;
pub use plan::Plan;
pub use run::{Monitor, Ongoing, Progress, WorkerCommand, run};
