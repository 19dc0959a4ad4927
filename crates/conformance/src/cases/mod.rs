//! The cases, one file for each promise.

mod breaking;
mod cancel;
mod capabilities;
mod exclusion;
mod inspect;
mod line;
mod liveness;
mod outcomes;
mod ownership;
mod permits;
mod processes;
mod shared;
mod tokens;
mod watch;

use leasehold_core::Wakeup;

use crate::kit::Lab;

/// A case, as its file defines it.
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) promise: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) run: fn(&Lab),
}

/// What an engine or its fixture must be able to do for a case to apply.
pub(crate) struct Need {
    pub(crate) what: &'static str,
    pub(crate) met: fn(&Lab) -> bool,
}

macro_rules! needs {
    ($($name:ident, $what:literal, $met:expr;)*) => {
        $(const $name: Need = Need { what: $what, met: $met };)*
    };
}

needs! {
    SHARED, "shared locks", |lab| lab.can.shared;
    PERMITS, "permits", |lab| lab.can.permits;
    ORDERED, "waiters served in order", |lab| lab.can.ordered;
    PUSHED, "wake-ups pushed by the store", |lab| lab.can.wakeup == Wakeup::Pushed;
    LIST, "listing by prefix", |lab| lab.can.list;
    BREAK, "breaking by hand", |lab| lab.can.break_lock;
    WATCH, "watching", |lab| lab.can.watch;
    REOPEN, "a fixture that can reopen its store", |lab| lab.store().extras().reopen;
    COLLECT, "a fixture that can collect idle names", |lab| lab.store().extras().collect_idle;
    PROCESSES, "a store that several processes can open", |lab| lab.store().address().is_some();
}

/// Defines the cases of a file: a function and what it needs, per line. The name
/// is that of the file and the function.
macro_rules! cases {
    ($file:literal, $promise:literal: $($run:ident [$($need:ident),*],)*) => {
        pub(super) const CASES: &[super::Definition] = &[
            $(super::Definition {
                name: concat!($file, "::", stringify!($run)),
                promise: $promise,
                needs: &[$(super::$need),*],
                run: $run,
            },)*
        ];
    };
}
use cases;

/// All cases, by file.
pub(crate) fn all() -> impl Iterator<Item = &'static Definition> {
    [
        capabilities::CASES,
        tokens::CASES,
        exclusion::CASES,
        shared::CASES,
        permits::CASES,
        ownership::CASES,
        outcomes::CASES,
        liveness::CASES,
        cancel::CASES,
        line::CASES,
        breaking::CASES,
        inspect::CASES,
        watch::CASES,
        processes::CASES,
    ]
    .into_iter()
    .flatten()
}
