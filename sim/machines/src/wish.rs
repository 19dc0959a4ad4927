//! A client's wish for a lock: attempts with one nonce, a place in the line, and
//! what the nodes tell it unasked. This is what a driver has to do around the
//! machines.

use leasehold_core::quorum::{
    Acquire, AcquireOutcome, AcquireReply, Command, Failure, Handover, HandoverTerms, Mutation,
    NodeId, NodeSet, OwnerReply, Plan, Proposals, Push, Reply, Step, made,
};
use leasehold_core::{Deadline, Instant, LockName, Mode, Token};

use crate::server::Answer;

/// A wish for a lock.
#[derive(Debug)]
pub(crate) struct Wish {
    plan: Plan,
    name: LockName,
    acquire: Acquire,
    /// Which attempt this is; answers to earlier ones are not for it.
    pub(crate) attempt: u32,
    handover: Handover,
    /// A permit that a node called free.
    pub(crate) called: Option<u32>,
    state: State,
    pub(crate) promoted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asking,
    InLine,
    /// It has come true, or to nothing.
    Over,
}

/// A lease that it came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Won {
    pub(crate) token: Token,
    pub(crate) deadline: Deadline,
    pub(crate) on: NodeSet,
    /// Without a question: it was handed over.
    pub(crate) handed: bool,
}

/// What it has to say.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) send: Option<(Command, NodeSet)>,
    pub(crate) won: Option<Won>,
    pub(crate) outcome: Option<AcquireOutcome>,
    /// Somebody told it something: ask again soon.
    pub(crate) stir: bool,
}

impl Wish {
    pub(crate) fn new(
        plan: Plan,
        name: LockName,
        proposals: &Proposals,
        now: Instant,
    ) -> (Self, Said) {
        let terms = HandoverTerms {
            quorum: plan.quorum,
            ttl: plan.ttl,
            grace: plan.ask.hold.saturating_sub(plan.ttl.get()),
            line: plan.ask.line.unwrap_or_default(),
        };
        let (acquire, step) = Acquire::start(proposed(plan, &name, proposals), now);
        let mut wish = Self {
            plan,
            name,
            acquire,
            attempt: 0,
            handover: Handover::new(terms),
            called: None,
            state: State::Asking,
            promoted: false,
        };
        let said = wish.said(step);
        (wish, said)
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.plan.ask.mode
    }

    pub(crate) const fn slot(&self) -> u32 {
        self.plan.ask.slot
    }

    pub(crate) fn in_line(&self) -> bool {
        self.state == State::InLine
    }

    pub(crate) fn line(&self) -> std::time::Duration {
        self.plan.ask.line.unwrap_or_default()
    }

