//! What can happen, and how it is drawn at random.

use std::time::Duration;

use leasehold_core::Mode;
use proptest::prelude::*;
use proptest::sample::select;

/// How many clients there are.
pub(crate) const CLIENTS: usize = 4;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// A client asks for the lock; again, if it is asking for it or holds it.
    Ask(usize, Wish, Fate),
    /// A client extends what it holds or asks for.
    Extend(usize, Duration, Fate),
    /// A client gives back what it holds or asks for.
    Release(usize, Fate),
    /// A client's process dies, and another takes its number.
    Die(usize),
    /// Time passes.
    Pass(Span),
    /// One of the late requests arrives; it may arrive again if it is kept.
    Arrive { which: usize, keep: bool },
    /// The lock is broken by hand.
    Break,
    /// The store collects the record if it is idle.
    Collect,
    /// The store raises its floor by this much.
    RaiseFloor(u64),
    /// The store's clock starts anew.
    RestartClock,
}

/// What a client wants.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) mode: Mode,
    pub(crate) ttl: Duration,
    pub(crate) grace: Duration,
    pub(crate) queue: Option<Duration>,
    pub(crate) detached: bool,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Carried out and answered.
    Answered,
    /// Carried out; the client does not hear of it.
    AnswerLost,
    /// On its way until it arrives, which may be never.
    Late,
}

/// How much time passes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Span {
    /// This long.
    For(Duration),
    /// Until something in the record ends, to the microsecond.
    ToExpiry,
    /// Until just after something in the record ends.
    PastExpiry,
    /// Until just before a client's deadline.
    ToDeadline(usize),
}

/// A history of up to 24 commands about locks of these modes.
pub(crate) fn history(modes: &'static [Mode]) -> impl Strategy<Value = Vec<Command>> {
    prop::collection::vec(command(modes), 4..24)
}

fn command(modes: &'static [Mode]) -> impl Strategy<Value = Command> {
    prop_oneof![
        10 => (0..CLIENTS, wish(modes), fate()).prop_map(|(c, w, f)| Command::Ask(c, w, f)),
        3 => (0..CLIENTS, ttl(), fate()).prop_map(|(c, t, f)| Command::Extend(c, t, f)),
        4 => (0..CLIENTS, fate()).prop_map(|(c, f)| Command::Release(c, f)),
        1 => (0..CLIENTS).prop_map(Command::Die),
        6 => span().prop_map(Command::Pass),
        2 => (0..4_usize, any::<bool>()).prop_map(|(which, keep)| Command::Arrive { which, keep }),
        1 => select(&[Command::Break, Command::RestartClock, Command::RaiseFloor(5)][..]),
        1 => Just(Command::Collect),
    ]
}

fn wish(modes: &'static [Mode]) -> impl Strategy<Value = Wish> {
    let interval = select(&[None, Some(200), Some(1_000), Some(1_000)][..]);
    (select(modes), ttl(), any::<bool>(), interval, 0..4_u8).prop_map(
        |(mode, ttl, grace, interval, detached)| Wish {
            mode,
            ttl,
            grace: Duration::from_millis(if grace { 500 } else { 0 }),
            queue: interval.map(Duration::from_millis),
            detached: detached == 0,
        },
    )
}

fn ttl() -> impl Strategy<Value = Duration> {
    select(&[100, 1_000, 1_000, 3_000][..]).prop_map(Duration::from_millis)
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Answered),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::Late),
    ]
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![
        3 => select(&[1, 50, 100, 300, 700, 1_000, 1_500, 3_500][..])
            .prop_map(|ms| Span::For(Duration::from_millis(ms))),
        1 => Just(Span::ToExpiry),
        2 => Just(Span::PastExpiry),
        2 => (0..CLIENTS).prop_map(Span::ToDeadline),
    ]
}
