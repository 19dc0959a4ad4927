//! Permits: one of n.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use leasehold_core::{AcquireRequest, Error};

use super::cases;
use crate::kit::{Ask, Client, Lab};

cases! { "permits", "C3":
    n_are_admitted_and_no_more [PERMITS],
    one_given_back_admits_one [PERMITS],
    one_of_one_is_exclusive [PERMITS],
    not_beside_exclusive [PERMITS],
    another_number_is_refused [PERMITS],
    another_number_is_refused_to_waiters [PERMITS],
    never_more_than_n_at_once [PERMITS],
}

fn n_are_admitted_and_no_more(lab: &Lab) {
    let clients: [Client; 4] = lab.clients();
    for client in &clients[..3] {
        client.grant(&lab.ask("a").permit_of(3));
    }
    clients[3].busy(&lab.ask("a").permit_of(3));
    clients[0].busy(&lab.ask("a").permit_of(3));
}

fn one_given_back_admits_one(lab: &Lab) {
    let [one, two, three] = lab.clients();
    let first = one.grant(&lab.ask("a").permit_of(2));
    two.grant(&lab.ask("a").permit_of(2));
    let request = lab.wait("a").permit_of(2);
    three.queue(&request);
    one.give_back(&first);
    three.turn(&request);
    one.busy(&lab.ask("a").permit_of(2));
}

fn one_of_one_is_exclusive(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a").permit_of(1));
    other.busy(&lab.ask("a").permit_of(1));
    one.give_back(&lease);
    let next = other.grant(&lab.ask("a").permit_of(1));
    assert!(next.token > lease.token);
}

fn not_beside_exclusive(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    other.busy(&lab.ask("a").permit_of(5));
    one.give_back(&lease);
    other.grant(&lab.ask("a").permit_of(5));
    one.busy(&lab.ask("a"));
}

#[track_caller]
fn clashes(client: &Client, request: &AcquireRequest) {
    match client.try_acquire(request) {
        Err(Error::Invalid { remedy, .. }) => {
            assert!(!remedy.is_empty(), "the remedy is missing");
        }
        other => panic!("another number of permits must be invalid, but: {other:?}"),
    }
}

fn another_number_is_refused(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a").permit_of(2));
    clashes(&other, &lab.ask("a").permit_of(3));
    clashes(&other, &lab.wait("a").permit_of(3));
    let status = one.inspect("a");
    assert_eq!((status.holders.len(), status.waiters.len()), (1, 0));
    one.give_back(&lease);
    // With nobody there, any number will do.
    other.grant(&lab.ask("a").permit_of(3));
}

fn another_number_is_refused_to_waiters(lab: &Lab) {
    let [one, two, three] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    let request = lab.wait("a").permit_of(2);
    two.queue(&request);
    if lab.can.ordered {
        clashes(&three, &lab.wait("a").permit_of(3));
    }
    one.give_back(&lease);
    two.turn(&request);
    clashes(&three, &lab.wait("a").permit_of(3));
}

fn never_more_than_n_at_once(lab: &Lab) {
    let inside = AtomicU32::new(0);
    lab.together(6, |_| {
        let client = lab.client();
        for _ in 0..15 {
            let lease = client.turn(&lab.wait("a").permit_of(3));
            let others = inside.fetch_add(1, Ordering::SeqCst);
            assert!(others < 3, "{} at once", others + 1);
            // Long enough for everybody else to try.
            lab.pass(Instant::now(), Duration::from_millis(2));
            inside.fetch_sub(1, Ordering::SeqCst);
            client.give_back(&lease);
        }
    });
}
