//! C1: every exclusive grant's token is greater than every earlier grant's.

use leasehold_core::Token;

use super::cases;
use crate::kit::{Ask, Client, Lab};

cases! { "tokens", "C1":
    the_first_is_a_token [],
    they_grow_over_releases [],
    they_grow_over_expiry [],
    they_grow_over_handovers [],
    they_grow_over_breaks [BREAK],
    they_grow_over_collection [COLLECT],
    collection_spares_what_is_in_use [COLLECT],
    they_grow_over_reopening [REOPEN],
    they_grow_over_collection_and_reopening [COLLECT, REOPEN],
}

/// Takes and releases a lock, and checks its token against the one before.
fn next(lab: &Lab, client: &Client, name: &str, last: Token) -> Token {
    let lease = client.grant(&lab.ask(name));
    client.give_back(&lease);
    assert_grew(name, last, lease.token);
    lease.token
}

fn assert_grew(name: &str, last: Token, token: Token) {
    assert!(
        token > last,
        "lock {name:?} had token {last} and then {token}"
    );
}

fn the_first_is_a_token(lab: &Lab) {
    // That a token is at most 2^53 - 1 is in its type; zero is "none".
    let lease = lab.client().grant(&lab.ask("a"));
    assert_ne!(lease.token, Token::NONE);
}

fn they_grow_over_releases(lab: &Lab) {
    let clients: [Client; 3] = lab.clients();
    let mut last = Token::NONE;
    for round in 0..30 {
        last = next(lab, &clients[round % 3], "a", last);
    }
}

fn they_grow_over_expiry(lab: &Lab) {
    let [one, other] = lab.clients();
    let old = one.grant(&lab.ask("a").brief(lab.pace));
    let new = other.turn(&lab.wait("a"));
    assert_grew("a", old.token, new.token);
}

fn they_grow_over_handovers(lab: &Lab) {
    let clients: [Client; 4] = lab.clients();
    let mut lease = clients[0].grant(&lab.ask("a"));
    for round in 1..12 {
        let (old, new) = (&clients[(round - 1) % 4], &clients[round % 4]);
        let request = lab.wait("a");
        new.queue(&request);
        old.give_back(&lease);
        let next = new.turn(&request);
        assert_grew("a", lease.token, next.token);
        lease = next;
    }
}

fn they_grow_over_breaks(lab: &Lab) {
    let [one, other] = lab.clients();
    let mut last = Token::NONE;
    for _ in 0..3 {
        let lease = one.grant(&lab.ask("a"));
        assert_grew("a", last, lease.token);
        let broken = other.break_lock("a", "to see");
        assert!(broken.floor > lease.token);
        last = next(lab, &other, "a", lease.token);
        assert!(last >= broken.floor, "a token below the floor");
    }
}

fn they_grow_over_collection(lab: &Lab) {
    let client = lab.client();
    let mut last = [Token::NONE; 3];
    for round in 0..4 {
        for (name, last) in ["a", "b", "c"].iter().zip(&mut last) {
            // Uneven, so that no name can live on another's count.
            for _ in 0..=round {
                *last = next(lab, &client, name, *last);
            }
        }
        lab.collect_idle();
    }
}

fn collection_spares_what_is_in_use(lab: &Lab) {
    let [one, other] = lab.clients();
    next(lab, &one, "idle", Token::NONE);
    let lease = one.grant(&lab.ask("a"));
    let request = lab.wait("a");
    other.queue(&request);
    lab.collect_idle();
    other.queue(&request);
    one.give_back(&lease);
    let next = other.turn(&request);
    assert_grew("a", lease.token, next.token);
}

fn they_grow_over_reopening(lab: &Lab) {
    let mut last = Token::NONE;
    for _ in 0..3 {
        let client = lab.client();
        last = next(lab, &client, "a", last);
        last = next(lab, &client, "a", last);
        drop(client);
        lab.reopen();
    }
}

fn they_grow_over_collection_and_reopening(lab: &Lab) {
    let mut last = Token::NONE;
    for _ in 0..3 {
        last = next(lab, &lab.client(), "a", last);
        lab.collect_idle();
        lab.reopen();
        last = next(lab, &lab.client(), "a", last);
    }
}
