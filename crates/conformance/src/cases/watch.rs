//! Changes can be watched, and none is missed.

use std::collections::BTreeMap;
use std::time::Instant;

use leasehold_core::{Change, LockStatus, changes};

use super::cases;
use crate::kit::{Ask, Client, Lab};

cases! { "watch", "C6":
    it_resolves_without_a_change [WATCH],
    a_change_before_the_call_is_noticed [WATCH],
    the_story_of_a_lock [WATCH, ORDERED],
    an_expiry_is_noticed [WATCH],
    a_break_is_noticed [WATCH, BREAK],
    several_watchers_notice [WATCH],
}

/// A watcher of one lock, as the library's is: it looks after each wake-up and
/// compares.
struct Watcher {
    client: Client,
    seen: BTreeMap<&'static str, LockStatus>,
}

impl Watcher {
    fn of(lab: &Lab, name: &'static str) -> Self {
        let client = lab.client();
        let seen = BTreeMap::from([(name, client.inspect(name))]);
        Self { client, seen }
    }

    /// Waits for changes until one is found.
    fn until(&mut self, lab: &Lab, what: &str, is_it: impl Fn(&Change) -> bool) {
        let began = Instant::now();
        loop {
            self.client.changed("");
            let mut found = false;
            for (name, before) in &mut self.seen {
                let now = self.client.inspect(name);
                found |= changes(before, &now).iter().any(&is_it);
                *before = now;
            }
            if found {
                return;
            }
            assert!(began.elapsed() < lab.pace.patience, "no {what} was noticed");
        }
    }
}

fn it_resolves_without_a_change(lab: &Lab) {
    let client = lab.client();
    for _ in 0..3 {
        client.changed("a");
    }
}

fn a_change_before_the_call_is_noticed(lab: &Lab) {
    let (actor, mut watcher) = (lab.client(), Watcher::of(lab, "a"));
    watcher.client.changed("");
    let lease = actor.grant(&lab.ask("a"));
    watcher.until(lab, "acquire", |change| {
        matches!(change, Change::Acquired { .. })
    });
    actor.give_back(&lease);
    watcher.until(lab, "release", |change| {
        matches!(change, Change::Ended { .. })
    });
}

fn the_story_of_a_lock(lab: &Lab) {
    let [one, other] = lab.clients();
    let mut watcher = Watcher::of(lab, "a");
    let request = lab.ask("a");
    let lease = one.grant(&request);
    watcher.until(
        lab,
        "acquire",
        |change| matches!(change, Change::Acquired { nonce, .. } if *nonce == request.nonce),
    );
    let gives_up = lab.wait("a");
    other.queue(&gives_up);
    watcher.until(lab, "waiter", |change| {
        matches!(change, Change::Waiting { .. })
    });
    other.release_as(&gives_up.name, gives_up.nonce);
    watcher.until(lab, "waiter that left", |change| {
        matches!(change, Change::GaveUp { .. })
    });
    let waits = lab.wait("a");
    other.queue(&waits);
    watcher.until(lab, "waiter", |change| {
        matches!(change, Change::Waiting { .. })
    });
    one.give_back(&lease);
    let next = other.turn(&waits);
    watcher.until(
        lab,
        "handover",
        |change| matches!(change, Change::Acquired { token, .. } if *token == next.token),
    );
    other.give_back(&next);
    watcher.until(lab, "release", |change| {
        matches!(change, Change::Ended { .. })
    });
}

fn an_expiry_is_noticed(lab: &Lab) {
    let actor = lab.client();
    actor.give_back(&actor.grant(&lab.ask("a")));
    let mut watcher = Watcher::of(lab, "a");
    actor.grant(&lab.ask("a").brief(lab.pace));
    // Whoever looks too late for the grant itself is told that it came and went.
    watcher.until(lab, "expiry", |change| {
        matches!(change, Change::Ended { .. } | Change::Skipped { .. })
    });
}

fn a_break_is_noticed(lab: &Lab) {
    let (actor, mut watcher) = (lab.client(), Watcher::of(lab, "a"));
    actor.grant(&lab.ask("a"));
    watcher.until(lab, "acquire", |change| {
        matches!(change, Change::Acquired { .. })
    });
    actor.break_lock("a", "to see");
    watcher.until(
        lab,
        "break",
        |change| matches!(change, Change::Broken { reason, .. } if reason == "to see"),
    );
}

fn several_watchers_notice(lab: &Lab) {
    let actor = lab.client();
    let mut watchers: Vec<_> = (0..3).map(|_| Watcher::of(lab, "a")).collect();
    for _ in 0..3 {
        let lease = actor.grant(&lab.ask("a"));
        for watcher in &mut watchers {
            watcher.until(lab, "acquire", |change| {
                matches!(change, Change::Acquired { .. })
            });
        }
        actor.give_back(&lease);
        for watcher in &mut watchers {
            watcher.until(lab, "release", |change| {
                matches!(change, Change::Ended { .. })
            });
        }
    }
}
