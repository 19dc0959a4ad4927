//! When a lease must be renewed and when it is over. Pure: `now` comes in, the
//! next moment to look goes out.

use std::time::Duration;

use leasehold_core::{Deadline, Instant, Loss, Ttl};

/// A renewal is sent after this part of the TTL, and given up after as long again.
const RENEWALS_PER_TTL: u32 = 3;

/// Renewals of one client are due on a grid of this part of the TTL, so that the
/// engine gets them in batches.
const GRID_PER_TTL: u32 = 96;

/// The longest pause before a failed renewal is tried again.
const MAX_RETRY: Duration = Duration::from_secs(1);

/// The times of one lease.
#[derive(Clone, Debug)]
pub(crate) struct Upkeep {
    /// What each extend asks for.
    ttl: Ttl,
    /// The shortest TTL that an extend of unknown outcome asked for. Such an extend
    /// may be carried out late and shorten the grant, so no later answer is
    /// believed for longer than this.
    doubted: Option<Ttl>,
    deadline: Deadline,
    /// When the holder has had the lease for as long as it allowed itself.
    max_hold_ends: Option<Instant>,
    renews: bool,
    /// When the next extend is due, or, while one is out, when it is given up.
    ask_at: Instant,
    /// This client's offset of the grid, so that not every process of a machine
    /// renews at the same moment.
    phase: Duration,
}

/// What is to be done about a lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing yet.
    Nothing,
    /// Send an extend; one that is still out counts as unknown.
    Renew,
    /// It is over.
    Lost(Loss),
}

impl Upkeep {
    /// A lease whose acquire was sent at `sent`, and which ends at `until` if that is
    /// sooner than its TTL.
    pub(crate) fn new(
        sent: Instant,
        ttl: Ttl,
        until: Option<Deadline>,
        renews: bool,
        max_hold: Option<Duration>,
        phase: Duration,
    ) -> Self {
        let whole = Deadline::of(sent, ttl);
        let deadline = until.map_or(whole, |until| until.min(whole));
        let mut upkeep = Self {
            ttl,
            doubted: None,
            deadline,
            max_hold_ends: max_hold.map(|length| sent.saturating_add(length)),
            renews,
            ask_at: sent,
            phase,
        };
        upkeep.schedule(sent, ttl);
        if deadline < whole {
            let first = deadline.remaining(sent) / RENEWALS_PER_TTL;
            upkeep.ask_at = upkeep.ask_at.min(sent.saturating_add(first));
        }
        upkeep
    }

    /// The TTL that each extend asks for.
    pub(crate) const fn ttl(&self) -> Ttl {
        self.ttl
    }

