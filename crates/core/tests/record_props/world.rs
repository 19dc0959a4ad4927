//! Clients, a store and the time, driven by commands.

use std::time::Duration;

use leasehold_core::record::Record;
use leasehold_core::{ExtendRequest, Released, StoreTime, Token, Ttl};

use crate::client::{Body, Client, Letter, name};
use crate::command::{CLIENTS, Command, Fate, Span, Wish};
use crate::machine::Machine;
use crate::rules::{Check, Rules, ensure, may_join};

pub(crate) struct World {
    pub(crate) machine: Machine,
    pub(crate) record: Record,
    pub(crate) floor: Token,
    /// Microseconds since the beginning.
    pub(crate) real: u64,
    /// When the store's clock was at zero.
    store_start: u64,
    pub(crate) clients: Vec<Client>,
    late: Vec<Letter>,
    pub(crate) rules: Rules,
}

impl World {
    pub(crate) fn new(machine: Machine) -> Self {
        Self {
            machine,
            record: Record::new(),
            floor: Token::NONE,
            real: 0,
            store_start: 0,
            clients: (0..CLIENTS).map(Client::new).collect(),
            late: Vec::new(),
            rules: Rules::default(),
        }
    }

    pub(crate) fn run(&mut self, command: &Command) -> Check {
        match *command {
            Command::Ask(client, ref wish, fate) => self.ask(client, wish, fate),
            Command::Extend(client, ttl, fate) => self.extend(client, ttl, fate),
            Command::Release(client, fate) => self.release(client, fate),
            Command::Die(client) => {
                self.clients[client].die();
                Ok(())
            }
            Command::Pass(span) => {
                self.pass(span);
                Ok(())
            }
            Command::Arrive { which, keep } => self.arrive(which, keep),
            Command::Break => self.break_lock(),
            Command::Collect => self.collect(),
            Command::RaiseFloor(by) => {
                self.floor = self.floor.saturating_add(by);
                Ok(())
            }
            Command::RestartClock => {
                self.store_start = self.real;
                self.record.restart_clock(self.now());
                let now = self.now();
                self.rules
                    .line
                    .iter_mut()
                    .for_each(|place| place.asked = now);
                Ok(())
            }
        }?;
        self.exclusion()
    }

    /// Trouble ends, and everybody who waits has to be served.
    pub(crate) fn heal(&mut self) -> Check {
        const ROUNDS: usize = 400;
        self.late.clear();
        for _ in 0..ROUNDS {
            let mut next = Duration::MAX;
            for client in 0..CLIENTS {
                let Some(attempt) = &self.clients[client].attempt else {
                    continue;
                };
                let holds = attempt.held.is_some();
                match (holds, attempt.request.queue) {
                    // Half of the holders give the lock back, half just fall silent.
                    (true, _) if client % 2 == 0 => self.release(client, Fate::Answered)?,
                    (true, _) => self.clients[client].attempt = None,
                    (false, None) => self.release(client, Fate::Answered)?,
                    (false, Some(_)) => {
                        let request = attempt.request.clone();
                        let answer =
                            self.send(self.letter(client, Body::Acquire(request)), true)?;
                        next = answer.map_or(next, |recheck| next.min(recheck));
                    }
                }
                self.exclusion()?;
            }
            if self.clients.iter().all(|client| client.attempt.is_none()) {
                return Ok(());
            }
            if next < Duration::MAX {
                self.real += u64::try_from(next.as_micros()).unwrap();
            }
        }
        ensure(false, "served in the end", || format!("{:?}", self.record))
    }

    pub(crate) fn now(&self) -> StoreTime {
        StoreTime::from_micros(self.real - self.store_start)
    }

    fn letter(&self, client: usize, body: Body) -> Letter {
        Letter {
            client,
            session: self.clients[client].session(),
            sent: self.clients[client].clock(self.real),
            body,
        }
    }

    fn dispatch(&mut self, letter: Letter, fate: Fate) -> Check {
        match fate {
            Fate::Answered => self.send(letter, true).map(drop),
            Fate::AnswerLost => self.send(letter, false).map(drop),
            Fate::Late => {
                self.late.push(letter);
                Ok(())
            }
        }
    }

    fn ask(&mut self, client: usize, wish: &Wish, fate: Fate) -> Check {
        let request = self.clients[client].wish(wish).request.clone();
        self.dispatch(self.letter(client, Body::Acquire(request)), fate)
    }

    fn extend(&mut self, client: usize, ttl: Duration, fate: Fate) -> Check {
        let Some(nonce) = self.clients[client].nonce() else {
            return Ok(());
        };
        let request = ExtendRequest {
            name: name(),
            nonce,
            ttl: Ttl::new(ttl).unwrap(),
        };
        self.dispatch(self.letter(client, Body::Extend(request)), fate)
    }

    fn release(&mut self, client: usize, fate: Fate) -> Check {
        let Some(nonce) = self.clients[client].nonce() else {
            return Ok(());
        };
        let letter = self.letter(client, Body::Release(nonce));
        let believed = self.clients[client].believes(nonce, self.real);
        // Whoever gives up stops before it says so.
        self.clients[client].attempt = None;
        if fate == Fate::Late {
            self.late.push(letter);
            return Ok(());
        }
        let answer = self.send_release(&letter, nonce)?;
        ensure(
            believed.is_none() || answer == Released::Released,
            "C4",
            || "a valid lease was lost at its release".to_owned(),
        )
    }

    fn arrive(&mut self, which: usize, keep: bool) -> Check {
        if self.late.is_empty() {
            return Ok(());
        }
        let at = which % self.late.len();
        let letter = match keep {
            true => self.late[at].clone(),
            false => self.late.remove(at),
        };
        self.send(letter, true).map(drop)
    }

    /// C3, as the holders see it by their own clocks.
    fn exclusion(&self) -> Check {
        let mut held = Vec::new();
        for client in &self.clients {
            let Some(nonce) = client.nonce() else {
                continue;
            };
            if let Some(mode) = client.believes(nonce, self.real) {
                ensure(may_join(mode, &held), "C3", || {
                    format!("{mode:?} beside {held:?}")
                })?;
                held.push(mode);
            }
        }
        Ok(())
    }

    fn pass(&mut self, span: Span) {
        let ends = self
            .record
            .next_expiry()
            .map_or(self.real, |at| self.store_start + at.as_micros());
        let until = match span {
            Span::For(length) => self.real + u64::try_from(length.as_micros()).unwrap(),
            Span::ToExpiry => ends,
            Span::PastExpiry => ends + 1,
            Span::ToDeadline(client) => {
                let before = self.clients[client].before_deadline(self.real);
                before.unwrap_or(self.real)
            }
        };
        self.real = self.real.max(until);
    }
}
