//! The join, by example: machines against the nodes' model.

use std::time::Duration;

use super::join::LEAP;
use super::*;
use crate::{Instant, LockName, Nonce, StoreTime, Token};

const MAX_TTL: Duration = Duration::from_secs(30);
const SECOND: u64 = 1 << 20;

fn at(seconds: u64) -> StoreTime {
    StoreTime::from_micros(seconds * 1_000_000)
}

fn run(id: u8) -> RunId {
    RunId::from_bytes([id; 20])
}

fn place(node: usize) -> NodeId {
    NodeId::new(node).unwrap()
}

fn token(value: u64) -> Token {
    Token::new(value).unwrap()
}

/// Servers that have been up since 0.
fn servers(count: u8) -> Vec<Node> {
    (0..count)
        .map(|id| Node::start(run(id), Data::default(), at(0)))
        .collect()
}

fn plan(count: usize, node: usize) -> JoinPlan {
    JoinPlan {
        quorum: Quorum::of(count).unwrap(),
        node: place(node),
        max_ttl: MAX_TTL,
        durable: false,
        fresh: false,
        era: true,
        ticket: Nonce::from_bytes([7; 16]),
    }
}

fn execute(node: &mut Node, command: JoinCommand, now: StoreTime) -> JoinReply {
    let run_id = node.run_id();
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

/// Drives a join at this time until it is done or has to wait; nodes in `down`
/// cannot be reached.
fn join(nodes: &mut [Node], plan: JoinPlan, down: NodeSet, now: u64) -> Option<JoinEvent> {
    let start = Instant::from_start(Duration::ZERO);
    let (mut join, mut step) = Join::start(plan, Duration::from_secs(1));
    loop {
        if step.outcome.is_some() {
            return step.outcome;
        }
        let (command, to) = step.send.take()?;
        for node in to.iter() {
            let reply = match down.contains(node) {
                true => Err(Failure::NotSent),
                false => Ok(execute(&mut nodes[node.index()], command, at(now))),
            };
            let next = join.on_reply(node, reply, start);
            if next.send.is_some() || next.outcome.is_some() {
                step = next;
            }
        }
    }
}

/// Three nodes that vote since 100 s, and have granted nothing.
fn voting() -> Vec<Node> {
    let mut nodes = servers(3);
    for node in 0..3 {
        let event = join(&mut nodes, plan(3, node), NodeSet::EMPTY, 100);
        assert!(
            matches!(
                event,
                Some(JoinEvent::NewEra { .. } | JoinEvent::Rejoined { .. })
            ),
            "{event:?}"
        );
    }
    nodes
}

fn mark(node: &Node) -> u64 {
    match node.inspect(at(0)) {
        JoinReply::Inspected(said) => said.mark.get(),
        other => panic!("{other:?}"),
    }
}

fn acquire(node: &mut Node, now: u64) -> AcquireReply {
    let name = LockName::new("a").unwrap();
    let nonce = Nonce::from_bytes([1; 16]);
    let ask = Ask {
        mode: crate::Mode::Exclusive,
        slot: 0,
        hold: MAX_TTL,
        line: None,
        proposal: Token::NONE,
    };
    node.acquire(node.run_id(), &name, nonce, ask, at(now))
}

#[test]
fn a_new_set_begins_an_era_and_the_last_ones_rejoin() {
    let mut nodes = servers(3);
    let era = |event| match event {
        Some(JoinEvent::NewEra { floor }) => floor.get(),
        other => panic!("{other:?}"),
    };
    let first = era(join(&mut nodes, plan(3, 0), NodeSet::EMPTY, 100));
    assert_eq!(first, 100 * SECOND);
    let second = era(join(&mut nodes, plan(3, 1), NodeSet::EMPTY, 100));
    assert!(second > first);
    let third = join(&mut nodes, plan(3, 2), NodeSet::EMPTY, 100);
    let floor = token(second + LEAP);
    assert_eq!(third, Some(JoinEvent::Rejoined { floor }));
    assert!(nodes.iter().all(|node| mark(node) >= floor.get()));
    let event = join(&mut nodes, plan(3, 0), NodeSet::EMPTY, 101);
    assert_eq!(event, Some(JoinEvent::Kept));
    let mut one = servers(1);
    assert_eq!(
        era(join(&mut one, plan(1, 0), NodeSet::EMPTY, 50)),
        50 * SECOND
    );
}

#[test]
fn a_restart_is_waited_out_by_uptime() {
    let mut nodes = voting();
    let before = mark(&nodes[0]);
    nodes[0] = Node::start(run(9), Data::default(), at(200));
    let event = join(&mut nodes, plan(3, 0), NodeSet::EMPTY, 210);
    let left = Duration::from_secs(21);
    assert_eq!(event, Some(JoinEvent::Quarantined { left }));
    assert_eq!(acquire(&mut nodes[0], 210), AcquireReply::NotJoined);
    let event = join(&mut nodes, plan(3, 0), NodeSet::EMPTY, 231);
    let floor = token(before + LEAP);
    assert_eq!(event, Some(JoinEvent::Rejoined { floor }));
    assert!(mark(&nodes[1]) >= floor.get() && mark(&nodes[2]) >= floor.get());
}

#[test]
fn a_flush_is_waited_out_from_when_it_was_noticed() {
    let mut nodes = voting();
    nodes[0].flush();
    for (now, left) in [(500, 30), (510, 20)] {
        let event = join(&mut nodes, plan(3, 0), NodeSet::EMPTY, now);
        let left = Duration::from_secs(left);
        assert_eq!(event, Some(JoinEvent::Quarantined { left }));
    }
    let event = join(&mut nodes, plan(3, 0), NodeSet::EMPTY, 530);
    assert!(
        matches!(event, Some(JoinEvent::Rejoined { .. })),
        "{event:?}"
    );
}

#[test]
fn the_longest_max_ttl_that_anybody_knows_is_waited_out() {
    let mut nodes = voting();
    let hour = Duration::from_secs(3600);
    assert_eq!(nodes[2].keep(run(2), hour), JoinReply::Installed);
    nodes[0] = Node::start(run(9), Data::default(), at(200));
    let event = join(&mut nodes, plan(3, 0), NodeSet::EMPTY, 300);
    let left = hour - Duration::from_secs(99);
    assert_eq!(event, Some(JoinEvent::Quarantined { left }));
}

#[test]
fn too_few_others_are_waited_for() {
    let mut nodes = voting();
    nodes[0] = Node::start(run(9), Data::default(), at(200));
    let down = NodeSet::only(place(2));
    let event = join(&mut nodes, plan(3, 0), down, 300);
    let waits = JoinEvent::WaitsForOthers {
        voting: 1,
        forgotten: 1,
    };
    assert_eq!(event, Some(waits));
}

#[test]
fn with_no_quorum_left_an_era_begins_or_waits_for_a_word() {
    let mut nodes = voting();
    for id in [0, 1] {
        nodes[id] = Node::start(run(9), Data::default(), at(200));
    }
    let mut asks = plan(3, 0);
    asks.era = false;
    let event = join(&mut nodes, asks, NodeSet::EMPTY, 300);
    assert_eq!(event, Some(JoinEvent::WaitsForEra));
    let event = join(&mut nodes, plan(3, 0), NodeSet::EMPTY, 300);
    let floor = token(300 * SECOND);
    assert_eq!(event, Some(JoinEvent::NewEra { floor }));
    // What is remembered counts, if it is ahead of the clock.
    let mut nodes = voting();
    assert_eq!(nodes[2].raise(run(2), token(1 << 50)), JoinReply::Raised);
    for id in [0, 1] {
        nodes[id] = Node::start(run(9), Data::default(), at(200));
    }
    let event = join(&mut nodes, plan(3, 0), NodeSet::EMPTY, 300);
    let floor = token((1 << 50) + LEAP);
    assert_eq!(event, Some(JoinEvent::NewEra { floor }));
}

#[test]
fn a_durable_node_keeps_its_record_across_a_restart() {
    let mut nodes = voting();
    let data = nodes[0].snapshot();
    nodes[0] = Node::start(run(9), data, at(200));
    let mut durable = plan(3, 0);
    durable.durable = true;
    let event = join(&mut nodes, durable, NodeSet::EMPTY, 200);
    assert_eq!(event, Some(JoinEvent::Kept));
    assert!(matches!(
        acquire(&mut nodes[0], 200),
        AcquireReply::Granted { .. }
    ));
    // Without its record the word means nothing.
    nodes[0].flush();
    let event = join(&mut nodes, durable, NodeSet::EMPTY, 201);
    assert!(
        matches!(event, Some(JoinEvent::Quarantined { .. })),
        "{event:?}"
    );
}

#[test]
fn fresh_is_believed_of_a_new_set_only() {
    let fresh = |node| JoinPlan {
        fresh: true,
        ..plan(3, node)
    };
    let mut nodes = servers(3);
    for node in 0..3 {
        let event = join(&mut nodes, fresh(node), NodeSet::EMPTY, 1);
        assert!(
            matches!(
                event,
                Some(JoinEvent::NewEra { .. } | JoinEvent::Rejoined { .. })
            ),
            "{event:?}"
        );
    }
    nodes[0] = Node::start(run(9), Data::default(), at(200));
    let event = join(&mut nodes, fresh(0), NodeSet::EMPTY, 201);
    assert!(
        matches!(event, Some(JoinEvent::Quarantined { .. })),
        "{event:?}"
    );
}

#[test]
fn an_install_from_before_another_loss_is_refused() {
    let mut nodes = voting();
    let ticket = Nonce::from_bytes([1; 16]);
    nodes[0].flush();
    let _ = nodes[0].notice(run(0), ticket, at(200));
    let stale = JoinCommand::Install {
        ticket,
        floor: token(mark(&nodes[1]) + LEAP),
        max_ttl: MAX_TTL,
    };
    // Another client is quicker; then the node forgets again.
    let event = join(&mut nodes, plan(3, 0), NodeSet::EMPTY, 300);
    assert!(
        matches!(event, Some(JoinEvent::Rejoined { .. })),
        "{event:?}"
    );
    assert!(matches!(
        acquire(&mut nodes[0], 300),
        AcquireReply::Granted { .. }
    ));
    nodes[0].flush();
    let _ = nodes[0].notice(run(0), Nonce::from_bytes([2; 16]), at(301));
    assert_eq!(execute(&mut nodes[0], stale, at(301)), JoinReply::Refused);
    assert_eq!(acquire(&mut nodes[0], 301), AcquireReply::NotJoined);
}
