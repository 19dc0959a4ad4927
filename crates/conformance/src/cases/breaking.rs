//! A lock broken by hand: C1 and C4 hold for whoever had it and whoever has it
//! next.

use leasehold_core::{Extended, Released};

use super::cases;
use crate::kit::{Ask, Client, Lab};

cases! { "breaking", "C4":
    the_broken_lease_is_lost [BREAK],
    the_floor_is_above_the_broken_token [BREAK],
    the_break_is_recorded [BREAK],
    the_answer_names_what_was_ended [BREAK],
    every_shared_lease_is_broken [BREAK, SHARED],
    the_next_in_line_has_it [BREAK, ORDERED],
    the_next_in_line_is_hinted [BREAK, PUSHED],
    a_free_lock_may_be_broken [BREAK],
    a_second_break_is_recorded_instead [BREAK],
    other_locks_are_left_alone [BREAK],
}

fn the_broken_lease_is_lost(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    other.break_lock("a", "to see");
    assert_eq!(one.extend(&lease), Extended::Lost);
    assert!(!one.inspect("a").is_in_use());
    assert_eq!(one.release(&lease), Released::AlreadyLost);
    let next = other.grant(&lab.ask("a"));
    assert_eq!(one.release(&lease), Released::AlreadyLost);
    assert_eq!(one.extend(&lease), Extended::Lost);
    assert_eq!(other.extend(&next), Extended::Extended);
}

fn the_floor_is_above_the_broken_token(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    let broken = other.break_lock("a", "to see");
    assert!(broken.floor > lease.token);
    assert!(other.inspect("a").floor >= broken.floor);
    let next = other.grant(&lab.ask("a"));
    assert!(next.token >= broken.floor);
}

fn the_break_is_recorded(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    let reason = "it's \"stuck\": 100 % \\ ünï ☃; -- '";
    other.break_lock("a", reason);
    let last = one.inspect("a").last_break.expect("the break is recorded");
    assert_eq!(last.by.as_str(), "operator");
    assert_eq!(last.reason, reason);
    assert_eq!(last.unix_seconds, 1_700_000_000);
    assert_eq!(last.ended, [lease.token]);
    // It stays while the lock is used on.
    other.give_back(&other.grant(&lab.ask("a")));
    assert_eq!(one.inspect("a").last_break, Some(last));
}

fn the_answer_names_what_was_ended(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a").owner("host-7 pid 12"));
    let broken = other.break_lock("a", "to see");
    let ended: Vec<_> = broken
        .ended
        .iter()
        .map(|held| (held.owner.as_str(), held.token, held.nonce))
        .collect();
    assert_eq!(ended, [("host-7 pid 12", lease.token, lease.nonce)]);
}

fn every_shared_lease_is_broken(lab: &Lab) {
    let clients: [Client; 3] = lab.clients();
    let leases = clients
        .each_ref()
        .map(|client| client.grant(&lab.ask("a").shared()));
    let broken = clients[0].break_lock("a", "to see");
    assert_eq!(broken.ended.len(), 3);
    for (client, lease) in clients.iter().zip(&leases) {
        assert!(broken.floor > lease.token);
        assert_eq!(client.extend(lease), Extended::Lost);
    }
    clients[0].grant(&lab.ask("a"));
}

fn the_next_in_line_has_it(lab: &Lab) {
    let [one, other, hasty] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    let request = lab.wait("a");
    other.queue(&request);
    let broken = hasty.break_lock("a", "to see");
    hasty.busy(&lab.ask("a"));
    let next = other.grant(&request);
    assert!(next.token >= broken.floor && broken.floor > lease.token);
}

fn the_next_in_line_is_hinted(lab: &Lab) {
    let [one, other] = lab.clients();
    one.grant(&lab.ask("a"));
    let request = lab.wait("a");
    other.queue(&request);
    one.break_lock("a", "to see");
    other.hint(&request);
    other.turn(&request);
}

fn a_free_lock_may_be_broken(lab: &Lab) {
    let client = lab.client();
    let broken = client.break_lock("never locked", "to see");
    assert!(broken.ended.is_empty());
    let lease = client.grant(&lab.ask("never locked"));
    assert!(lease.token >= broken.floor);
    client.give_back(&lease);
    let broken = client.break_lock("never locked", "to see");
    assert!(broken.ended.is_empty());
    assert!(broken.floor > lease.token);
    assert!(client.grant(&lab.ask("never locked")).token >= broken.floor);
}

fn a_second_break_is_recorded_instead(lab: &Lab) {
    let client = lab.client();
    client.grant(&lab.ask("a"));
    client.break_lock("a", "first");
    let lease = client.grant(&lab.ask("a"));
    client.break_lock("a", "second");
    let last = client.inspect("a").last_break.expect("recorded");
    assert_eq!(
        (last.reason.as_str(), &last.ended[..]),
        ("second", &[lease.token][..])
    );
}

fn other_locks_are_left_alone(lab: &Lab) {
    let client = lab.client();
    let lease = client.grant(&lab.ask("a/b"));
    client.break_lock("a", "to see");
    client.break_lock("a/", "to see");
    client.break_lock("A/B", "to see");
    assert_eq!(client.extend(&lease), Extended::Extended);
    assert_eq!(client.inspect("a/b").last_break, None);
}
