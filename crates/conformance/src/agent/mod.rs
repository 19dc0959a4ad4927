//! The suite's other processes.
//!
//! A case starts the test's own program again, with the store's address in the
//! environment. That process, the agent, opens the store and then does as it is
//! told, line by line, until its standard input ends.

mod controller;
mod worker;

pub(crate) use controller::Agent;
pub(crate) use worker::{address_given, serve};

/// Holds the store's address in an agent's environment.
const ADDRESS: &str = "LEASEHOLD_CONFORMANCE_ADDRESS";
