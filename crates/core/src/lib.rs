//! The heart of Leasehold: its words, its promises and its protocols.
//!
//! A lock held across processes is a **lease**: it can end while its holder still
//! believes in it. So each lease carries a [`Deadline`] that the holder can trust
//! without asking anybody, and a fencing [`Token`] that grows with every grant
//! and is never reused, on whichever store keeps the state.
//!
//! This crate has no clock, no socket and no runtime. Time comes in as values,
//! requests and answers are plain data, and the protocols are state machines that
//! can be tested and model-checked as shipped.
//!
//! # Layout
//!
//! * The words: [`LockName`], [`Nonce`], [`Owner`], [`Mode`], [`Token`], [`Ttl`],
//!   and in [`time`](crate::StoreTime) the two clocks that never meet.
//! * [`Error`]: what can go wrong, and what each failure leaves behind.
//! * [`Engine`]: what every kind of store fulfils, with its requests and answers.
//! * [`record`]: the protocol of every store that can compare and swap.
//! * [`quorum`]: the protocol of independent servers that vote.
//! * [`LockStatus`], [`changes`] and [`Finding`]: what people and programs see.
//! * [`EngineUrl`]: the URL that chooses an engine.
//! * [`WakeBoard`]: wake-up hints that wait for their readers.
//!
//! # The contract
//!
//! Code and docs refer to these promises by number.
//!
//! | | |
//! |---|---|
//! | C1 token | every exclusive grant's token is greater than every earlier grant's |
//! | C2 deadline | read off the holder's own clock before sending, plus TTL, less the margin |
//! | C3 exclusion | no two leases of an exclusive lock are valid at once |
//! | C4 ownership | extend and release go by the grant's random nonce |
//! | C5 outcomes | applied, not applied, or indeterminate; a clean-up follows a failure |
//! | C6 liveness | a crashed holder's lock is free at TTL + grace at the latest |
//! | C7 cancellation | dropping any future leaves nothing held |

#![forbid(unsafe_code)]

mod change;
mod engine;
mod error;
mod finding;
mod mode;
mod name;
mod nonce;
mod owner;
pub mod quorum;
pub mod record;
mod session;
mod status;
mod time;
mod token;
mod url;
mod wakeboard;

pub use change::{Change, changes};
pub use engine::{
    AcquireRequest, Acquired, BoxFuture, BreakRequest, Broken, Capabilities, Engine, ExtendRequest,
    Extended, Granted, Lifetime, Queued, Released, Wakeup,
};
pub use error::{Effect, Error, HeldBy, Loss, Operation};
pub use finding::{Finding, Promise, Severity};
pub use mode::Mode;
pub use name::{LockName, MAX_NAME_BYTES};
pub use nonce::Nonce;
pub use owner::{MAX_OWNER_BYTES, Owner};
pub use session::SessionId;
pub use status::{BreakStatus, HolderStatus, LockStatus, WaiterStatus};
pub use time::{Deadline, Instant, StoreTime, Ttl};
pub use token::Token;
pub use url::{EngineUrl, parse_duration};
pub use wakeboard::{Hinted, WakeBoard};
