//! C6: a crashed holder's lock is free at TTL + grace, not before and not much
//! later.
//!
//! "Not before" is judged by this process's own monotonic clock, from before the
//! request was sent, so that no delay can make a good engine look bad.

use leasehold_core::{Acquired, Extended};

use super::cases;
use crate::kit::{Ask, Lab, sent};

cases! { "liveness", "C6":
    a_waiter_has_it_after_ttl_and_grace [],
    a_try_has_it_after_ttl_and_grace [],
    an_extended_lease_lasts_from_its_extend [],
    an_expired_lease_is_not_shown [],
    an_extended_lease_outlives_its_first_ttl [],
    one_expiry_ends_one_lease [SHARED],
    a_waiter_is_told_when_to_look_again [],
    an_expired_lease_of_a_living_client_is_free_too [],
}

fn a_waiter_has_it_after_ttl_and_grace(lab: &Lab) {
    let [one, other] = lab.clients();
    let (before, lease) = sent(|| one.grant(&lab.ask("a").brief(lab.pace)));
    let next = other.turn(&lab.wait("a"));
    let least = lab.pace.ttl + lab.pace.grace;
    assert!(before.elapsed() >= least, "freed before TTL + grace");
    assert_eq!(one.extend(&lease), Extended::Lost);
    other.give_back(&next);
}

fn a_try_has_it_after_ttl_and_grace(lab: &Lab) {
    let [one, other] = lab.clients();
    let (before, _) = sent(|| one.grant(&lab.ask("a").brief(lab.pace)));
    let least = lab.pace.ttl + lab.pace.grace;
    loop {
        match other.acquire(&lab.ask("a")) {
            Acquired::Granted(_) => break,
            _ => assert!(before.elapsed() < lab.pace.patience, "not freed"),
        }
        // A look now and then, as a client without a line would.
        lab.pass(std::time::Instant::now(), lab.pace.grace / 10);
    }
    assert!(before.elapsed() >= least, "freed before TTL + grace");
}

fn an_extended_lease_lasts_from_its_extend(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a").lasting(lab.pace.ttl * 3, lab.pace.grace));
    // Late in its TTL, so that the two ends lie apart.
    lab.pass(std::time::Instant::now(), lab.pace.ttl);
    let longer = lab.pace.ttl * 3;
    let (before, answer) = sent(|| one.extend_as(&lease.name, lease.nonce, longer));
    other.turn(&lab.wait("a"));
    let least = longer + lab.pace.grace;
    assert!(
        answer == Extended::Lost || before.elapsed() >= least,
        "freed before TTL + grace"
    );
}

fn an_expired_lease_is_not_shown(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a").brief(lab.pace));
    let granted = std::time::Instant::now();
    while other.inspect("a").is_in_use() {
        assert!(granted.elapsed() < lab.pace.patience, "shown for ever");
        lab.pass(std::time::Instant::now(), lab.pace.grace / 10);
    }
    if lab.can.list {
        assert!(other.list("").is_empty());
    }
    assert_eq!(one.extend(&lease), Extended::Lost);
}

fn an_extended_lease_outlives_its_first_ttl(lab: &Lab) {
    let [one, other] = lab.clients();
    // Extended again and again by a TTL that is short, and far more often than
    // needed; still, a busy machine may miss one, which shows nothing.
    let survived = (0..20).any(|_| {
        let lease = one.turn(&lab.wait("a").brief(lab.pace));
        let granted = std::time::Instant::now();
        while granted.elapsed() < (lab.pace.ttl + lab.pace.grace) * 2 {
            match one.extend_as(&lease.name, lease.nonce, lab.pace.ttl) {
                Extended::Extended => {
                    assert!(matches!(other.acquire(&lab.ask("a")), Acquired::Busy(_)))
                }
                Extended::Lost => return false,
            }
            lab.pass(std::time::Instant::now(), lab.pace.ttl / 10);
        }
        one.release(&lease);
        true
    });
    assert!(survived, "no lease outlived its first TTL in 20 tries");
}

fn one_expiry_ends_one_lease(lab: &Lab) {
    let [one, two, writer] = lab.clients();
    one.grant(&lab.ask("a").shared().brief(lab.pace));
    let long = two.grant(&lab.ask("a").shared());
    let granted = std::time::Instant::now();
    lab.pass(granted, (lab.pace.ttl + lab.pace.grace) * 2);
    writer.busy(&lab.ask("a"));
    assert_eq!(two.extend(&long), Extended::Extended);
    two.give_back(&long);
    writer.grant(&lab.ask("a"));
}

fn a_waiter_is_told_when_to_look_again(lab: &Lab) {
    let [one, other] = lab.clients();
    one.grant(&lab.ask("a").lasting(lab.pace.patience, lab.pace.grace));
    let brief = lab.pace.interval;
    let queued = other.queue(&lab.ask("a").queueing(brief));
    assert!(!queued.recheck_after.is_zero(), "a busy loop");
    assert!(queued.recheck_after <= brief, "later than it promised");
}

fn an_expired_lease_of_a_living_client_is_free_too(lab: &Lab) {
    // Whoever forgets a lease and lives on must not keep it by living on.
    let [one, other] = lab.clients();
    one.grant(&lab.ask("a").brief(lab.pace));
    one.give_back(&one.grant(&lab.ask("another")));
    let next = one.turn(&lab.wait("a"));
    one.give_back(&next);
    other.grant(&lab.ask("a"));
}
