//! C6: waiters are woken, in order, and none is lost.

use std::time::{Duration, Instant};

use leasehold_core::{AcquireRequest, Released};

use super::cases;
use crate::kit::{Ask, Client, Lab, drive};

cases! { "line", "C6":
    waiters_are_served_in_order [ORDERED],
    a_waiter_knows_how_many_are_ahead [ORDERED],
    nobody_passes_the_line [ORDERED],
    whoever_gives_up_is_skipped [ORDERED],
    whoever_gives_up_in_the_middle_is_skipped [ORDERED],
    whoever_gives_up_a_handover_passes_it_on [ORDERED],
    whoever_falls_silent_falls_out [ORDERED],
    whoever_asks_again_stays [ORDERED],
    a_handover_nobody_claims_passes_on [ORDERED],
    a_silent_client_loses_only_its_own_place [ORDERED],
    a_handover_is_hinted [PUSHED],
    a_hint_before_the_wait_is_kept [PUSHED],
    a_hint_is_kept_over_a_dropped_wait [PUSHED],
    every_waiter_is_woken [],
    many_locks_wake_their_own_waiters [],
    one_client_may_wait_often [],
}

/// Clients that queue for `a`, one after the other.
fn line<const N: usize>(lab: &Lab) -> [(Client, AcquireRequest); N] {
    std::array::from_fn(|_| {
        let (client, request) = (lab.client(), lab.wait("a"));
        client.queue(&request);
        (client, request)
    })
}

fn waiters_are_served_in_order(lab: &Lab) {
    let holder = lab.client();
    let mut lease = holder.grant(&lab.ask("a"));
    let line: [_; 5] = line(lab);
    let mut last = &holder;
    for (next, (client, request)) in line.iter().enumerate() {
        last.give_back(&lease);
        for (later, request) in &line[next + 1..] {
            later.queue(request);
        }
        lease = client.grant(request);
        last = client;
    }
}

fn a_waiter_knows_how_many_are_ahead(lab: &Lab) {
    let holder = lab.client();
    holder.grant(&lab.ask("a"));
    let line: [_; 4] = line(lab);
    for (place, (client, request)) in line.iter().enumerate() {
        assert_eq!(client.queue(request).ahead, place);
    }
    line[1].0.release_as(&line[1].1.name, line[1].1.nonce);
    for (ahead, place) in [(0, 0), (1, 2), (2, 3)] {
        let (client, request) = &line[place];
        assert_eq!(client.queue(request).ahead, ahead);
    }
}

fn nobody_passes_the_line(lab: &Lab) {
    let [holder, hasty] = lab.clients();
    let lease = holder.grant(&lab.ask("a"));
    let [(one, first), (two, second)] = line(lab);
    holder.give_back(&lease);
    // The lock is not held now, but it is spoken for.
    hasty.busy(&lab.ask("a"));
    holder.busy(&lab.ask("a"));
    let late = lab.wait("a");
    hasty.queue(&late);
    let lease = one.grant(&first);
    hasty.busy(&lab.ask("a"));
    one.give_back(&lease);
    hasty.queue(&late);
    let lease = two.grant(&second);
    two.give_back(&lease);
    hasty.grant(&late);
}

fn whoever_gives_up_is_skipped(lab: &Lab) {
    let holder = lab.client();
    let lease = holder.grant(&lab.ask("a"));
    let [(one, first), (two, second)] = line(lab);
    assert_eq!(
        one.release_as(&first.name, first.nonce),
        Released::Released,
        "a place in the line was given back"
    );
    holder.give_back(&lease);
    two.grant(&second);
    one.busy(&lab.ask("a"));
}

fn whoever_gives_up_in_the_middle_is_skipped(lab: &Lab) {
    let holder = lab.client();
    let lease = holder.grant(&lab.ask("a"));
    let [(one, first), (two, second), (three, third)] = line(lab);
    two.release_as(&second.name, second.nonce);
    holder.give_back(&lease);
    let lease = one.grant(&first);
    one.give_back(&lease);
    three.grant(&third);
}

fn whoever_gives_up_a_handover_passes_it_on(lab: &Lab) {
    let holder = lab.client();
    let lease = holder.grant(&lab.ask("a"));
    let [(one, first), (two, second)] = line(lab);
    holder.give_back(&lease);
    // Handed over to the first, which never heard of it.
    one.release_as(&first.name, first.nonce);
    two.turn(&second);
}

fn whoever_falls_silent_falls_out(lab: &Lab) {
    let [holder, silent, other] = lab.clients();
    let lease = holder.grant(&lab.ask("a"));
    let promised = lab.ask("a").queueing(lab.pace.interval);
    silent.queue(&promised);
    let asked = Instant::now();
    let request = lab.wait("a");
    other.queue(&request);
    // Three intervals, and a little for the store's clock to be past them.
    lab.pass(asked, lab.pace.interval * 3 + lab.pace.interval / 2);
    assert_eq!(other.queue(&request).ahead, 0, "it is still in the line");
    holder.give_back(&lease);
    let lease = other.grant(&request);
    // It may come back, at the end.
    silent.queue(&promised);
    other.give_back(&lease);
    silent.turn(&promised);
}

