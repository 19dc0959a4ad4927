//! What clients and their machines do.

use std::time::Duration;

use leasehold_core::quorum::{
    Acquire, AcquireOutcome, AcquireReply, Ask, Command, Failure, Handover, HandoverTerms, NodeId,
    NodeSet, OwnerReply, Plan, Push, Release, Reply, Step,
};
use leasehold_core::{Mode, Token, Ttl};

use crate::state::{Answer, Back, Request, State, nonce, quorum, start};

/// One client: it asks once, knows no tokens, and believes in what it gets for ever.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    pub(crate) acquire: Option<Acquire>,
    handover: Option<Handover>,
    release: Option<Release>,
    /// The greatest token that was granted before it asked.
    before: Token,
    pub(crate) token: Option<Token>,
    waits: bool,
}

impl Client {
    /// Whether its machine is waiting for answers, and may lose its patience.
    pub(crate) fn may_tick(&self) -> bool {
        let undecided = |acquire: &Acquire| !acquire.is_done() && !acquire.is_cleaning_up();
        self.token.is_none() && self.acquire.as_ref().is_some_and(undecided)
    }

    /// Whether it has a lease to give back.
    pub(crate) fn may_release(&self) -> bool {
        self.token.is_some() && self.release.is_none()
    }
}

impl State {
    pub(crate) fn ask(&mut self, client: usize, line: bool) {
        let plan = Plan {
            quorum: quorum(),
            ttl: Ttl::MAX,
            nonce: nonce(client as u8 + 1),
            ask: Ask {
                mode: Mode::Exclusive,
                slot: 0,
                hold: Ttl::MAX.get(),
                line: line.then_some(Ttl::MAX.get()),
                proposal: Token::NONE,
            },
            first: quorum().all(),
            hedge_after: Duration::from_millis(1),
            skip: NodeSet::EMPTY,
            patience: Duration::from_secs(1),
        };
        let (acquire, step) = Acquire::start(plan, start());
        let this = &mut self.clients[client];
        this.before = self.granted.iter().copied().max().unwrap_or_default();
        this.acquire = Some(acquire);
        this.handover = line.then(|| {
            Handover::new(HandoverTerms {
                quorum: quorum(),
                ttl: Ttl::MAX,
                grace: Duration::ZERO,
                line: Ttl::MAX.get(),
            })
        });
        self.step(client, step);
    }

    /// An answer is late, or the client gives up.
    pub(crate) fn tick(&mut self, client: usize, gives_up: bool) {
        self.ticks -= 1;
        let late = match gives_up {
            true => Duration::from_secs(1),
            false => Duration::from_millis(1),
        };
        if let Some(acquire) = &mut self.clients[client].acquire {
            let step = acquire.on_tick(start().saturating_add(late));
            self.step(client, step);
        }
    }

    pub(crate) fn give_back(&mut self, client: usize) {
        let (release, step) = Release::start(
            quorum(),
            quorum().all(),
            Ttl::MAX.get(),
            Duration::from_millis(1),
            Duration::from_secs(1),
            start(),
        );
        self.clients[client].release = Some(release);
        self.send(client, step.send);
    }

    pub(crate) fn client_hears(&mut self, client: usize, node: NodeId, back: Back) {
        let this = &mut self.clients[client];
        match back {
            Back::Push(Push::Handed { counter }) => {
                if let Some(handover) = &mut this.handover {
                    handover.on_handed(node, counter);
                }
            }
            Back::Push(Push::Free { .. }) => {}
            Back::Answer(Request::Lock(command), answer) => {
                if let (Some(release), Command::Release) = (&mut this.release, command) {
                    let step = release.on_reply(node, owner(answer), start());
                    return self.send(client, step.send);
                }
                this.note(node, answer);
                if let (Some(acquire), None) = (&mut this.acquire, &this.release) {
                    let step = acquire.on_reply(node, reply(command, answer), start());
                    self.step(client, step);
                }
            }
            Back::Answer(Request::Join(_), _) => {}
        }
        self.handed_over(client);
    }

    fn step(&mut self, client: usize, step: Step<Command, AcquireOutcome>) {
        if let (Some((Command::Yield { up_to, .. }, to)), Some(handover)) =
            (step.send, &mut self.clients[client].handover)
        {
            to.iter().for_each(|node| handover.on_yield(node, up_to));
        }
        self.send(client, step.send);
        match step.outcome {
            Some(AcquireOutcome::Granted { token, .. }) => self.grant(client, token),
            Some(AcquireOutcome::Queued { .. }) => self.clients[client].waits = true,
            _ => {}
        }
    }

    fn send(&mut self, client: usize, send: Option<(Command, NodeSet)>) {
        if let Some((command, to)) = send {
            self.post(client, Request::Lock(command), to);
        }
    }

    fn handed_over(&mut self, client: usize) {
        let this = &self.clients[client];
        let waits = this.token.is_none() && this.waits && this.release.is_none();
        let handed = this.handover.as_ref().and_then(Handover::granted);
        if let Some((token, ..)) = handed.filter(|_| waits) {
            self.grant(client, token);
        }
    }

    /// C1: greater than every token granted before it was asked for, and unlike all.
    fn grant(&mut self, client: usize, token: Token) {
        let this = &mut self.clients[client];
        let line = this.handover.is_some();
        let least = match line {
            // Whoever waits is granted what is handed over, however long ago it asked.
            true => self.granted.iter().copied().max().unwrap_or_default(),
            false => this.before,
        };
        if token <= least || self.granted.contains(&token) {
            self.broken = Some(format!("C1: {token} after {:?}", self.granted));
        }
        this.token = Some(token);
        self.granted.push(token);
    }
}

impl Client {
    fn note(&mut self, node: NodeId, answer: Result<Answer, Failure>) {
        let Some(handover) = &mut self.handover else {
            return;
        };
        match answer {
            Ok(Answer::Acquire(AcquireReply::Granted { counter })) => {
                handover.on_answer(node, start(), Some(counter));
            }
            Ok(Answer::Acquire(AcquireReply::Queued { .. })) => {
                handover.on_answer(node, start(), None);
            }
            Err(Failure::Lost) => handover.on_lost(node),
            _ => {}
        }
    }
}

fn owner(answer: Result<Answer, Failure>) -> Result<OwnerReply, Failure> {
    answer.and_then(|answer| match answer {
        Answer::Owner(reply) => Ok(reply),
        _ => Err(Failure::Refused),
    })
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::SCOPES;

    #[test]
    fn a_token_twice_or_one_that_goes_back_is_noticed() {
        let token = |value| Token::new(value).unwrap();
        let mut state = State::new(SCOPES[0]);
        state.ask(0, false);
        state.grant(0, token(5));
        assert_eq!(state.broken, None);
        let mut twice = state.clone();
        twice.grant(1, token(5));
        assert!(twice.broken.is_some());
        let mut back = state.clone();
        back.ask(1, false);
        back.grant(1, token(4));
        assert!(back.broken.is_some());
        state.grant(1, token(4));
        assert_eq!(state.broken, None, "both had asked before");
    }
}
