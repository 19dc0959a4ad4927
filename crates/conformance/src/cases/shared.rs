//! Shared locks: C3 as it applies to them.

use leasehold_core::Mode;

use super::cases;
use crate::kit::{Ask, Client, Lab};

cases! { "shared", "C3":
    beside_shared [SHARED],
    not_beside_exclusive [SHARED],
    the_last_one_out_frees_the_lock [SHARED],
    behind_a_waiting_exclusive_waits [SHARED, ORDERED],
    a_crowd_is_let_in_together [SHARED, ORDERED],
    tokens_of_exclusive_grants_are_greater [SHARED],
    each_is_extended_and_lost_by_itself [SHARED],
    they_are_listed_as_such [SHARED],
}

fn beside_shared(lab: &Lab) {
    let clients: [Client; 4] = lab.clients();
    let leases: Vec<_> = clients
        .iter()
        .map(|client| client.grant(&lab.ask("a").shared()))
        .collect();
    for (client, lease) in clients.iter().zip(&leases) {
        client.give_back(lease);
    }
}

fn not_beside_exclusive(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    other.busy(&lab.ask("a").shared());
    one.give_back(&lease);
    let lease = one.grant(&lab.ask("a").shared());
    other.busy(&lab.ask("a"));
    one.give_back(&lease);
    other.grant(&lab.ask("a"));
}

fn the_last_one_out_frees_the_lock(lab: &Lab) {
    let [one, two, writer] = lab.clients();
    let first = one.grant(&lab.ask("a").shared());
    let second = two.grant(&lab.ask("a").shared());
    one.give_back(&first);
    writer.busy(&lab.ask("a"));
    two.give_back(&second);
    writer.grant(&lab.ask("a"));
}

fn behind_a_waiting_exclusive_waits(lab: &Lab) {
    let [reader, writer, late] = lab.clients();
    let reading = reader.grant(&lab.ask("a").shared());
    let write = lab.wait("a");
    writer.queue(&write);
    late.busy(&lab.ask("a").shared());
    let read = lab.wait("a").shared();
    assert_eq!(late.queue(&read).ahead, 1);
    reader.give_back(&reading);
    let writing = writer.turn(&write);
    late.queue(&read);
    writer.give_back(&writing);
    late.turn(&read);
}

fn a_crowd_is_let_in_together(lab: &Lab) {
    let [writer, last] = lab.clients();
    let writing = writer.grant(&lab.ask("a"));
    let readers: [Client; 4] = lab.clients();
    let reads = readers.each_ref().map(|reader| {
        let read = lab.wait("a").shared();
        reader.queue(&read);
        read
    });
    let write = lab.wait("a");
    last.queue(&write);
    writer.give_back(&writing);
    let reading: Vec<_> = readers
        .iter()
        .zip(&reads)
        .map(|(reader, read)| reader.turn(read))
        .collect();
    last.queue(&write);
    for (reader, lease) in readers.iter().zip(&reading) {
        reader.give_back(lease);
    }
    last.turn(&write);
}

fn tokens_of_exclusive_grants_are_greater(lab: &Lab) {
    let [one, two, writer] = lab.clients();
    let first = writer.grant(&lab.ask("a"));
    writer.give_back(&first);
    let leases = [
        one.grant(&lab.ask("a").shared()),
        two.grant(&lab.ask("a").shared()),
    ];
    one.give_back(&leases[0]);
    two.give_back(&leases[1]);
    let last = writer.grant(&lab.ask("a"));
    assert!(leases.iter().all(|lease| lease.token < last.token));
    assert!(first.token < last.token);
}

fn each_is_extended_and_lost_by_itself(lab: &Lab) {
    use leasehold_core::Extended;
    let [one, other] = lab.clients();
    let first = one.grant(&lab.ask("a").shared());
    let second = other.grant(&lab.ask("a").shared());
    one.give_back(&first);
    assert_eq!(one.extend(&first), Extended::Lost);
    assert_eq!(other.extend(&second), Extended::Extended);
}

fn they_are_listed_as_such(lab: &Lab) {
    let [one, other] = lab.clients();
    one.grant(&lab.ask("a").shared());
    other.grant(&lab.ask("a").shared());
    let status = one.inspect("a");
    let modes: Vec<_> = status.holders.iter().map(|holder| holder.mode).collect();
    assert_eq!(modes, [Mode::Shared, Mode::Shared]);
}
