//! What the clients know and believe.

use std::time::Duration;

use leasehold_core::{
    AcquireRequest, Acquired, Deadline, ExtendRequest, Extended, Instant, Lifetime, LockName, Mode,
    Nonce, SessionId, Token, Ttl,
};

use crate::command::Wish;

/// A client process. It has one lease or wish at a time.
pub(crate) struct Client {
    number: u8,
    /// How many processes had this number before.
    life: u8,
    /// How many nonces it has used.
    nonces: u8,
    pub(crate) attempt: Option<Attempt>,
}

/// A lease, or a wish for one.
pub(crate) struct Attempt {
    pub(crate) request: AcquireRequest,
    pub(crate) held: Option<Held>,
}

/// What a holder relies on.
pub(crate) struct Held {
    pub(crate) token: Token,
    deadline: Deadline,
    /// Somebody broke the lock; the holder does not know yet.
    pub(crate) broken: bool,
}

/// A request on its way.
#[derive(Clone)]
pub(crate) struct Letter {
    pub(crate) client: usize,
    pub(crate) session: SessionId,
    /// The client's clock before it was sent.
    pub(crate) sent: Instant,
    pub(crate) body: Body,
}

/// What a letter asks for.
#[derive(Clone)]
pub(crate) enum Body {
    Acquire(AcquireRequest),
    Extend(ExtendRequest),
    Release(Nonce),
}

impl Client {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            number: u8::try_from(number).unwrap(),
            life: 0,
            nonces: 0,
            attempt: None,
        }
    }

    /// Its clock, `real` microseconds after the beginning. Clocks run from 1 % too
    /// slow, the utmost that the margin covers, to 0.5 % too fast.
    pub(crate) fn clock(&self, real: u64) -> Instant {
        Instant::from_start(Duration::from_nanos(real * self.rate()))
    }

    /// Nanoseconds of its clock in a microsecond.
    fn rate(&self) -> u64 {
        [990, 1_000, 1_005, 995][usize::from(self.number) % 4]
    }

    /// The last microsecond before its clock shows the deadline.
    pub(crate) fn before_deadline(&self, real: u64) -> Option<u64> {
        let deadline = self.attempt.as_ref()?.held.as_ref()?.deadline;
        let left = deadline.remaining(self.clock(real)).as_nanos();
        let left = u64::try_from(left).unwrap();
        Some(real + left.saturating_sub(1) / self.rate())
    }

    pub(crate) fn session(&self) -> SessionId {
        let mut bytes = [0xff; 16];
        (bytes[0], bytes[1]) = (self.number, self.life);
        SessionId::from_bytes(bytes)
    }

    pub(crate) fn die(&mut self) {
        self.life += 1;
        self.attempt = None;
    }

    pub(crate) fn wish(&mut self, wish: &Wish) -> &Attempt {
        let mut bytes = [0; 16];
        (bytes[0], bytes[1], bytes[2]) = (self.number, self.life, self.nonces);
        let (nonces, owner) = (&mut self.nonces, "someone");
        self.attempt.get_or_insert_with(|| {
            *nonces += 1;
            Attempt {
                request: AcquireRequest {
                    name: name(),
                    nonce: Nonce::from_bytes(bytes),
                    owner: owner.into(),
                    mode: wish.mode,
                    ttl: Ttl::new(wish.ttl).unwrap(),
                    grace: wish.grace,
                    lifetime: if wish.detached {
                        Lifetime::Detached
                    } else {
                        Lifetime::Process
                    },
                    queue: wish.queue,
                },
                held: None,
            }
        })
    }

    fn attempt_of(&mut self, nonce: Nonce) -> Option<&mut Attempt> {
        self.attempt
            .as_mut()
            .filter(|attempt| attempt.request.nonce == nonce)
    }

    /// The mode in which it relies on holding the lock now, if it does and has not
    /// been broken.
    pub(crate) fn believes(&self, nonce: Nonce, real: u64) -> Option<Mode> {
        let attempt = self.attempt.as_ref()?;
        let held = attempt.held.as_ref()?;
        let valid = !held.broken && !held.deadline.has_passed(self.clock(real));
        (valid && attempt.request.nonce == nonce).then_some(attempt.request.mode)
    }

    pub(crate) fn nonce(&self) -> Option<Nonce> {
        self.attempt.as_ref().map(|attempt| attempt.request.nonce)
    }

    pub(crate) fn hear_acquired(&mut self, request: &AcquireRequest, sent: Instant, is: &Acquired) {
        let Some(attempt) = self.attempt_of(request.nonce) else {
            return;
        };
        match is {
            Acquired::Granted(granted) => {
                let deadline = Deadline::of(sent, request.ttl);
                attempt.held = Some(match attempt.held.take() {
                    Some(held) if held.token == granted.token => held.until(deadline),
                    _ => Held {
                        token: granted.token,
                        deadline,
                        broken: false,
                    },
                });
            }
            Acquired::Queued(_) => attempt.held = None,
            Acquired::Busy(_) => self.attempt = None,
        }
    }

    pub(crate) fn hear_extended(
        &mut self,
        request: &ExtendRequest,
        sent: Instant,
        heard: Instant,
        is: Extended,
    ) {
        let Some(attempt) = self.attempt_of(request.nonce) else {
            return;
        };
        match is {
            Extended::Extended => {
                // Once lost is lost, whatever the answer to an old request says.
                let held = attempt.held.take();
                let held = held.filter(|held| !held.deadline.has_passed(heard));
                attempt.held = held.map(|held| held.until(Deadline::of(sent, request.ttl)));
            }
            Extended::Lost => self.attempt = None,
        }
    }
}

impl Held {
    /// It relies on the latest deadline that any answer allows.
    fn until(mut self, deadline: Deadline) -> Self {
        self.deadline = self.deadline.max(deadline);
        self
    }
}

pub(crate) fn name() -> LockName {
    // Once for all: it is asked for a million times.
    static NAME: std::sync::OnceLock<LockName> = std::sync::OnceLock::new();
    NAME.get_or_init(|| LockName::new("lock").unwrap()).clone()
}
