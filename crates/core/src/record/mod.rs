//! Record lease: one algorithm for every store that can compare and swap.
//!
//! All that a lock is stands in one [`Record`]: the last token, the floor, the
//! grants, and the waiters in order. A store reads it, lets one of the methods
//! below change it, and writes it back if nobody else did in between. The
//! methods are pure: the store's time, its floor and its knowledge of dead
//! sessions come in with a [`View`]; the answer, and whom to wake, go out with a
//! [`Step`].
//!
//! # The rules
//!
//! * **Tokens (C1).** Every grant, of any mode, takes the next token: one more
//!   than the last, at least the record's floor, at least the store's floor. A
//!   record is not deleted with its last grant; an idle one is collected only by
//!   folding its token into the store's floor.
//! * **Expiry.** A grant is over when its age by the store's clock exceeds TTL +
//!   grace, or its session is dead. The holder stopped believing in it after TTL
//!   less the margin, measured from before it sent the request, so always first.
//! * **The line (C6).** Requests that do not fit wait in order of arrival, and
//!   nobody passes them: a request is granted at once only if the line is empty.
//!   Whoever frees the lock hands it over in the same write to the first live
//!   waiters that fit, so a shared request behind an exclusive one waits.
//! * **Handover and claim.** A lock handed over is reserved, not yet held: its
//!   holder-to-be learns of it by repeating its request, and its lease counts from
//!   that request. A reservation that nobody claims passes on; that is safe,
//!   because nobody was told.
//! * **Falling out.** A waiter repeats its request at the interval it promised;
//!   after three missed intervals, or when its session dies, it is out.
//! * **Ownership (C4).** Extend and release go by the nonce. Extend works on a
//!   claimed grant within its TTL and on nothing else; within the grace a grant
//!   can only be released, or claimed again by its own acquire. Neither an extend
//!   nor a repeated acquire brings a grant's end forward, since its holder may rely
//!   on an earlier, longer answer.
//!
//! The idea of a permanent record that is swapped whole is that of lease files on
//! object stores; the line and the reservation make it fair.

mod codec;
mod driver;
mod machine;
#[cfg(test)]
mod machine_tests;
mod register;
mod state;
mod status;

pub use driver::RegisterEngine;
pub use machine::{Hint, Step, View};
pub use register::{Listing, Reading, Register, Swap};
pub use state::{Break, Grant, Record, Waiter};
