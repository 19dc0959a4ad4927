//! What a server does with a request.

use leasehold_core::quorum::{
    AcquireReply, Command, JoinCommand, JoinReply, Node, OwnerReply, PromoteReply, Push, RunId,
};
use leasehold_core::{LockName, Nonce, StoreTime};

use crate::invariants::ownership;

/// A request to one node.
#[derive(Clone, Debug)]
pub enum Request {
    /// About a lock.
    Lock {
        /// The lock.
        name: LockName,
        /// The grant.
        nonce: Nonce,
        /// What is asked.
        command: Command,
    },
    /// About the node itself.
    Join(JoinCommand),
}

/// Its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To an acquire.
    Acquire(AcquireReply),
    /// To a promote.
    Promote(PromoteReply),
    /// To an extend or a release.
    Owner(OwnerReply),
    /// To what has no answer that matters.
    Noted,
    /// To a step of a join.
    Join(JoinReply),
}

/// What waiters are told besides.
pub type Pushes = Vec<(LockName, Nonce, Push)>;

/// Carries a request out. `run_id` is what the connection read when it was made.
///
/// # Errors
///
/// If it touched a grant of another nonce, or made one that it must not make (C4).
pub fn execute(
    node: &mut Node,
    run_id: RunId,
    request: &Request,
    now: StoreTime,
) -> Result<(Answer, Pushes), String> {
    match request {
        Request::Lock {
            name,
            nonce,
            command,
        } => {
            let before = node.status(name, now);
            let answer = execute_on(node, run_id, name, *nonce, *command, now);
            let after = node.status(name, now);
            ownership::check(*command, *nonce, &before, &after)?;
            Ok((answer, node.take_pushes()))
        }
        Request::Join(command) => {
            let answer = Answer::Join(execute_join(node, run_id, *command, now));
            Ok((answer, Vec::new()))
        }
    }
}

fn execute_on(
    node: &mut Node,
    run_id: RunId,
    name: &LockName,
    nonce: Nonce,
    command: Command,
    now: StoreTime,
) -> Answer {
    match command {
        Command::Acquire(ask) => Answer::Acquire(node.acquire(run_id, name, nonce, ask, now)),
        Command::Promote { to } => Answer::Promote(node.promote(run_id, name, nonce, to, now)),
        Command::Extend { slot, hold } => {
            Answer::Owner(node.extend(name, nonce, (slot, hold), now))
        }
        Command::Release => Answer::Owner(node.release(run_id, name, nonce, now)),
        Command::Place { to } => {
            node.place(name, nonce, to, now);
            Answer::Noted
        }
        Command::Yield {
            to,
            up_to,
            place,
            line,
        } => {
            node.step_back(run_id, name, nonce, (to, up_to, place, line), now);
            Answer::Noted
        }
    }
}

fn execute_join(node: &mut Node, run_id: RunId, command: JoinCommand, now: StoreTime) -> JoinReply {
    match command {
        JoinCommand::Inspect => node.inspect(now),
        JoinCommand::Notice { ticket } => node.notice(run_id, ticket, now),
        JoinCommand::Recall => node.recall(run_id, now),
        JoinCommand::Raise { to } => node.raise(run_id, to),
        JoinCommand::Install {
            ticket,
            floor,
            max_ttl,
        } => node.install(run_id, ticket, floor, max_ttl, now),
        JoinCommand::Adopt { max_ttl } => node.adopt(run_id, max_ttl),
        JoinCommand::Keep { max_ttl } => node.keep(run_id, max_ttl),
    }
}
