//! Whether a node is worth waiting for.

use std::time::Duration;

use crate::Instant;

/// The shortest time after which an answer can be called late: below it lies
/// what any scheduler or collector may take.
const LEAST_PATIENCE: Duration = Duration::from_millis(10);
/// How often a node that is not answering is asked for a sign of life.
const PROBE_EVERY: Duration = Duration::from_millis(250);
/// How long a connection stays mute before it is replaced.
const MUTE_FOR: Duration = Duration::from_secs(1);
/// The first and the longest pause between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What the driver should do about a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// Nothing.
    None,
    /// Send it a `PING`, counted as sent like any command.
    Probe,
    /// Give the connection up, if there is one, and make another.
    ///
    /// A connection that times out is not "recoverable": one that is half open
    /// stays mute for ever.
    Connect,
}

/// Whether one node is worth waiting for: a circuit breaker that opens when an
/// answer is late by the node's own standard, and closes with the first answer.
///
/// While it is open, operations do not count on the node. Nothing is ever waited
/// for on its behalf: a probe goes out every 250 ms, a mute connection is
/// replaced after a second, and attempts to connect are at most a second apart,
/// so that a node is back in use within 2 s of its return.
#[derive(Clone, Debug)]
pub struct Health {
    link: Link,
    /// The longest that any answer is waited for.
    timeout: Duration,
    /// Smoothed round trip and its deviation.
    typical: Duration,
    spread: Duration,
    late: bool,
}

#[derive(Clone, Copy, Debug)]
enum Link {
    /// Not connected; the next attempt is due.
    Down { retry_at: Instant, pause: Duration },
    /// Being connected, since.
    Connecting { since: Instant, pause: Duration },
    Up {
        /// How many commands have no answer yet.
        unanswered: u32,
        /// Since when the oldest of them, at the earliest, has none: answers come
        /// in order, so each answer shows that the node is alive.
        mute_since: Instant,
        probed_at: Instant,
    },
}

impl Health {
    /// A node not connected yet. No answer is waited for longer than `timeout`.
    #[must_use]
    pub fn new(timeout: Duration, now: Instant) -> Self {
        Self {
            link: Link::Down {
                retry_at: now,
                pause: FIRST_PAUSE,
            },
            timeout: timeout.max(LEAST_PATIENCE),
            typical: Duration::ZERO,
            spread: Duration::ZERO,
            late: false,
        }
    }

    /// A connection stands, and the node has joined or may.
    pub fn on_connected(&mut self, now: Instant) {
        self.late = false;
        self.link = Link::Up {
            unanswered: 0,
            mute_since: now,
            probed_at: now,
        };
    }

    /// The connection broke, or could not be made.
    pub fn on_disconnected(&mut self, now: Instant) {
        let pause = match self.link {
            Link::Connecting { pause, .. } => (pause * 2).min(LONGEST_PAUSE),
            Link::Down { pause, .. } => pause,
            Link::Up { .. } => FIRST_PAUSE,
        };
        self.link = Link::Down {
            retry_at: now.saturating_add(pause),
            pause,
        };
    }

    /// A command was sent.
    pub fn on_sent(&mut self, now: Instant) {
        if let Link::Up {
            unanswered,
            mute_since,
            ..
        } = &mut self.link
        {
            if *unanswered == 0 {
                *mute_since = now;
            }
            *unanswered = unanswered.saturating_add(1);
        }
    }

    /// A command that was sent at `sent` was answered, be it with an error.
    pub fn on_answer(&mut self, sent: Instant, now: Instant) {
        if let Link::Up {
            unanswered,
            mute_since,
            ..
        } = &mut self.link
        {
            *unanswered = unanswered.saturating_sub(1);
            *mute_since = now;
            let late = std::mem::take(&mut self.late);
            // The answer that ends a freeze says nothing about a usual one.
            if !late {
                self.learn(now.saturating_since(sent));
            }
        }
    }

    /// What to do now. Call it when [`wake_at`](Self::wake_at) has come, and
    /// before counting on the node.
    pub fn on_tick(&mut self, now: Instant) -> Care {
        let patience = self.patience();
        match &mut self.link {
            Link::Down { retry_at, pause } if *retry_at <= now => {
                self.link = Link::Connecting {
                    since: now,
                    pause: *pause,
                };
                Care::Connect
            }
            Link::Connecting { since, pause } if now.saturating_since(*since) >= MUTE_FOR => {
                self.link = Link::Connecting {
                    since: now,
                    pause: *pause,
                };
                Care::Connect
            }
            Link::Up {
                unanswered: 1..,
                mute_since,
                probed_at,
            } => {
                let mute = now.saturating_since(*mute_since);
                self.late |= mute >= patience;
                if mute >= MUTE_FOR.max(patience) {
                    self.link = Link::Connecting {
                        since: now,
                        pause: FIRST_PAUSE,
                    };
                    Care::Connect
                } else if self.late && now.saturating_since(*probed_at) >= PROBE_EVERY {
                    *probed_at = now;
                    Care::Probe
                } else {
                    Care::None
                }
            }
            _ => Care::None,
        }
    }

