//! Equal but for lengths of time.

use std::time::Duration;

use leasehold_core::quorum::{AcquireReply, Inspection, JoinReply, NodeStatus, Recalled};

/// Equal but for lengths of time.
pub(crate) trait Near: std::fmt::Debug {
    fn near(&self, other: &Self, slack: Duration) -> bool;
}

impl Near for Duration {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        self.abs_diff(*other) <= slack
    }
}

impl<T: Near> Near for Option<T> {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        match (self, other) {
            (Some(one), Some(other)) => one.near(other, slack),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Near for AcquireReply {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        // The answer but for its length, and that.
        let split = |reply: &Self| match *reply {
            Self::Busy { free_in, holder } => {
                let rest = Self::Busy {
                    free_in: Duration::ZERO,
                    holder,
                };
                (rest, free_in)
            }
            Self::Queued {
                place,
                ahead,
                free_in,
                holder,
            } => {
                let rest = Self::Queued {
                    place,
                    ahead,
                    free_in: Duration::ZERO,
                    holder,
                };
                (rest, free_in)
            }
            other => (other, Duration::ZERO),
        };
        let (one, other) = (split(self), split(other));
        one.0 == other.0 && one.1.near(&other.1, slack)
    }
}

impl Near for NodeStatus {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        let pairs = self.held.iter().zip(&other.held);
        self.held.len() == other.held.len()
            && pairs
                .into_iter()
                .all(|(one, other)| one.0 == other.0 && one.1.near(&other.1, slack))
            && (&self.waiting, self.counter) == (&other.waiting, other.counter)
    }
}

impl Near for Inspection {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        // Servers tell their uptime in whole seconds, of two rounded clocks.
        let uptime = self
            .uptime
            .near(&other.uptime, slack + Duration::from_secs(2));
        let clock = Duration::from_micros(self.unix_micros.abs_diff(other.unix_micros));
        let untimed = |said: &Self| Self {
            uptime: Duration::ZERO,
            unix_micros: 0,
            ..*said
        };
        uptime && clock <= slack && untimed(self) == untimed(other)
    }
}

impl Near for Recalled {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        let clock = Duration::from_micros(self.unix_micros.abs_diff(other.unix_micros));
        self.joined_for.near(&other.joined_for, slack)
            && clock <= slack
            && (self.mark, self.max_ttl) == (other.mark, other.max_ttl)
    }
}

impl Near for JoinReply {
    fn near(&self, other: &Self, slack: Duration) -> bool {
        match (self, other) {
            (Self::Inspected(one), Self::Inspected(other)) => one.near(other, slack),
            (Self::Recalled(one), Self::Recalled(other)) => one.near(other, slack),
            (
                Self::Noticed {
                    ticket: real,
                    ago: one,
                    inspection: said,
                },
                Self::Noticed {
                    ticket: model,
                    ago: other,
                    inspection: meant,
                },
            ) => real == model && one.near(other, slack) && said.near(meant, slack),
            (one, other) => one == other,
        }
    }
}