    /// When its machine has to be woken.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        match self.is_over() {
            true => None,
            false => self.acquire.wake_at(),
        }
    }

    /// Its clean-up is done: nothing of it should be left.
    pub(crate) fn is_cleaned_up(&self) -> bool {
        self.acquire.is_cleaning_up() && self.acquire.is_done()
    }

    /// Asks again, for this permit if it is one.
    pub(crate) fn again(&mut self, slot: u32, proposals: &Proposals, now: Instant) -> Said {
        if !self.in_line() {
            return Said::default();
        }
        if let Mode::Permit(_) = self.mode() {
            self.plan.ask.slot = slot;
        }
        self.called = None;
        self.attempt += 1;
        self.state = State::Asking;
        let plan = proposed(self.plan, &self.name, proposals);
        let (acquire, step) = Acquire::start(plan, now);
        self.acquire = acquire;
        self.said(step)
    }

    pub(crate) fn tick(&mut self, now: Instant) -> Said {
        // Once the lock was handed over, an attempt under way must not fail, or its
        // clean-up would release the lease.
        if self.is_over() {
            return Said::default();
        }
        let step = self.acquire.on_tick(now);
        self.said(step)
    }

    pub(crate) fn cancel(&mut self, now: Instant) -> Said {
        let step = self.acquire.cancel(now);
        self.said(step)
    }

    /// The caller takes what it got, or leaves, and nothing is driven on.
    pub(crate) fn end(&mut self) {
        self.state = State::Over;
    }

    /// A node answered this command of this attempt, sent at that moment.
    pub(crate) fn answered(
        &mut self,
        node: NodeId,
        (command, attempt, sent): (Command, u32, Instant),
        answer: Result<Answer, Failure>,
        proposals: &mut Proposals,
        now: Instant,
    ) -> Said {
        if let Ok(Answer::Acquire(reply)) = answer {
            proposals.on_reply(&self.name, &reply);
            // Permits are not handed over, and grants of two permits are no quorum.
            let is_permit = matches!(self.mode(), Mode::Permit(_));
            match reply {
                _ if is_permit || self.plan.ask.line.is_none() => {}
                AcquireReply::Granted { counter } => {
                    self.handover.on_answer(node, sent, Some(counter));
                }
                AcquireReply::Queued { .. } => self.handover.on_answer(node, sent, None),
                _ => {}
            }
        }
        let current = attempt == self.attempt && !self.is_over();
        let said = match current {
            true => {
                let step = self.acquire.on_reply(node, reply(command, answer), now);
                self.said(step)
            }
            false => Said::default(),
        };
        self.or_handed_over(said, now)
    }

    /// A node told it something unasked.
    pub(crate) fn pushed(
        &mut self,
        node: NodeId,
        push: Push,
        proposals: &mut Proposals,
        now: Instant,
    ) -> Said {
        match push {
            Push::Handed { counter } if made(Mutation::HandoverDeadlineFromPush) => {
                self.handover.on_answer(node, now, Some(counter));
            }
            Push::Handed { counter } => {
                proposals.note(&self.name, counter);
                self.handover.on_handed(node, counter);
            }
            Push::Free { slot } => self.called = Some(slot),
        }
        let said = Said {
            stir: true,
            ..Said::default()
        };
        self.or_handed_over(said, now)
    }

    pub(crate) fn lost(&mut self, node: NodeId) -> Said {
        self.handover.on_lost(node);
        Said {
            stir: true,
            ..Said::default()
        }
    }

    fn is_over(&self) -> bool {
        self.state == State::Over && !self.acquire.is_cleaning_up()
    }

    fn said(&mut self, step: Step<Command, AcquireOutcome>) -> Said {
        match step.send {
            Some((Command::Yield { up_to, .. }, to)) => {
                to.iter()
                    .for_each(|node| self.handover.on_yield(node, up_to));
            }
            Some((Command::Promote { .. }, _)) => self.promoted = true,
            _ => {}
        }
        let won = match step.outcome {
            Some(AcquireOutcome::Granted {
                token,
                deadline,
                on,
            }) => Some(Won {
                token,
                deadline,
                on,
                handed: false,
            }),
            _ => None,
        };
        match step.outcome {
            Some(AcquireOutcome::Queued { .. }) => self.state = State::InLine,
            Some(_) => self.state = State::Over,
            None => {}
        }
        Said {
            send: step.send,
            won,
            outcome: step.outcome,
            stir: false,
        }
    }

    fn or_handed_over(&mut self, mut said: Said, now: Instant) -> Said {
        if self.state == State::Over {
            return said;
        }
        if let Some((token, deadline, on)) = self.handover.granted()
            && !deadline.has_passed(now)
        {
            self.state = State::Over;
            said.won = Some(Won {
                token,
                deadline,
                on,
                handed: true,
            });
        }
        said
    }
}

fn proposed(mut plan: Plan, name: &LockName, proposals: &Proposals) -> Plan {
    plan.ask.proposal = proposals.propose(name);
    plan
}

/// What an owner's machine hears of an answer.
pub(crate) fn owner(answer: Result<Answer, Failure>) -> Result<OwnerReply, Failure> {
    answer.and_then(|answer| match answer {
        Answer::Owner(reply) => Ok(reply),
        _ => Err(Failure::Refused),
    })
}

/// What the machine hears of an answer to this command.
fn reply(command: Command, answer: Result<Answer, Failure>) -> Reply {
    match (command, answer) {
        (_, Ok(Answer::Acquire(reply))) => Reply::Acquire(Ok(reply)),
        (_, Ok(Answer::Promote(reply))) => Reply::Promote(Ok(reply)),
        (Command::Acquire(_), Err(failure)) => Reply::Acquire(Err(failure)),
        (Command::Promote { .. }, Err(failure)) => Reply::Promote(Err(failure)),
        (Command::Place { .. } | Command::Yield { .. }, _) => Reply::Noted,
        (_, answer) => Reply::Release(owner(answer)),
    }
}

/// What the runs of one lock are about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Exclusive,
    /// Exclusive and shared leases of the same lock.
    Mixed,
    Permits(u32),
}

impl Kind {
    pub(crate) fn draw(rng: &mut fastrand::Rng) -> Self {
        match rng.u8(0..10) {
            0..4 => Self::Exclusive,
            4..7 => Self::Mixed,
            7..9 => Self::Permits(2),
            _ => Self::Permits(3),
        }
    }

    /// What a client asks for.
    pub(crate) fn mode(self, rng: &mut fastrand::Rng) -> Mode {
        match self {
            Self::Exclusive => Mode::Exclusive,
            Self::Mixed if rng.u8(0..3) == 0 => Mode::Exclusive,
            Self::Mixed => Mode::Shared,
            Self::Permits(n) => Mode::permit_of(n).unwrap_or_default(),
        }
    }
}

/// A permit of these.
pub(crate) fn slot(mode: Mode, rng: &mut fastrand::Rng) -> u32 {
    match mode {
        Mode::Permit(n) => rng.u32(0..n.get()),
        _ => 0,
    }
}
