//! C4: extend and release go by the grant's nonce.

use std::time::Duration;

use leasehold_core::{Extended, LockName, Released};

use super::cases;
use crate::kit::{Ask, Lab, nonce, sent};

cases! { "ownership", "C4":
    an_extend_prolongs [],
    a_shorter_extend_lasts_its_own_ttl [],
    an_extend_of_a_released_lease_is_lost [],
    an_extend_of_an_expired_lease_is_lost [],
    an_extend_within_the_grace_is_lost [],
    an_extend_of_an_unknown_nonce_is_lost [],
    an_extend_of_a_waiter_is_lost [],
    a_release_within_the_grace_frees [],
    a_second_release_is_already_lost [],
    a_release_of_an_unknown_nonce_changes_nothing [],
    a_late_release_leaves_the_next_holder_alone [],
    any_client_that_knows_the_nonce_may [],
}

fn an_extend_prolongs(lab: &Lab) {
    let [one, other] = lab.clients();
    // On a busy machine an extend may come too late; then it shows nothing.
    let tries = 50;
    let prolonged = (0..tries).find_map(|_| {
        let lease = one.turn(&lab.wait("a").brief(lab.pace));
        let (before, answer) = sent(|| one.extend(&lease));
        (answer == Extended::Extended).then_some((before, lease))
    });
    let (extended, lease) = prolonged
        .unwrap_or_else(|| panic!("an extend right after the grant was lost {tries} times"));
    lab.pass(extended, (lab.pace.ttl + lab.pace.grace) * 2);
    other.busy(&lab.ask("a"));
    one.give_back(&lease);
}

fn a_shorter_extend_lasts_its_own_ttl(lab: &Lab) {
    let [one, other] = lab.clients();
    let long = lab.pace.ttl * 4;
    let lease = one.grant(&lab.ask("a").lasting(long, Duration::ZERO));
    let (before, answer) = sent(|| one.extend_as(&lease.name, lease.nonce, lab.pace.ttl));
    // The grant may still end when the longer one would have: the answer to this
    // extend may be lost, and its holder rely on the one before.
    other.turn(&lab.wait("a"));
    let least = lab.pace.ttl;
    assert!(
        answer == Extended::Lost || before.elapsed() >= least,
        "freed before the TTL it was extended by"
    );
    assert_eq!(one.extend(&lease), Extended::Lost);
}

fn an_extend_of_a_released_lease_is_lost(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    one.give_back(&lease);
    assert_eq!(one.extend(&lease), Extended::Lost);
    assert!(one.inspect("a").holders.is_empty(), "revived");
    other.grant(&lab.ask("a"));
}

fn an_extend_of_an_expired_lease_is_lost(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a").brief(lab.pace));
    let next = other.turn(&lab.wait("a"));
    assert_eq!(one.extend(&lease), Extended::Lost);
    assert_eq!(other.extend(&next), Extended::Extended);
    other.give_back(&next);
    assert_eq!(one.extend(&lease), Extended::Lost);
    other.grant(&lab.ask("a"));
}

fn an_extend_within_the_grace_is_lost(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a").lasting(lab.pace.ttl, lab.pace.patience * 4));
    let granted = std::time::Instant::now();
    lab.pass(granted, lab.pace.ttl + Duration::from_millis(20));
    assert_eq!(one.extend(&lease), Extended::Lost);
    // The grace is for the holder to stop in; nobody else has the lock yet.
    other.busy(&lab.ask("a"));
}

fn an_extend_of_an_unknown_nonce_is_lost(lab: &Lab) {
    let [one, other] = lab.clients();
    let name = LockName::new("a").expect("a name that is allowed");
    let long = lab.pace.patience;
    assert_eq!(other.extend_as(&name, nonce(), long), Extended::Lost);
    assert!(!one.inspect("a").is_in_use(), "created");
    let lease = one.grant(&lab.ask("a"));
    assert_eq!(other.extend_as(&name, nonce(), long), Extended::Lost);
    let elsewhere = LockName::new("b").expect("a name that is allowed");
    assert_eq!(
        one.extend_as(&elsewhere, lease.nonce, long),
        Extended::Lost,
        "a nonce is good for its own lock only"
    );
    one.give_back(&lease);
}

fn an_extend_of_a_waiter_is_lost(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    let request = lab.wait("a");
    other.queue(&request);
    let answer = other.extend_as(&request.name, request.nonce, lab.pace.patience);
    assert_eq!(answer, Extended::Lost);
    other.queue(&request);
    one.give_back(&lease);
    other.turn(&request);
}

fn a_release_within_the_grace_frees(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a").lasting(lab.pace.ttl, lab.pace.patience * 4));
    let granted = std::time::Instant::now();
    lab.pass(granted, lab.pace.ttl + Duration::from_millis(20));
    other.busy(&lab.ask("a"));
    assert_eq!(one.release(&lease), Released::AlreadyLost);
    other.grant(&lab.ask("a"));
}

fn a_second_release_is_already_lost(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    one.give_back(&lease);
    assert_eq!(one.release(&lease), Released::AlreadyLost);
    let next = other.grant(&lab.ask("a"));
    assert_eq!(one.release(&lease), Released::AlreadyLost);
    assert_eq!(other.extend(&next), Extended::Extended);
}

fn a_release_of_an_unknown_nonce_changes_nothing(lab: &Lab) {
    let [one, other] = lab.clients();
    let name = LockName::new("a").expect("a name that is allowed");
    assert_eq!(other.release_as(&name, nonce()), Released::AlreadyLost);
    let lease = one.grant(&lab.ask("a"));
    let request = lab.wait("a");
    other.queue(&request);
    assert_eq!(other.release_as(&name, nonce()), Released::AlreadyLost);
    assert_eq!(one.extend(&lease), Extended::Extended);
    other.queue(&request);
}

fn a_late_release_leaves_the_next_holder_alone(lab: &Lab) {
    let [one, other, third] = lab.clients();
    let lease = one.grant(&lab.ask("a").brief(lab.pace));
    let next = other.turn(&lab.wait("a"));
    assert_eq!(one.release(&lease), Released::AlreadyLost);
    third.busy(&lab.ask("a"));
    assert_eq!(other.extend(&next), Extended::Extended);
}

fn any_client_that_knows_the_nonce_may(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a").detached());
    drop(one);
    assert_eq!(other.extend(&lease), Extended::Extended);
    other.give_back(&lease);
    other.grant(&lab.ask("a"));
}
