//! What cases are made of.
//!
//! * [`Lab`]: the store of one case, and threads in its runtime.
//! * [`Client`]: a client of it, whose futures are waited for, within bounds.
//! * [`Ask`]: acquire requests, as changes to an ordinary one.
//! * [`drive`]: futures polled by hand.

mod ask;
mod client;
pub(crate) mod drive;
mod lab;

pub(crate) use ask::{Ask, ask, nonce};
pub(crate) use client::{Client, Lease, sent};
pub(crate) use lab::Lab;
