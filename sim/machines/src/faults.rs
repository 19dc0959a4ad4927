//! What went wrong, counted, so that one sees that it did.

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident $text:literal,)*) => {
        /// Something that goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// For people.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

faults! {
    /// A message takes much longer than usual.
    Delay "message delayed",
    /// A message overtakes an older one.
    Reorder "message overtakes another",
    /// A message does not arrive.
    Loss "message lost",
    /// A message arrives twice.
    Duplicate "message doubled",
    /// A connection breaks, with a notice to its client.
    Cut "connection broken",
    /// A connection swallows everything for a while.
    HalfOpen "connection half open",
    /// A node restarts with all its data.
    CrashKept "node crashed, data kept",
    /// A node restarts with none.
    CrashEmpty "node crashed, data lost",
    /// A node restarts with, or is replaced by one that has, older data.
    Stale "failed over to stale data",
    /// A node forgets everything while it runs.
    Flush "node flushed",
    /// A node does nothing for a while.
    Freeze "node frozen",
    /// A key or a place in the line runs out at any moment.
    Expiry "key or place ran out",
    /// A client does nothing for a while.
    Pause "client paused",
    /// A client does nothing between looking at its lease and using it.
    PauseBeforeUse "client paused before use",
    /// A client's process ends.
    Death "client died",
    /// A caller goes away in the middle.
    Cancel "request cancelled",
    /// A clock runs at a rate beyond the margin.
    Rate "clock rate beyond the margin",
    /// A clock jumps.
    Step "clock stepped",
    /// A swap loses to another one.
    Conflict "swap conflicted",
    /// A swap whose outcome its client does not learn.
    Unknown "swap of unknown outcome",
    /// The store cannot be reached.
    Refused "store refused",
}

/// How often each happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults([u64; Fault::ALL.len()]);

impl Faults {
    /// It happened.
    pub fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// It happened so often.
    pub fn count_many(&mut self, fault: Fault, times: usize) {
        self.0[fault as usize] += times as u64;
    }

    /// How often.
    #[must_use]
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }
}
