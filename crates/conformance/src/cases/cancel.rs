//! C7: dropping any future at any await leaves nothing held.
//!
//! Each future is dropped after its first poll, then a like one after its second,
//! and so on until one is ready before it is dropped.

use leasehold_core::{BreakRequest, ExtendRequest, Extended};

use super::cases;
use crate::kit::{Lab, drive};

cases! { "cancel", "C7":
    a_dropped_acquire_is_undone_by_a_release [],
    a_dropped_wait_is_undone_by_a_release [],
    a_dropped_claim_is_undone_by_a_release [],
    a_dropped_claim_can_be_repeated [],
    a_dropped_refresh_keeps_the_place [],
    a_dropped_extend_leaves_the_lease [],
    a_dropped_release_is_carried_out [],
    a_dropped_release_hands_over [],
    a_dropped_look_changes_nothing [],
    a_dropped_break_can_be_repeated [BREAK],
}

/// After how many polls a future is dropped at most.
const MOST_POLLS: u32 = 64;

/// Calls `cut` with 0, 1, 2 … polls until it says that the future was ready.
fn at_every_await(mut cut: impl FnMut(u32) -> bool) {
    for polls in 0..MOST_POLLS {
        if cut(polls) {
            return;
        }
    }
}

fn a_dropped_acquire_is_undone_by_a_release(lab: &Lab) {
    let [one, other] = lab.clients();
    at_every_await(|polls| {
        let request = lab.ask("a");
        let ready = drive::at_most(polls, lab.pace.patience, one.engine.acquire(&request)).is_ok();
        one.release_as(&request.name, request.nonce);
        let status = other.inspect("a");
        assert!(!status.is_in_use(), "after {polls} polls: {status:?}");
        let lease = other.grant(&lab.ask("a"));
        other.give_back(&lease);
        ready
    });
}

fn a_dropped_wait_is_undone_by_a_release(lab: &Lab) {
    let [holder, one, other] = lab.clients();
    at_every_await(|polls| {
        let lease = holder.grant(&lab.ask("a"));
        let request = lab.wait("a");
        let ready = drive::at_most(polls, lab.pace.patience, one.engine.acquire(&request)).is_ok();
        one.release_as(&request.name, request.nonce);
        let waiting = holder.inspect("a").waiters.len();
        assert_eq!(waiting, 0, "after {polls} polls");
        holder.give_back(&lease);
        let lease = other.grant(&lab.ask("a"));
        other.give_back(&lease);
        ready
    });
}

fn a_dropped_claim_is_undone_by_a_release(lab: &Lab) {
    let [holder, one, other] = lab.clients();
    at_every_await(|polls| {
        let lease = holder.grant(&lab.ask("a"));
        let request = lab.wait("a");
        one.queue(&request);
        let next = lab.wait("a");
        other.queue(&next);
        holder.give_back(&lease);
        let ready = drive::at_most(polls, lab.pace.patience, one.engine.acquire(&request)).is_ok();
        one.release_as(&request.name, request.nonce);
        let lease = other.turn(&next);
        other.give_back(&lease);
        ready
    });
}

fn a_dropped_claim_can_be_repeated(lab: &Lab) {
    let [holder, one] = lab.clients();
    at_every_await(|polls| {
        let lease = holder.grant(&lab.ask("a"));
        let request = lab.wait("a");
        one.queue(&request);
        holder.give_back(&lease);
        let ready = drive::at_most(polls, lab.pace.patience, one.engine.acquire(&request)).is_ok();
        let lease = one.turn(&request);
        one.give_back(&lease);
        ready
    });
}

fn a_dropped_refresh_keeps_the_place(lab: &Lab) {
    let [holder, one, other] = lab.clients();
    at_every_await(|polls| {
        let lease = holder.grant(&lab.ask("a"));
        let request = lab.wait("a");
        one.queue(&request);
        let next = lab.wait("a");
        other.queue(&next);
        let ready = drive::at_most(polls, lab.pace.patience, one.engine.acquire(&request)).is_ok();
        if lab.can.ordered {
            assert_eq!(one.queue(&request).ahead, 0, "after {polls} polls");
        }
        holder.give_back(&lease);
        let lease = one.turn(&request);
        one.give_back(&lease);
        let lease = other.turn(&next);
        other.give_back(&lease);
        ready
    });
}

fn a_dropped_extend_leaves_the_lease(lab: &Lab) {
    let [one, other] = lab.clients();
    at_every_await(|polls| {
        let lease = one.grant(&lab.ask("a"));
        let request = ExtendRequest {
            name: lease.name.clone(),
            nonce: lease.nonce,
            ttl: lab.ask("a").ttl,
        };
        let ready = drive::at_most(polls, lab.pace.patience, one.engine.extend(&request)).is_ok();
        other.busy(&lab.ask("a"));
        assert_eq!(one.extend(&lease), Extended::Extended, "{polls} polls");
        one.give_back(&lease);
        assert_eq!(one.extend(&lease), Extended::Lost);
        ready
    });
}

fn a_dropped_release_is_carried_out(lab: &Lab) {
    let [one, other] = lab.clients();
    at_every_await(|polls| {
        let lease = one.grant(&lab.ask("a"));
        let release = one.engine.release(&lease.name, lease.nonce);
        // One poll at least: a release that was never polled was never asked for.
        let ready = drive::at_most(polls.max(1), lab.pace.patience, release).is_ok();
        let next = other.turn(&lab.wait("a"));
        other.give_back(&next);
        ready
    });
}

fn a_dropped_release_hands_over(lab: &Lab) {
    let [one, other] = lab.clients();
    at_every_await(|polls| {
        let lease = one.grant(&lab.ask("a"));
        let request = lab.wait("a");
        other.queue(&request);
        let release = one.engine.release(&lease.name, lease.nonce);
        let ready = drive::at_most(polls.max(1), lab.pace.patience, release).is_ok();
        let next = other.turn(&request);
        assert!(next.token > lease.token);
        other.give_back(&next);
        ready
    });
}

fn a_dropped_look_changes_nothing(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    let request = lab.wait("a");
    other.queue(&request);
    let patience = lab.pace.patience;
    at_every_await(|polls| {
        let inspected = drive::at_most(polls, patience, one.engine.inspect(&lease.name)).is_ok();
        let listed = drive::at_most(polls, patience, one.engine.list("")).is_ok();
        let _ = drive::at_most(polls.min(1), patience, one.engine.changed(""));
        let hint = other.engine.hint(&request.name, request.nonce);
        let _ = drive::at_most(polls.min(1), patience, hint);
        inspected && listed
    });
    one.give_back(&lease);
    other.turn(&request);
}

fn a_dropped_break_can_be_repeated(lab: &Lab) {
    let [one, other] = lab.clients();
    at_every_await(|polls| {
        let lease = one.grant(&lab.ask("a"));
        let request = BreakRequest {
            name: lease.name.clone(),
            by: "operator".into(),
            reason: format!("{polls} polls"),
            unix_seconds: 0,
            force: false,
        };
        let broken = other.engine.break_lock(&request);
        let ready = drive::at_most(polls, lab.pace.patience, broken).is_ok();
        let broken = other.break_lock("a", "once more");
        assert_eq!(one.extend(&lease), Extended::Lost);
        assert!(broken.floor > lease.token);
        ready
    });
}
