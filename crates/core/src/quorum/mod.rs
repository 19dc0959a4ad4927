//! Fenced quorum.
#![allow(missing_docs)]
mod acquire;
mod extend;
mod fate;
mod health;
mod join;
mod memory;
mod mutation;
mod node;
mod nodes;
mod proposal;
mod release;
mod wire;

pub use acquire::{Acquire, AcquireOutcome, Plan};
pub use extend::{Extend, ExtendOutcome};
pub use fate::Fate;
pub use health::{Care, Health};
pub use join::{Join, JoinEvent, JoinPlan};
pub use memory::{Inspection, JoinCommand, JoinReply, Recalled, RunId};
#[cfg(feature = "mutations")]
pub use mutation::{Mutation, mutate};
pub use node::{DEFAULT_RETENTION, Data, Node, NodeStatus};
pub use nodes::{MAX_NODES, NodeId, NodeSet, Quorum};
pub use proposal::Proposals;
pub use release::{Release, ReleaseOutcome};
pub use wire::{AcquireReply, Command, Failure, OwnerReply, PromoteReply, Reply, Step};
