//! C5: repeated, late and lost requests.

use leasehold_core::{Acquired, Extended, Released};

use super::cases;
use crate::kit::{Ask, Client, Lab, drive, sent};

cases! { "outcomes", "C5":
    a_repeated_acquire_is_the_same_grant [],
    a_repeated_acquire_counts_from_itself [],
    a_repeated_acquire_may_come_from_elsewhere [],
    a_repeated_wait_is_one_place [],
    one_request_sent_many_times_at_once_is_one_grant [],
    a_request_that_was_never_sent_leaves_nothing [],
    a_refused_request_leaves_nothing [],
    a_late_claim_is_answered_with_the_grant [],
    a_place_is_given_back_by_its_nonce [],
    a_release_beside_its_own_acquire_leaves_nothing [],
    a_repeat_after_the_end_is_a_new_grant [],
}

fn a_repeated_acquire_is_the_same_grant(lab: &Lab) {
    let [one, other] = lab.clients();
    let request = lab.ask("a");
    let lease = one.grant(&request);
    for _ in 0..3 {
        assert_eq!(one.grant(&request).token, lease.token);
    }
    assert_eq!(one.inspect("a").holders.len(), 1);
    one.give_back(&lease);
    // One release is enough, however often it was asked for.
    other.grant(&lab.ask("a"));
}

fn a_repeated_acquire_counts_from_itself(lab: &Lab) {
    let [one, other] = lab.clients();
    let request = lab.ask("a").detached().brief(lab.pace);
    one.grant(&request);
    let (before, _) = sent(|| one.acquire(&request));
    other.turn(&lab.wait("a"));
    let least = lab.pace.ttl + lab.pace.grace;
    assert!(before.elapsed() >= least, "freed before TTL + grace");
}

fn a_repeated_acquire_may_come_from_elsewhere(lab: &Lab) {
    let [one, other] = lab.clients();
    let request = lab.ask("a").detached();
    let lease = one.grant(&request);
    assert_eq!(other.grant(&request).token, lease.token);
    other.give_back(&lease);
    assert_eq!(one.extend(&lease), Extended::Lost);
}

fn a_repeated_wait_is_one_place(lab: &Lab) {
    let [holder, one, other] = lab.clients();
    let lease = holder.grant(&lab.ask("a"));
    let request = lab.wait("a");
    for _ in 0..3 {
        one.queue(&request);
    }
    if lab.can.ordered {
        assert_eq!(holder.inspect("a").waiters.len(), 1);
    }
    holder.give_back(&lease);
    let lease = one.turn(&request);
    one.give_back(&lease);
    other.grant(&lab.ask("a"));
}

fn one_request_sent_many_times_at_once_is_one_grant(lab: &Lab) {
    let client = lab.client();
    for _ in 0..5 {
        let request = lab.ask("a");
        let leases = lab.together(4, |_| client.grant(&request));
        assert!(
            leases.iter().all(|lease| lease.token == leases[0].token),
            "one nonce, several tokens: {leases:?}"
        );
        client.give_back(&leases[0]);
        assert!(client.inspect("a").holders.is_empty());
    }
}

fn a_request_that_was_never_sent_leaves_nothing(lab: &Lab) {
    let [one, other] = lab.clients();
    let request = lab.ask("a");
    drop(one.engine.acquire(&request));
    other.give_back(&other.grant(&lab.ask("a")));
    let waiting = lab.wait("a");
    drop(one.engine.acquire(&waiting));
    other.grant(&lab.ask("a"));
}

fn a_refused_request_leaves_nothing(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    let request = lab.ask("a");
    other.busy(&request);
    let status = one.inspect("a");
    assert_eq!((status.holders.len(), status.waiters.len()), (1, 0));
    assert_eq!(
        other.release_as(&request.name, request.nonce),
        Released::AlreadyLost
    );
    one.give_back(&lease);
    assert!(one.inspect("a").holders.is_empty());
}

fn a_late_claim_is_answered_with_the_grant(lab: &Lab) {
    // The answer to a claim is lost, and the waiter asks again.
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    let request = lab.wait("a");
    other.queue(&request);
    one.give_back(&lease);
    let first = other.turn(&request);
    let again = other.grant(&request);
    assert_eq!(first.token, again.token);
    other.give_back(&again);
    one.grant(&lab.ask("a"));
}

fn a_place_is_given_back_by_its_nonce(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    let request = lab.wait("a");
    other.queue(&request);
    other.release_as(&request.name, request.nonce);
    assert!(one.inspect("a").waiters.is_empty(), "it still waits");
    assert_eq!(
        other.release_as(&request.name, request.nonce),
        Released::AlreadyLost
    );
    one.give_back(&lease);
    one.grant(&lab.ask("a"));
}

fn a_release_beside_its_own_acquire_leaves_nothing(lab: &Lab) {
    let [one, other]: [Client; 2] = lab.clients();
    for polls in 0..8 {
        let request = lab.ask("a");
        // The acquire's answer is still awaited when the release is called.
        let mut acquire = one.engine.acquire(&request);
        let early = drive::at_most(polls, lab.pace.patience, &mut acquire);
        let mut release = one.engine.release(&request.name, request.nonce);
        let begun = drive::at_most(1, lab.pace.patience, &mut release);
        if early.is_err() {
            // Either answer may come first; both must come.
            let _ = one.wait("an acquire", &mut acquire);
        }
        if begun.is_err() {
            let _ = one.wait("a release", &mut release);
        }
        drop((acquire, release));
        one.release_as(&request.name, request.nonce);
        let lease = other.grant(&lab.ask("a"));
        other.give_back(&lease);
    }
}

fn a_repeat_after_the_end_is_a_new_grant(lab: &Lab) {
    let client = lab.client();
    let request = lab.ask("a");
    let lease = client.grant(&request);
    client.give_back(&lease);
    match client.acquire(&request) {
        Acquired::Granted(granted) => assert!(
            granted.token > lease.token,
            "the token of a lease that was given back came again"
        ),
        other => panic!("a free lock was not granted: {other:?}"),
    }
}
