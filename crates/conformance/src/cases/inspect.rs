//! Locks as they stand, seen by whoever asks.

use leasehold_core::{Mode, Token};

use super::cases;
use crate::kit::{Ask, Client, Lab};

cases! { "inspect", "C5":
    a_name_never_locked_is_free [],
    a_holder_is_shown [],
    waiters_are_shown_in_order [ORDERED],
    a_lock_given_back_is_free_and_keeps_its_token [],
    looking_changes_nothing [],
    odd_names_come_back_as_they_were [],
    odd_owners_come_back_as_they_were [],
    locks_in_use_are_listed_by_name [LIST],
    a_prefix_is_taken_at_its_word [LIST],
    a_line_without_a_holder_is_listed_too [LIST, ORDERED],
    a_thousand_are_listed [LIST],
}

/// Names that mean something to one store or another.
fn odd_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "a b",
        " lead",
        "trail ",
        "ünïcödé/☃/𝕏",
        "a\u{301}",
        "100%",
        "%",
        "_",
        "a_b",
        "%00",
        "%2F",
        "*",
        "?",
        "[a-z]",
        "{a,b}",
        "it's",
        "\"quoted\"",
        "`ticked`",
        "back\\slash",
        "\\",
        "semi;colon--",
        "' OR 1=1 --",
        "$1",
        ":name",
        "#",
        "a?b=c&d",
        ".",
        "..",
        "../../etc/passwd",
        "/",
        "//",
        "a//b/",
        "null",
        "0",
        "\u{202e}thgir",
        "\u{feff}mark",
        "a\u{200b}b",
        "\u{10ffff}",
    ]
    .map(str::to_owned)
    .into();
    names.extend(["x".repeat(512), "é".repeat(256), "🦀".repeat(128)]);
    names
}

fn a_name_never_locked_is_free(lab: &Lab) {
    let status = lab.client().inspect("never");
    assert_eq!(status.name.as_str(), "never");
    assert!(!status.is_in_use());
    assert_eq!(status.token, Token::NONE);
    assert_eq!(status.last_break, None);
}

fn a_holder_is_shown(lab: &Lab) {
    let [one, other] = lab.clients();
    let request = lab.ask("a").owner("host-7 pid 12");
    let lease = one.grant(&request);
    let status = other.inspect("a");
    assert_eq!(status.token, lease.token);
    assert!(status.floor <= lease.token);
    assert_eq!(status.holders.len(), 1);
    let holder = &status.holders[0];
    assert_eq!(holder.owner.as_str(), "host-7 pid 12");
    assert_eq!(holder.mode, Mode::Exclusive);
    assert_eq!((holder.token, holder.nonce), (lease.token, lease.nonce));
    let (ttl, grace) = (request.ttl.get(), request.grace);
    assert!(holder.remaining <= ttl && !holder.remaining.is_zero());
    assert!(holder.free_in <= ttl + grace && holder.free_in >= holder.remaining);
    assert!(holder.held_for < ttl);
}

fn waiters_are_shown_in_order(lab: &Lab) {
    let holder = lab.client();
    holder.grant(&lab.ask("a"));
    let clients: [Client; 3] = lab.clients();
    let names = ["first", "second", "third"];
    let requests = names.map(|owner| lab.wait("a").owner(owner));
    for (client, request) in clients.iter().zip(&requests) {
        client.queue(request);
    }
    let waiters = holder.inspect("a").waiters;
    let shown: Vec<_> = waiters
        .iter()
        .map(|w| (w.owner.as_str(), w.nonce))
        .collect();
    let asked: Vec<_> = requests
        .iter()
        .map(|r| (r.owner.as_str(), r.nonce))
        .collect();
    assert_eq!(shown, asked);
}

fn a_lock_given_back_is_free_and_keeps_its_token(lab: &Lab) {
    let client = lab.client();
    let lease = client.grant(&lab.ask("a"));
    client.give_back(&lease);
    let status = client.inspect("a");
    assert!(!status.is_in_use());
    assert_eq!(status.token, lease.token);
}

