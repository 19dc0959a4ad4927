//! C3 and C6 among several processes, some of which are killed or stopped.

use std::time::Duration;

use leasehold_core::{AcquireRequest, Extended, Released, Token};

use super::cases;
use crate::agent::Agent;
use crate::kit::{Ask, Lab, sent};

cases! { "processes", "C6":
    they_exclude_each_other [PROCESSES],
    they_count_and_lose_nothing [PROCESSES],
    a_waiter_in_another_is_woken [PROCESSES],
    a_lease_passes_from_one_to_another [PROCESSES],
    a_killed_holder_frees_the_lock [PROCESSES],
    a_detached_lease_outlives_its_process [PROCESSES],
    a_killed_waiter_is_passed_over [PROCESSES, ORDERED],
    killed_at_any_moment_they_free_the_lock [PROCESSES],
    a_stopped_holder_loses_the_lock [PROCESSES],
    a_stopped_holder_has_it_until_ttl_and_grace [PROCESSES],
}

/// A lease that its holder's death is to end: at once where the engine can tell,
/// else when it runs out.
fn mortal(lab: &Lab, request: AcquireRequest) -> AcquireRequest {
    match lab.can.detects_death {
        true => request,
        // Nor does its place in the line outlast it by much.
        false if request.queue.is_some() => request.brief(lab.pace).queueing(lab.pace.interval),
        false => request.brief(lab.pace),
    }
}

/// The least time that such a lease holds its lock after its holder's death.
fn least(lab: &Lab) -> Duration {
    match lab.can.detects_death {
        true => Duration::ZERO,
        false => lab.pace.ttl + lab.pace.grace,
    }
}

fn they_exclude_each_other(lab: &Lab) {
    let here = lab.client();
    let mut agent = lab.agent();
    let lease = agent.grant(&lab.ask("a"));
    here.busy(&lab.ask("a"));
    assert_eq!(agent.release(&lease.name, lease.nonce), "released");
    let next = here.grant(&lab.ask("a"));
    assert!(next.token > lease.token);
    agent.queue(&lab.wait("a"));
}

fn they_count_and_lose_nothing(lab: &Lab) {
    const PROCESSES: u32 = 4;
    const TIMES: u32 = 40;
    let folder = tempfile::tempdir().expect("a folder for the counter");
    let counter = folder.path().join("counter");
    std::fs::write(&counter, "0").expect("the counter can be written");
    let mut agents: Vec<_> = (0..PROCESSES).map(|_| lab.agent()).collect();
    for agent in &mut agents {
        agent.count(&lab.wait("a"), TIMES, &counter);
    }
    for agent in &agents {
        assert_eq!(agent.reply(), "counted");
    }
    let count = std::fs::read_to_string(&counter).expect("the counter can be read");
    assert_eq!(count, (PROCESSES * TIMES).to_string());
}

fn a_waiter_in_another_is_woken(lab: &Lab) {
    let here = lab.client();
    let mut agent = lab.agent();
    let mut last = Token::NONE;
    for _ in 0..5 {
        let lease = here.turn(&lab.wait("a"));
        let request = lab.wait("a");
        agent.queue(&request);
        agent.start_turn(&request);
        here.give_back(&lease);
        let next = agent.end_turn(&request);
        assert!(next.token > lease.token && lease.token > last);
        last = next.token;
        assert_eq!(agent.release(&next.name, next.nonce), "released");
    }
}

fn a_lease_passes_from_one_to_another(lab: &Lab) {
    let here = lab.client();
    let (mut one, mut other) = (lab.agent(), lab.agent());
    let lease = one.grant(&lab.ask("a").detached());
    one.kill();
    assert_eq!(other.extend(&lease), "extended");
    here.busy(&lab.ask("a"));
    assert_eq!(other.release(&lease.name, lease.nonce), "released");
    assert_eq!(here.release(&lease), Released::AlreadyLost);
    here.grant(&lab.ask("a"));
}

fn a_killed_holder_frees_the_lock(lab: &Lab) {
    let here = lab.client();
    let mut agent = lab.agent();
    let (before, lease) = sent(|| agent.grant(&mortal(lab, lab.ask("a"))));
    let request = lab.wait("a");
    here.queue(&request);
    agent.kill();
    let next = here.turn(&request);
    assert!(before.elapsed() >= least(lab), "freed before TTL + grace");
    assert!(next.token > lease.token);
    assert_eq!(here.release(&lease), Released::AlreadyLost);
    here.give_back(&next);
}

fn a_detached_lease_outlives_its_process(lab: &Lab) {
    let here = lab.client();
    let mut agent = lab.agent();
    let (before, _) = sent(|| agent.grant(&lab.ask("a").detached().brief(lab.pace)));
    agent.kill();
    here.turn(&lab.wait("a"));
    let least = lab.pace.ttl + lab.pace.grace;
    assert!(before.elapsed() >= least, "freed before TTL + grace");
}

fn a_killed_waiter_is_passed_over(lab: &Lab) {
    let [holder, other] = lab.clients();
    let mut agent = lab.agent();
    let lease = holder.grant(&lab.ask("a"));
    let interval = match lab.can.detects_death {
        true => lab.pace.patience * 2,
        false => lab.pace.interval,
    };
    agent.queue(&lab.ask("a").queueing(interval));
    let request = lab.wait("a");
    other.queue(&request);
    agent.kill();
    holder.give_back(&lease);
    let next = other.turn(&request);
    assert!(next.token > lease.token);
}

fn killed_at_any_moment_they_free_the_lock(lab: &Lab) {
    let here = lab.client();
    let mut last = Token::NONE;
    for round in 0..6 {
        let mut agents: Vec<Agent> = (0..2).map(|_| lab.agent()).collect();
        for agent in &mut agents {
            agent.churn(&mortal(lab, lab.wait("a")));
        }
        for agent in &agents {
            assert_eq!(agent.reply(), "churning");
        }
        // No moment in particular, and another one each time.
        lab.pass(std::time::Instant::now(), Duration::from_millis(7) * round);
        for agent in &mut agents {
            agent.kill();
        }
        let lease = here.turn(&lab.wait("a"));
        assert!(lease.token > last);
        last = lease.token;
        here.give_back(&lease);
    }
}

fn a_stopped_holder_loses_the_lock(lab: &Lab) {
    let here = lab.client();
    let mut agent = lab.agent();
    let lease = agent.grant(&lab.ask("a").brief(lab.pace));
    agent.stop();
    let next = here.turn(&lab.wait("a"));
    assert!(next.token > lease.token);
    agent.go_on();
    assert_eq!(agent.extend(&lease), "lost");
    assert_eq!(agent.release(&lease.name, lease.nonce), "already lost");
    assert_eq!(here.extend(&next), Extended::Extended);
    here.give_back(&next);
}

fn a_stopped_holder_has_it_until_ttl_and_grace(lab: &Lab) {
    // Standing still is not being dead: it may go on at any moment.
    let here = lab.client();
    let mut agent = lab.agent();
    let (before, _) = sent(|| agent.grant(&lab.ask("a").brief(lab.pace)));
    agent.stop();
    here.turn(&lab.wait("a"));
    let least = lab.pace.ttl + lab.pace.grace;
    assert!(before.elapsed() >= least, "freed before TTL + grace");
}