    /// The deadline by what the store has confirmed.
    pub(crate) const fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Until when the holder may believe in the lease.
    pub(crate) fn ends(&self) -> Instant {
        let deadline = self.deadline.at();
        self.max_hold_ends
            .map_or(deadline, |ends| ends.min(deadline))
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Instant {
        if self.renews {
            self.ends().min(self.ask_at)
        } else {
            self.ends()
        }
    }

    /// What is due at `now`. After a suspend several things may be: the one that
    /// came first counts.
    pub(crate) fn due(&self, now: Instant) -> Due {
        match self.max_hold_ends {
            Some(ends) if now >= ends && ends <= self.deadline.at() => Due::Lost(Loss::MaxHold),
            _ if self.deadline.has_passed(now) => Due::Lost(Loss::Expired),
            _ if self.renews && now >= self.ask_at => Due::Renew,
            _ => Due::Nothing,
        }
    }

    /// An extend is about to go out.
    pub(crate) fn asking(&mut self, now: Instant, ttl: Ttl) {
        self.ask_at = now.saturating_add(ttl.get() / RENEWALS_PER_TTL);
    }

    /// The extend sent at `sent` was carried out; the deadline moves.
    pub(crate) fn extended(&mut self, sent: Instant, ttl: Ttl) {
        self.ttl = ttl;
        let believed = self.doubted.map_or(ttl, |doubted| doubted.min(ttl));
        self.deadline = Deadline::of(sent, believed);
        self.schedule(sent, believed);
    }

    /// The extend sent at `sent` may have been carried out, or may be later.
    pub(crate) fn doubt(&mut self, sent: Instant, ttl: Ttl) {
        self.doubted = Some(self.doubted.map_or(ttl, |doubted| doubted.min(ttl)));
        self.deadline = self.deadline.min(Deadline::of(sent, ttl));
    }

    /// The extend failed; another is due shortly.
    pub(crate) fn retry(&mut self, now: Instant) {
        let pause = self.ttl.get() / 20;
        self.ask_at = now.saturating_add(pause.min(MAX_RETRY));
    }

    fn schedule(&mut self, sent: Instant, ttl: Ttl) {
        let due = sent.saturating_add(ttl.get() / RENEWALS_PER_TTL);
        let aligned = aligned_down(due, ttl.get() / GRID_PER_TTL, self.phase);
        self.ask_at = aligned.max(sent);
    }
}

/// The last moment of the grid at or before `at`.
fn aligned_down(at: Instant, grid: Duration, phase: Duration) -> Instant {
    let nanos = |length: Duration| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
    let since_start = nanos(at.since_start());
    let past = since_start.saturating_add(nanos(phase)) % nanos(grid).max(1);
    Instant::from_start(Duration::from_nanos(since_start.saturating_sub(past)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    fn at(seconds: f64) -> Instant {
        Instant::from_start(Duration::from_secs_f64(1000.0 + seconds))
    }

    fn lease(max_hold: Option<Duration>) -> Upkeep {
        Upkeep::new(
            at(0.0),
            Ttl::new(TTL).unwrap(),
            None,
            true,
            max_hold,
            Duration::ZERO,
        )
    }

    #[test]
    fn a_lease_that_is_known_for_less_is_renewed_sooner() {
        let ttl = Ttl::new(TTL).unwrap();
        let until = Deadline::of(at(-1.0), Ttl::new(Duration::from_secs(3)).unwrap());
        let mut lease = Upkeep::new(at(0.0), ttl, Some(until), true, None, Duration::ZERO);
        assert_eq!(lease.deadline(), until);
        assert!(lease.next() < at(0.7), "{:?}", lease.next());
        lease.extended(at(0.5), ttl);
        assert_eq!(lease.deadline(), Deadline::of(at(0.5), ttl));
    }

    #[test]
    fn a_renewal_is_due_at_a_third_and_moves_the_deadline() {
        let mut lease = lease(None);
        let due = lease.next();
        assert!(due > at(9.6) && due <= at(10.0), "{due:?}");
        assert_eq!(lease.due(at(9.0)), Due::Nothing);
        assert_eq!(lease.due(due), Due::Renew);
        lease.asking(due, lease.ttl());
        assert_eq!(lease.due(due), Due::Nothing);
        assert_eq!(
            lease.due(at(21.0)),
            Due::Renew,
            "one that hangs is given up"
        );
        lease.extended(due, lease.ttl());
        assert_eq!(lease.deadline(), Deadline::of(due, Ttl::new(TTL).unwrap()));
        assert_eq!(lease.due(at(31.0)), Due::Renew);
    }

    #[test]
    fn the_deadline_comes_whatever_the_renewal_does() {
        let mut lease = lease(None);
        lease.asking(at(29.0), lease.ttl());
        assert_eq!(lease.next(), lease.deadline().at());
        assert_eq!(lease.due(lease.deadline().at()), Due::Lost(Loss::Expired));
        lease.renews = false;
        assert_eq!(lease.due(at(20.0)), Due::Nothing);
        assert_eq!(lease.due(at(3000.0)), Due::Lost(Loss::Expired));
    }

    #[test]
    fn whichever_end_comes_first_is_the_reason() {
        let short = lease(Some(Duration::from_secs(5)));
        assert_eq!(short.next(), at(5.0));
        assert_eq!(short.due(at(5.0)), Due::Lost(Loss::MaxHold));
        assert_eq!(short.due(at(500.0)), Due::Lost(Loss::MaxHold));
        let long = lease(Some(Duration::from_secs(60)));
        assert_eq!(long.due(at(500.0)), Due::Lost(Loss::Expired));
    }

    #[test]
    fn an_unknown_shorter_extend_is_believed_over_a_longer_one() {
        let mut lease = lease(None);
        let brief = Ttl::new(Duration::from_secs(2)).unwrap();
        lease.doubt(at(1.0), brief);
        assert_eq!(lease.deadline(), Deadline::of(at(1.0), brief));
        lease.extended(at(2.0), Ttl::new(TTL).unwrap());
        assert_eq!(lease.deadline(), Deadline::of(at(2.0), brief));
        lease.doubt(at(2.5), Ttl::new(TTL).unwrap());
        assert_eq!(lease.deadline(), Deadline::of(at(2.0), brief));
    }

    #[test]
    fn renewals_of_one_client_share_the_moments_of_a_grid() {
        let grid = Duration::from_millis(300);
        let phase = Duration::from_millis(70);
        let one = aligned_down(at(10.0), grid, phase);
        assert!(one <= at(10.0) && one > at(9.7));
        let near = one.saturating_add(Duration::from_millis(299));
        assert_eq!(aligned_down(near, grid, phase), one);
        let next = one.saturating_add(grid);
        assert_eq!(aligned_down(next, grid, phase), next);
        assert_eq!(aligned_down(at(10.0), Duration::ZERO, phase), at(10.0));
    }
}
