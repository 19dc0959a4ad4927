//! Messages under way, and what they bring about.

use leasehold_core::quorum::{AcquireReply, Failure, NodeId, NodeSet, PromoteReply, Push};

use super::{Checked, LATER, Message, Mix, Sender, What, World, start};
use crate::faults::Fault;
use crate::invariants::fencing::Writer;
use crate::server::{Answer, Pushes, Request, execute};

impl World {
    pub(super) fn draw_message(&mut self) -> Option<usize> {
        let mut drawn = None;
        let patience = match self.setup.mix {
            Mix::Amnesia => 8,
            Mix::Usual | Mix::Stale => 4,
        };
        for _ in 0..patience {
            if self.messages.is_empty() {
                return None;
            }
            let at = self.rng.usize(0..self.messages.len());
            drawn = Some(at);
            let is_slow = match self.messages[at].sender {
                Sender::Op(op, _) => self.slow == Some(self.ops[op].client),
                // A join that hangs at its end is overtaken by the next.
                Sender::Join(..) => self.slow_joins && self.messages[at].is_install(),
            };
            if !is_slow {
                break;
            }
        }
        drawn
    }

    /// The message does not arrive. Its sender may hear that the connection broke.
    pub(super) fn lose(&mut self, at: usize) {
        self.log
            .line(format_args!("lose {:?}", self.messages[at].sender));
        self.tally.faults.count(Fault::Loss);
        let mut message = self.messages.remove(at);
        if self.rng.bool()
            && let What::Ask(request) | What::Answer(request, _) = message.what
        {
            message.what = What::Answer(request, Err(Failure::Lost));
            self.messages.push(message);
        }
    }

    /// A request is carried out, or an answer arrives.
    pub(super) fn deliver(&mut self, mut message: Message) -> Checked {
        let request = match message.what {
            What::Answer(ref request, answer) => {
                return self.answered(&message, request, answer);
            }
            What::Push(push) => {
                let Sender::Op(op, _) = message.sender else {
                    return Ok(());
                };
                let node = NodeId::new(message.node).expect("a node");
                self.log
                    .line(format_args!("op {op} hears {node}: {push:?}"));
                return self.pushed(op, node, push);
            }
            What::Write(writer) => return self.written(&message, writer),
            What::Ask(request) => request,
        };
        let now = match request {
            Request::Join(_) => self.now().saturating_add(LATER),
            Request::Lock { .. } => self.now(),
        };
        let node = &mut self.nodes[message.node];
        // A connection dies with the process at its other end.
        let answer = if node.run_id() == message.run_id {
            let (answer, pushes) = execute(node, message.run_id, &request, now)?;
            self.count(message.node, &request, &answer);
            self.push(message.node, pushes);
            Ok(answer)
        } else {
            Err(Failure::Lost)
        };
        self.log
            .line(format_args!("{} {request:?} {answer:?}", message.node));
        message.what = What::Answer(request, answer);
        self.messages.push(message);
        Ok(())
    }

    fn written(&mut self, message: &Message, writer: Writer) -> Checked {
        let Sender::Op(op, _) = message.sender else {
            return Ok(());
        };
        let taken = self.resources[self.ops[op].name].write(writer)?;
        self.log.line(format_args!("op {op} writes: {taken}"));
        match taken {
            true => self.tally.writes += 1,
            false => self.tally.refused += 1,
        }
        Ok(())
    }

    /// Notes when a counter was first had.
    fn count(&mut self, node: usize, request: &Request, answer: &Answer) {
        let counter = match answer {
            Answer::Acquire(AcquireReply::Granted { counter }) => *counter,
            Answer::Promote(PromoteReply::At(counter)) => *counter,
            _ => return,
        };
        if let Request::Lock { nonce, .. } = request
            && let Some(&op) = self.wishes.get(nonce)
        {
            let key = (self.ops[op].name, node, *nonce, counter);
            self.counted.entry(key).or_insert(self.step);
        }
    }

    fn push(&mut self, node: usize, pushes: Pushes) {
        for (_, nonce, push) in pushes {
            let Some(&op) = self.wishes.get(&nonce) else {
                continue;
            };
            if let Push::Handed { counter } = push {
                let key = (self.ops[op].name, node, nonce, counter);
                self.counted.entry(key).or_insert(self.step);
            }
            self.log.line(format_args!("{node} tells op {op} {push:?}"));
            self.messages.push(Message {
                sender: Sender::Op(op, 0),
                node,
                run_id: self.nodes[node].run_id(),
                what: What::Push(push),
            });
        }
    }

    fn answered(
        &mut self,
        message: &Message,
        request: &Request,
        answer: Result<Answer, Failure>,
    ) -> Checked {
        let node = NodeId::new(message.node).expect("a node");
        self.log.line(format_args!(
            "{:?} hears {node}: {answer:?}",
            message.sender
        ));
        match message.sender {
            Sender::Join(joining, id) => {
                let reply = answer.map(|answer| match answer {
                    Answer::Join(reply) => reply,
                    other => unreachable!("{other:?}"),
                });
                let start = start();
                let Some((_, join)) = self.joins[joining].as_mut().filter(|j| j.0 == id) else {
                    return Ok(());
                };
                let step = join.on_reply(node, reply, start);
                self.joined(joining, id, step);
                Ok(())
            }
            Sender::Op(op, attempt) => {
                let Request::Lock { command, .. } = *request else {
                    return Ok(());
                };
                self.op_answered((op, attempt), node, command, answer)
            }
        }
    }

    pub(super) fn post(&mut self, sender: Sender, request: Request, to: NodeSet) {
        for node in to.iter() {
            self.messages.push(Message {
                sender,
                node: node.index(),
                run_id: self.nodes[node.index()].run_id(),
                what: What::Ask(request.clone()),
            });
        }
    }
}
