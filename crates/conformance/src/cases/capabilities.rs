//! An engine does what it says it can, and refuses what it says it cannot.

use leasehold_core::{BreakRequest, Error};

use super::cases;
use crate::kit::{Ask, Lab};

cases! { "capabilities", "C5":
    they_are_told_truly [],
    every_client_has_the_same [],
}

fn they_are_told_truly(lab: &Lab) {
    let client = lab.client();
    let shared = lab.ask("shared").shared();
    judge(lab.can.shared, "shared locks", client.try_acquire(&shared));
    let permit = lab.ask("permit").permit_of(2);
    judge(lab.can.permits, "permits", client.try_acquire(&permit));
    let listed = client.wait("a list", client.engine.list(""));
    judge(lab.can.list, "listing", listed);
    let request = BreakRequest {
        name: lab.ask("broken").name,
        by: "operator".into(),
        reason: "to see".to_owned(),
        unix_seconds: 0,
        force: false,
    };
    let broken = client.wait("a break", client.engine.break_lock(&request));
    judge(lab.can.break_lock, "breaking", broken);
    let changed = client.wait("the wait for a change", client.engine.changed(""));
    judge(lab.can.watch, "watching", changed);
}

fn judge<T>(can: bool, what: &str, answer: Result<T, Error>) {
    match answer {
        Ok(_) => assert!(can, "{what}: not declared, and done all the same"),
        Err(Error::Unsupported { .. }) => assert!(!can, "{what}: declared, and refused"),
        Err(error) => panic!("{what}: {error}"),
    }
}

fn every_client_has_the_same(lab: &Lab) {
    let [one, other] = lab.clients();
    assert_eq!(one.engine.capabilities(), other.engine.capabilities());
    assert_eq!(one.engine.kind(), other.engine.kind());
    assert!(!one.engine.kind().is_empty());
}
