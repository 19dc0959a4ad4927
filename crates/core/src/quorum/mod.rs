//! Fenced quorum: independent servers that vote, with a token and a memory.
//!
//! N servers (nodes) know nothing of each other; a lock is held by whoever has
//! its key on a quorum of them. That is Redlock as the Redis documentation
//! describes it ("Distributed Locks with Redis"), and the key is the one that its
//! clients write: `SET name nonce NX PX hold`, deleted only by its nonce. So
//! plain Redlock clients in any language exclude us and we exclude them.
//!
//! Martin Kleppmann ("How to do distributed locking", 2016) objected that a
//! holder which was paused does not notice the end of its lease, that Redlock has
//! no number by which a resource could refuse it, and that its safety hangs on
//! clocks and on no server forgetting. Salvatore Sanfilippo ("Is Redlock safe?",
//! 2016) answered that a random value can serve in place of a growing number, and
//! that a server which comes back should stay away for longer than any TTL. This
//! protocol takes the objections as the specification: a token that grows with no
//! assumption about clocks, and a node that must *rejoin* before it votes.
//!
//! # What is different
//!
//! | | Redlock | here |
//! |---|---|---|
//! | token | none | agreed by a quorum, in the same round trip as a rule |
//! | a node that forgot | votes at once, unless an operator delays its start | does not vote until it has rejoined, above all it may have granted |
//! | decision | after the last node or its timeout | at the quorum |
//! | extend | often "all or unlock" | a quorum of the configured nodes; missing it releases nothing |
//! | an extend without an answer | may have brought the end forward | never does |
//! | deadline | computed from a wall clock | from the holder's clock before the first byte, suspended time included |
//!
//! # The token (C1)
//!
//! Each node counts. A grant there gets a counter above the last of its name; names
//! share a fixed number of counters ([`counter_of`]), so that none has to be
//! forgotten. The
//! client ([`Acquire`]) takes a counter that q nodes have answered *exactly* as
//! its token. All nodes count alike as a rule, and one round trip is enough; else
//! it promotes the nodes that granted to the smallest counter q of them can have,
//! until q agree.
//!
//! *Why it is right.* Two grants share a node, and there one of them held the key
//! first, with its token on record while it held it. The other's acquire came
//! later and counted at least one more, and its token is no smaller than that. So
//! the tokens differ, and if the first was decided before the second was asked
//! for, the second is the greater. Keys may run out at any moment, messages be
//! lost, overtake each other or arrive twice: none of it enters the argument.
//! Clocks do not either. It needs one thing: that a node does not forget what it
//! counted.
//!
//! The counter need not be the greatest that was answered. A node with a greater
//! one is not part of the quorum, and the argument is about the quorum's nodes.
//!
//! # Forgetting
//!
//! A restart without data, a flush, a replica promoted without the last writes:
//! each makes a node forget. Every request carries the run id that its connection
//! read at its start, and a node votes only while its record names that run id.
//! [`Join`] brings it back, in five steps:
//!
//! 1. If the record names this run id, nothing is lost. If the node is declared
//!    durable and has a record, that is kept under the new run id.
//! 2. Else a *ticket* is written on the node: that it has forgotten, and since
//!    when that is known. It waits until every lease that it may have forgotten
//!    has run out (C3): by its uptime where a restart explains the loss, else by
//!    the age of the ticket. "Every lease" goes by the longest `max_ttl` that it
//!    or any of the nodes asked in step 3 knows.
//! 3. q *other* voting nodes tell the greatest counter they know. One of them is
//!    in the quorum of any grant that this node was part of. The floor is 2¹⁶
//!    above.
//! 4. q others remember the floor as well. Otherwise this node alone would
//!    know it, and forgetting once more it could hand out the same tokens.
//! 5. The floor is installed, if the ticket is still the same: the node may have
//!    been joined by another client and have forgotten again in the meantime.
//!
//! The 2¹⁶ is for grants under way: a node may answer, forget, and rejoin before
//! the other nodes of that grant have heard of it. The floor is above that answer
//! as long as no node's counters are 2¹⁶ ahead of what q others know. Step 4, and
//! proposals above whatever was seen, keep them together; a client that reaches a
//! single node only could drive that one ahead, at one counter per attempt.
//!
//! If more than N − q nodes are *known* to have forgotten, no quorum is left to
//! ask. Then a **new era** begins above whatever is still remembered, and above
//! the nodes' own clocks at 2²⁰ a second. This is the only use of a wall clock,
//! and it needs two things: that the clocks of the nodes differ by less than the
//! quarantine, and that counters grow by less than 2²⁰ a second, joins included.
//!
//! # Shared locks and permits
//!
//! They keep the lock's own key with one value for all, so that other clients stay
//! out, and their grants beside it. A permit is one of n slots, each held by a
//! quorum like a lock of its own. Counting to n on each node would let in too many:
//! with three nodes and two permits, three clients can each have two nodes.
//!
//! # The line
//!
//! A request may ask for a place in the line ([`Ask::line`]). Each node numbers the
//! places; a client whose places differ moves them to the smallest number that a
//! quorum of them can have, so that all nodes have the same order. A release hands
//! over on each node in the same step: the first in line has the lock there, with the
//! next counter, and is told so ([`Push`]). When q nodes have told it the same
//! counter, it has the lock ([`Handover`]).
//!
//! *Why that is right.* A handover is an acquire that the node carries out for the
//! waiter, so nothing changes for tokens. A node keeps what it hands over for as long
//! as it would have kept the place, and no longer than was asked for: at least `line`
//! or `hold`, whichever is less, from when the waiter last asked that node. The
//! waiter knows when that was by its own clock, before the first byte, and takes the
//! earliest of its quorum: a deadline as C2 wants it, though a short one. What it
//! gives up or gives back ([`Command::Yield`], [`Command::Release`]) it must not count
//! any more, whatever is still on its way to it.
//!
//! A waiter keeps what it has on a minority of nodes until the holder of the rest
//! hands that over, too. If several waiters share the nodes so that none has a
//! quorum, all but one step back: the one with the most nodes, or the smallest nonce,
//! stays. Permits are not handed over, since one waiter would be given different
//! permits on different nodes; the node calls the first waiters instead, by number.
//!
//! # What the driver does
//!
//! A machine says what to send ([`Step`]) and when to wake it; the driver
//! has the connections, the clock and the random bits.
//!
//! * One connection per node, pipelined; what one operation sends to one node
//!   goes over it in order. A connection is bound to one server process: read the
//!   run id first, pass it with every script, drop it when it breaks, and tell
//!   every operation under way on it [`Failure::Lost`].
//! * **A nonce per attempt.** The clean-up of a failed acquire may still be under
//!   way when the next begins; with the same nonce it would delete the new key.
//! * Read the clock for `now` before writing; drive an [`Acquire`] that came to
//!   nothing and a [`Release`] on until they are done, detached from the caller.
//! * A node whose [`Health`] says it is not usable is left out ([`Plan::skip`]).
//!   With [`AcquireReply::NotJoined`], or any `NOSCRIPT`, start a [`Join`] on that
//!   connection: scripts are loaded by joins alone. When the connection breaks,
//!   drop the join.
//! * Waiting: the waiters of one process queue among themselves, and only their
//!   first talks to the nodes. After `Queued` it waits to be told, at most for `free_in`;
//!   after a split vote for a short random time.
//! * Ask a quorum of the nodes first, in an order made from the name's counter: all
//!   clients then ask the same ones, which count alike. A lease that is extended
//!   takes the lock on the rest as well, so that it outlives the loss of a minority.
//! * The key's life is TTL plus grace, and that sum must be within `max_ttl`.
//!
//! # Traps that others fell into, and where each is avoided
//!
//! | trap | here |
//! |---|---|
//! | a quorum of the *reachable* nodes | [`Quorum`] is of the configured ones, everywhere |
//! | unsigned time arithmetic | [`Instant`](crate::Instant) saturates |
//! | an extend that misses the quorum unlocks | [`Extend`] sends no release |
//! | one node's error aborts a won lock and leaks its keys | an error is one node's [`Fate`]; failing releases wherever a key may be |
//! | minority keys stay through the retry pause | [`Acquire`] releases in the step that fails |
//! | a lock returned already expired | validity is judged last, in `Acquire::judge` and `Extend::judge` |
//! | wall clocks | [`Instant`](crate::Instant) for holders, [`StoreTime`](crate::StoreTime) for nodes, never compared |
//! | waiting for the slowest | every machine decides as soon as it can |
//! | a half-open connection is kept for ever | [`Health`] replaces it after a second |
//! | a timeout taken for "not set" | [`AcquireOutcome::Indeterminate`], and a release follows |
//! | a shorter extend shortens a lease whose holder heard nothing | `Node::extend` takes the later end |
//!
//! # Layout
//!
//! [`node`](Node): the node's side, the specification of the scripts. `acquire`,
//! `extend`, `release`, `join`: the client's machines. `proposal`, `health`: what a
//! client knows of tokens and nodes. `wire`, `memory`, `fate`, `nodes`: the words.
//! `mutation`: deliberate mistakes for the simulation, which is in `sim/machines`.

mod acquire;
#[cfg(test)]
mod acquire_tests;
mod counters;
mod extend;
mod fate;
mod handover;
mod health;
mod join;
#[cfg(test)]
mod join_tests;
mod memory;
mod mutation;
mod node;
mod nodes;
mod proposal;
mod release;
mod wire;

pub use acquire::{Acquire, AcquireOutcome, Plan};
pub use counters::{COUNTERS, counter_of};
pub use extend::{Extend, ExtendOutcome};
pub use fate::Fate;
pub use handover::{Handover, HandoverTerms};
pub use health::{Care, Health};
pub use join::{Join, JoinEvent, JoinPlan};
pub use memory::{Inspection, JoinCommand, JoinReply, Recalled, RunId};
#[cfg(feature = "mutations")]
pub use mutation::{Mutation, made, mutate};
pub use node::{Data, Node};
pub use nodes::{MAX_NODES, NodeId, NodeSet, Quorum};
pub use proposal::Proposals;
pub use release::{Release, ReleaseOutcome};
pub use wire::{
    AcquireReply, Ask, Command, Failure, Holder, NodeStatus, OwnerReply, PromoteReply, Push, Reply,
    Step,
};