fn whoever_asks_again_stays(lab: &Lab) {
    let [holder, one, other] = lab.clients();
    // Ten times within each three intervals; a busy machine may still miss them
    // all, which shows nothing.
    let interval = lab.pace.interval * 4;
    let stayed = (0..20).any(|_| {
        let lease = holder.grant(&lab.ask("a"));
        let promised = lab.ask("a").queueing(interval);
        one.queue(&promised);
        let request = lab.wait("a");
        other.queue(&request);
        let mut asked = Instant::now();
        let (began, mut in_time) = (asked, true);
        while began.elapsed() < interval * 4 && in_time {
            lab.pass(asked, interval * 3 / 10);
            in_time = asked.elapsed() < interval * 2;
            asked = Instant::now();
            let ahead = one.queue(&promised).ahead;
            assert!(ahead == 0 || !in_time, "it asked in time and fell out");
        }
        one.release_as(&promised.name, promised.nonce);
        other.release_as(&request.name, request.nonce);
        holder.give_back(&lease);
        in_time
    });
    assert!(stayed, "nobody could ask in time in 20 tries");
}

fn a_handover_nobody_claims_passes_on(lab: &Lab) {
    let [holder, silent, other] = lab.clients();
    let lease = holder.grant(&lab.ask("a"));
    silent.queue(&lab.ask("a").queueing(lab.pace.interval));
    let request = lab.wait("a");
    other.queue(&request);
    holder.give_back(&lease);
    let next = other.turn(&request);
    assert!(next.token > lease.token);
    other.give_back(&next);
    holder.grant(&lab.ask("a"));
}

fn a_silent_client_loses_only_its_own_place(lab: &Lab) {
    let [holder, silent] = lab.clients();
    let lease = holder.grant(&lab.ask("a"));
    silent.queue(&lab.ask("a").queueing(lab.pace.interval));
    let asked = Instant::now();
    let line: [_; 3] = line(lab);
    lab.pass(asked, lab.pace.interval * 4);
    holder.give_back(&lease);
    for (client, request) in &line {
        let lease = client.turn(request);
        client.give_back(&lease);
    }
}

fn a_handover_is_hinted(lab: &Lab) {
    let holder = lab.client();
    let lease = holder.grant(&lab.ask("a"));
    let [(one, request)] = line(lab);
    let mut hint = one.engine.hint(&request.name, request.nonce);
    // Under way before the release.
    let early = drive::at_most(1, lab.pace.patience, &mut hint);
    holder.give_back(&lease);
    if early.is_err() {
        one.wait("the wait for a hint", &mut hint);
    }
    one.turn(&request);
}

fn a_hint_before_the_wait_is_kept(lab: &Lab) {
    let holder = lab.client();
    let lease = holder.grant(&lab.ask("a"));
    let [(one, request)] = line(lab);
    holder.give_back(&lease);
    one.hint(&request);
    one.turn(&request);
}

fn a_hint_is_kept_over_a_dropped_wait(lab: &Lab) {
    let holder = lab.client();
    let lease = holder.grant(&lab.ask("a"));
    let [(one, request)] = line(lab);
    let hint = || one.engine.hint(&request.name, request.nonce);
    let early = drive::at_most(1, lab.pace.patience, hint());
    holder.give_back(&lease);
    if early.is_err() {
        one.hint(&request);
    }
    one.turn(&request);
}

fn every_waiter_is_woken(lab: &Lab) {
    // No place needs refreshing and no lease runs out: a wake-up that is lost
    // leaves everybody waiting.
    lab.together(8, |_| {
        let client = lab.client();
        for _ in 0..15 {
            let lease = client.turn(&lab.wait("a"));
            // Long enough for everybody else to be in the line.
            lab.pass(Instant::now(), Duration::from_millis(2));
            client.give_back(&lease);
        }
    });
}

fn many_locks_wake_their_own_waiters(lab: &Lab) {
    const LOCKS: usize = 3;
    lab.together(LOCKS * 2, |number| {
        let client = lab.client();
        let name = format!("lock-{}", number % LOCKS);
        for _ in 0..15 {
            let lease = client.turn(&lab.wait(&name));
            lab.pass(Instant::now(), Duration::from_millis(2));
            client.give_back(&lease);
        }
    });
}

fn one_client_may_wait_often(lab: &Lab) {
    let client = lab.client();
    let lease = client.grant(&lab.ask("a"));
    let requests: Vec<_> = (0..4).map(|_| lab.wait("a")).collect();
    for request in &requests {
        client.queue(request);
    }
    client.give_back(&lease);
    for request in &requests {
        let lease = client.turn(request);
        client.give_back(&lease);
    }
}