fn looking_changes_nothing(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    let request = lab.wait("a");
    other.queue(&request);
    let look = || {
        if lab.can.list {
            one.list("");
        }
        let status = other.inspect("a");
        let waiting: Vec<_> = status.waiters.iter().map(|w| w.nonce).collect();
        if lab.can.ordered {
            // An engine that keeps no line has nobody to show.
            assert_eq!(waiting, [request.nonce]);
        }
        (status.token, status.floor, status.holders[0].nonce, waiting)
    };
    let first = look();
    for _ in 0..5 {
        assert_eq!(look(), first);
    }
    other.inspect("never");
    one.give_back(&lease);
    other.turn(&request);
}

fn odd_names_come_back_as_they_were(lab: &Lab) {
    let client = lab.client();
    let names = odd_names();
    let leases: Vec<_> = names
        .iter()
        .map(|name| client.grant(&lab.ask(name)))
        .collect();
    for (name, lease) in names.iter().zip(&leases) {
        let status = client.inspect(name);
        assert_eq!(status.name.as_str(), name);
        assert_eq!(status.holders.len(), 1, "{name:?}");
        assert_eq!(status.holders[0].nonce, lease.nonce, "{name:?}");
        if lab.can.list {
            let found = client.list(name);
            assert!(found.iter().any(|s| s.name.as_str() == name), "{name:?}");
            assert!(
                found
                    .iter()
                    .all(|s| s.name.as_str().starts_with(name.as_str()))
            );
        }
    }
    for lease in &leases {
        client.give_back(lease);
    }
}

fn odd_owners_come_back_as_they_were(lab: &Lab) {
    let [client, other]: [Client; 2] = lab.clients();
    for (number, owner) in ["", "it's \"me\" \\ 100 %", "☃ 🦀", &"é".repeat(128)]
        .iter()
        .enumerate()
    {
        let name = format!("lock-{number}");
        client.grant(&lab.ask(&name).owner(owner));
        assert_eq!(other.inspect(&name).holders[0].owner.as_str(), *owner);
    }
}

fn names_of(client: &Client, prefix: &str) -> Vec<String> {
    let listed = client.list(prefix);
    listed
        .iter()
        .map(|status| status.name.to_string())
        .collect()
}

fn locks_in_use_are_listed_by_name(lab: &Lab) {
    let [one, other] = lab.clients();
    let mut names = ["b", "a/2", "a", "a/10", "c", "ä", "B"].map(str::to_owned);
    let leases = names.each_ref().map(|name| one.grant(&lab.ask(name)));
    one.give_back(&one.grant(&lab.ask("a/free")));
    names.sort();
    assert_eq!(names_of(&other, ""), names);
    assert_eq!(names_of(&other, "a"), ["a", "a/10", "a/2"]);
    assert_eq!(names_of(&other, "a/"), ["a/10", "a/2"]);
    assert!(names_of(&other, "d").is_empty());
    for lease in &leases {
        one.give_back(lease);
    }
    assert!(names_of(&other, "").is_empty());
}

fn a_prefix_is_taken_at_its_word(lab: &Lab) {
    let client = lab.client();
    let names = [
        "p%x",
        "p_x",
        "p*x",
        "p?x",
        "p[x",
        "p\\x",
        "p'x",
        "pax",
        "p",
        "P%x",
        "pé",
        "pe\u{301}",
    ];
    for name in names {
        client.grant(&lab.ask(name));
    }
    for prefix in [
        "p%", "p_", "p*", "p?", "p[", "p\\", "p'", "pa", "P", "pé", "pe",
    ] {
        let matching = names.iter().filter(|name| name.starts_with(prefix));
        let mut matching: Vec<_> = matching.copied().collect();
        matching.sort();
        assert_eq!(names_of(&client, prefix), matching, "{prefix:?}");
    }
}

fn a_line_without_a_holder_is_listed_too(lab: &Lab) {
    let [holder, waiter] = lab.clients();
    let lease = holder.grant(&lab.ask("a"));
    waiter.queue(&lab.wait("a"));
    holder.give_back(&lease);
    // Handed over, and not yet claimed.
    assert_eq!(names_of(&holder, ""), ["a"]);
}

fn a_thousand_are_listed(lab: &Lab) {
    let client = lab.client();
    let names: Vec<_> = (0..1000).map(|n| format!("many/{n:04}")).collect();
    for name in &names {
        client.grant(&lab.ask(name));
    }
    client.grant(&lab.ask("other"));
    assert_eq!(names_of(&client, "many/"), names);
    assert_eq!(names_of(&client, "many/012").len(), 10);
}
