//! C3: no two leases of one exclusive lock are valid at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use leasehold_core::{Acquired, Token};

use super::cases;
use crate::kit::{Ask, Client, Lab};

cases! { "exclusion", "C3":
    one_client_after_the_other [],
    two_requests_of_one_client [],
    the_holder_is_named [],
    many_clients_at_once [],
    many_tries_at_once [],
    names_are_apart [],
    a_thousand_names [],
}

fn one_client_after_the_other(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a"));
    for _ in 0..3 {
        other.busy(&lab.ask("a"));
    }
    one.give_back(&lease);
    let lease = other.grant(&lab.ask("a"));
    one.busy(&lab.ask("a"));
    other.give_back(&lease);
}

fn two_requests_of_one_client(lab: &Lab) {
    let client = lab.client();
    let lease = client.grant(&lab.ask("a"));
    client.busy(&lab.ask("a"));
    client.give_back(&lease);
    client.grant(&lab.ask("a"));
}

fn the_holder_is_named(lab: &Lab) {
    let [one, other] = lab.clients();
    let lease = one.grant(&lab.ask("a").owner("host-7 pid 12"));
    let queued = other.queue(&lab.wait("a"));
    for holders in [one.busy(&lab.ask("a")), queued.holders] {
        // A store may be unable to tell; what it tells must be so.
        for holder in holders {
            assert_eq!(holder.owner, "host-7 pid 12");
            assert_eq!((holder.token, holder.nonce), (lease.token, lease.nonce));
        }
    }
}

fn many_clients_at_once(lab: &Lab) {
    const CLIENTS: usize = 6;
    const ROUNDS: u32 = 20;
    let (inside, count) = (AtomicU32::new(0), AtomicU32::new(0));
    let last = Mutex::new(Token::NONE);
    lab.together(CLIENTS, |_| {
        let client = lab.client();
        for _ in 0..ROUNDS {
            let lease = client.turn(&lab.wait("a"));
            let others = inside.fetch_add(1, Ordering::SeqCst);
            assert_eq!(others, 0, "two at once");
            // Not fetch_add: an increment is lost if somebody else is inside.
            let counted = count.load(Ordering::SeqCst);
            // Long enough for everybody else to try.
            lab.pass(Instant::now(), Duration::from_millis(1));
            count.store(counted + 1, Ordering::SeqCst);
            {
                let mut last = last.lock().expect("nobody panicked inside");
                assert!(lease.token > *last, "token {} after {last}", lease.token);
                *last = lease.token;
            }
            inside.fetch_sub(1, Ordering::SeqCst);
            client.give_back(&lease);
        }
    });
    assert_eq!(count.into_inner(), CLIENTS as u32 * ROUNDS);
}

fn many_tries_at_once(lab: &Lab) {
    const CLIENTS: usize = 6;
    // Kept to the end: a client that is gone may count as dead.
    let clients: [Client; CLIENTS] = lab.clients();
    for round in 0..10 {
        let name = format!("round-{round}");
        let answers = lab.together(CLIENTS, |number| clients[number].acquire(&lab.ask(&name)));
        let granted = |answer: &&Acquired| matches!(answer, Acquired::Granted(_));
        assert_eq!(answers.iter().filter(granted).count(), 1, "{answers:?}");
    }
}

fn names_are_apart(lab: &Lab) {
    let client = lab.client();
    // All distinct byte for byte, and equal to some store's taste.
    let alike = [
        "a",
        "A",
        "a ",
        " a",
        "á",
        "a\u{301}",
        "ａ",
        "a/",
        "/a",
        "a//",
        "a%",
        "a_",
        "%61",
        "ß",
        "ss",
        "a\u{200b}",
        "a.",
        "a:b",
        "a\\b",
    ];
    let leases: Vec<_> = alike
        .iter()
        .map(|name| client.grant(&lab.ask(name)))
        .collect();
    for name in alike {
        client.busy(&lab.ask(name));
    }
    for lease in &leases {
        client.give_back(lease);
    }
}

fn a_thousand_names(lab: &Lab) {
    let [one, other]: [Client; 2] = lab.clients();
    let names: Vec<_> = (0..1000).map(|n| format!("many/{n}")).collect();
    let leases: Vec<_> = names.iter().map(|name| one.grant(&lab.ask(name))).collect();
    for name in names.iter().step_by(97) {
        other.busy(&lab.ask(name));
    }
    for lease in &leases {
        one.give_back(lease);
    }
    other.grant(&lab.ask("many/0"));
}