    /// When [`on_tick`](Self::on_tick) is due; `None` if nothing is outstanding.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        match self.link {
            Link::Down { retry_at, .. } => Some(retry_at),
            Link::Connecting { since, .. } => Some(since.saturating_add(MUTE_FOR)),
            Link::Up { unanswered: 0, .. } => None,
            Link::Up {
                mute_since,
                probed_at,
                ..
            } => {
                let end = mute_since.saturating_add(MUTE_FOR.max(self.patience()));
                let next = match self.late {
                    false => mute_since.saturating_add(self.patience()),
                    true => probed_at.saturating_add(PROBE_EVERY),
                };
                Some(next.min(end))
            }
        }
    }

    /// Whether to count on the node.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        matches!(self.link, Link::Up { .. }) && !self.late
    }

    /// When an answer is late, for [`Plan::hedge_after`](super::Plan): twice the
    /// usual round trip and four deviations.
    #[must_use]
    pub fn hedge_after(&self) -> Duration {
        (self.typical * 2 + self.spread * 4).clamp(Duration::from_millis(1), self.timeout)
    }

    /// When the circuit opens: more generously than a hedge, which costs little.
    fn patience(&self) -> Duration {
        if self.typical.is_zero() {
            return self.timeout;
        }
        (self.hedge_after() * 4).clamp(LEAST_PATIENCE, self.timeout)
    }

    /// The estimate of TCP's retransmission timer (RFC 6298): gains 1/8 and 1/4.
    fn learn(&mut self, took: Duration) {
        if self.typical.is_zero() {
            self.typical = took;
            self.spread = took / 2;
        } else {
            self.spread = self.spread * 3 / 4 + self.typical.abs_diff(took) / 4;
            self.typical = self.typical * 7 / 8 + took / 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_start(Duration::from_millis(millis))
    }

    /// A node that answers in 1 ms, up to 1 s.
    fn healthy() -> Health {
        let mut health = Health::new(Duration::from_millis(500), at(0));
        assert_eq!(health.on_tick(at(0)), Care::Connect);
        health.on_connected(at(1));
        for i in 0..100 {
            health.on_sent(at(i * 10));
            health.on_answer(at(i * 10), at(i * 10 + 1));
        }
        assert!(health.is_usable());
        assert_eq!(health.wake_at(), None);
        health
    }

    /// Runs the wake-ups until `end`; each probe goes unanswered.
    fn run(health: &mut Health, end: Instant) -> Vec<(Instant, Care)> {
        let mut done = Vec::new();
        while let Some(due) = health.wake_at().filter(|due| *due <= end) {
            let care = health.on_tick(due);
            if care == Care::Probe {
                health.on_sent(due);
            }
            done.push((due, care));
        }
        done
    }

    #[test]
    fn a_frozen_node_is_soon_not_counted_on_and_back_with_its_first_answer() {
        let mut health = healthy();
        health.on_sent(at(2000));
        run(&mut health, at(2050));
        assert!(!health.is_usable());
        assert!(
            run(&mut health, at(2600))
                .iter()
                .any(|(_, c)| *c == Care::Probe)
        );
        health.on_answer(at(2000), at(2700));
        assert!(health.is_usable());
        assert!(health.hedge_after() < Duration::from_millis(10));
    }

    #[test]
    fn a_mute_connection_is_replaced_and_tried_again_at_least_every_second() {
        let mut health = healthy();
        health.on_sent(at(2000));
        let mut last = at(2000);
        let mut attempts = 0;
        for step in 0..200 {
            let now = at(2000 + step * 50);
            for (due, care) in run(&mut health, now) {
                if care == Care::Connect {
                    assert!(due.saturating_since(last) <= Duration::from_millis(1001));
                    last = due;
                    attempts += 1;
                    // Every other one is refused, the rest are swallowed.
                    if attempts % 2 == 0 {
                        health.on_disconnected(due);
                    }
                }
            }
        }
        assert!(attempts >= 9, "{attempts}");
        assert!(!health.is_usable());
        health.on_connected(at(13_000));
        assert!(health.is_usable());
    }

    #[test]
    fn a_refused_connection_is_tried_again_ever_more_slowly_up_to_a_second() {
        let mut health = Health::new(Duration::from_millis(500), at(0));
        let mut pauses = Vec::new();
        let mut last = at(0);
        for _ in 0..10 {
            let due = health.wake_at().unwrap();
            assert_eq!(health.on_tick(due), Care::Connect);
            pauses.push(due.saturating_since(last).as_millis());
            last = due;
            health.on_disconnected(due);
        }
        assert_eq!(
            pauses,
            [0, 100, 200, 400, 800, 1000, 1000, 1000, 1000, 1000]
        );
    }
}
