//! A Redis Cluster as one node: slots that move, masters that die, memory that is
//! lost, among clients at work.

#![allow(unused_crate_dependencies)]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::{Client, Cluster, Server, Traffic, error_of, role, until};

const KEYS: &str = "max_ttl=1s&timeout=500ms";
const TTL: Duration = Duration::from_millis(900);
/// A key that a replica cannot have if it lags, in the slot of the locks.
const MARK: &str = "{x}written-after-the-replica-stood-still";

/// Opens it as an operator does at the first installation.
fn first_use(cluster: &Cluster, name: &str) {
    let client = Client::open(&cluster.url(&format!("{KEYS}&fresh=yes")));
    let lease = client.take(name, TTL);
    client.give_back(&lease).expect("the master is there");
}

/// Clients at work on locks that are all in the slot of `x`.
fn at_work(cluster: Cluster) -> Traffic<Cluster> {
    for name in ["a", "b", "long"] {
        first_use(&cluster, &format!("{{x}}{name}"));
    }
    let url = cluster.url(&format!("{KEYS}&prefix=%7bx%7d"));
    Traffic::start(cluster, &url)
}

#[test]
fn a_lock_is_on_the_master_of_its_slot_and_nowhere_else() {
    let cluster = Cluster::start();
    let client = Client::open(&cluster.url(&format!("{KEYS}&fresh=yes")));
    for master in 0..3 {
        let name = cluster.name_on(master, "lock-");
        let lease = client.take(&name, TTL);
        for (place, server) in cluster.servers.iter().enumerate() {
            let keys = server.keys();
            assert_eq!(keys.contains(&name), place == master, "{name} in {keys:?}");
        }
        let status = client.inspect(&name);
        assert_eq!(status.holders[0].token, lease.token);
        client.give_back(&lease).expect("the master is there");
        let next = client.take(&name, TTL);
        assert!(next.token > lease.token);
        client.give_back(&next).expect("the master is there");
    }
}

#[test]
fn many_names_leave_no_more_than_a_record_for_each_slot() {
    let cluster = Cluster::start();
    let client = Client::open(&cluster.url(&format!("{KEYS}&fresh=yes")));
    for number in 0..300 {
        // In a few slots, so that they are shared.
        let name = format!("{{{}}}{number}", number % 7);
        let lease = client.take(&name, TTL);
        client.give_back(&lease).expect("the master is there");
    }
    let keys: Vec<_> = cluster.servers.iter().flat_map(Server::keys).collect();
    let records = keys.iter().filter(|key| key.ends_with("}:node")).count();
    let witnesses = keys.iter().filter(|key| key.ends_with("}:shard")).count();
    assert_eq!((records, witnesses, keys.len()), (7, 3, 10), "{keys:?}");
    let fields =
        cluster.servers[cluster.master_of("{0}")].call::<u64>(&["HLEN", "leasehold:{0}:node"]);
    assert!(fields <= 5, "one counter for all names: {fields}");
}

#[test]
fn all_masters_tell_what_is_held() {
    let cluster = Cluster::start();
    let url = cluster.url(&format!("{KEYS}&fresh=yes"));
    let (one, other) = (Client::open(&url), Client::open(&url));
    let mut names: Vec<_> = (0..3)
        .map(|master| cluster.name_on(master, "held-"))
        .collect();
    let long = Duration::from_millis(900);
    let leases: Vec<_> = names.iter().map(|name| one.take(name, long)).collect();
    names.sort();
    let listed: Vec<_> = other
        .list("held-")
        .iter()
        .map(|status| status.name.to_string())
        .collect();
    assert_eq!(listed, names);
    let broken = other
        .break_lock(leases[0].name.as_str())
        .expect("it can be broken");
    assert_eq!(broken.ended[0].token, leases[0].token);
    let next = other.take(leases[0].name.as_str(), TTL);
    assert!(next.token > leases[0].token);
}

#[test]
fn a_slot_moves_under_clients_at_work() {
    let cluster = Cluster::start();
    let traffic = at_work(cluster);
    let cluster = &traffic.deployment;
    let slot = cluster.slot_of("x");
    let from = cluster.master_of("x");
    let (from, to) = (&cluster.servers[from], &cluster.servers[(from + 1) % 3]);
    for (from, to) in [(from, to), (to, from)] {
        let before = traffic.greatest();
        cluster.move_slot(slot, from, to);
        traffic.goes_on();
        assert!(traffic.greatest() > before);
        let record = format!("leasehold:{{{}}}:node", tag(to, slot));
        assert!(to.has(&record));
    }
    traffic.end();
}

/// The decimal number that the engine puts between braces for this slot.
fn tag(server: &Server, slot: usize) -> String {
    let keys = server.keys();
    let mut tags = keys.iter().filter_map(|key| {
        let tag = key.strip_prefix("leasehold:{")?.strip_suffix("}:node")?;
        let slot_of: usize = server.call(&["CLUSTER", "KEYSLOT", tag]);
        (slot_of == slot).then(|| tag.to_owned())
    });
    tags.next_back().expect("the slot has a record")
}

#[test]
fn a_lease_outlives_the_move_of_its_slot_and_nobody_else_gets_it() {
    let cluster = Cluster::start();
    first_use(&cluster, "x");
    let url = cluster.url("max_ttl=2s&timeout=500ms");
    let (holder, other) = (Client::open(&url), Client::open(&url));
    let mut lease = holder.take("x", TTL);
    let slot = cluster.slot_of("x");
    let from = cluster.master_of("x");
    cluster.move_slot(
        slot,
        &cluster.servers[from],
        &cluster.servers[(from + 1) % 3],
    );
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        let sent = Instant::now();
        if holder.extend(&lease, TTL).is_ok() {
            assert!(Instant::now() < lease.deadline, "extended in time");
            lease.deadline = sent + TTL;
        }
        assert!(!matches!(other.try_take("x", TTL), Ok(Some(_))));
        thread::sleep(Duration::from_millis(50));
    }
    holder.give_back(&lease).expect("the new master is there");
    until(
        "the lock can be had on the new master",
        || matches!(other.try_take("x", TTL), Ok(Some(next)) if next.token > lease.token),
    );
}

#[test]
fn a_slot_that_is_halfway_is_waited_for() {
    let cluster = Cluster::start();
    first_use(&cluster, "x");
    let client = Client::open(&cluster.url("max_ttl=1s&timeout=5s"));
    let before = client.take("x", TTL);
    client.give_back(&before).expect("the master is there");
    let slot = cluster.slot_of("x");
    let from = cluster.master_of("x");
    let (from, to) = (&cluster.servers[from], &cluster.servers[(from + 1) % 3]);
    cluster.begin_move(slot, from, to);
    thread::scope(|scope| {
        let asked = scope.spawn(|| client.try_take("x", TTL));
        thread::sleep(Duration::from_millis(300));
        cluster.end_move(slot, from, to);
        // Its new master has no proof that nothing is held: it says so, or has it.
        match asked.join().expect("it does not panic") {
            Ok(Some(lease)) => assert!(lease.token > before.token),
            Ok(None) => panic!("nobody has it"),
            Err(error) => assert!(!error.may_be_held(), "{error}"),
        }
    });
    until(
        "the lock can be had",
        || matches!(client.try_take("x", TTL), Ok(Some(lease)) if lease.token > before.token),
    );
    assert!(cluster.check());
}

#[test]
fn a_master_dies_and_its_replica_lags() {
    let mut traffic = at_work(Cluster::with_replicas());
    let master = traffic.deployment.master_of("x");
    traffic.deployment.hold_back_the_replica(master, MARK);
    traffic.goes_on();
    traffic.deployment.servers[master].kill();
    let before = traffic.greatest();
    let replica = traffic.deployment.replica_of(master);
    replica.thaw();
    until("the replica is promoted", || role(replica) == "master");
    assert!(!replica.has(MARK), "the replica did not lag");
    traffic.goes_on();
    assert!(traffic.greatest() > before);
    // It comes back empty, and is made a replica of the new one.
    traffic.deployment.servers[master].start_again();
    until("the old master follows", || {
        role(&traffic.deployment.servers[master]) == "slave"
    });
    traffic.goes_on();
    traffic.end();
}

#[test]
fn a_master_stands_still_and_comes_back_after_the_failover() {
    let traffic = at_work(Cluster::with_replicas());
    let cluster = &traffic.deployment;
    let master = cluster.master_of("x");
    cluster.hold_back_the_replica(master, MARK);
    traffic.goes_on();
    cluster.servers[master].freeze();
    let before = traffic.greatest();
    cluster.replica_of(master).thaw();
    let replica = cluster.replica_of(master);
    until("the replica is promoted", || role(replica) == "master");
    traffic.goes_on();
    assert!(traffic.greatest() > before);
    cluster.servers[master].thaw();
    until("the old master follows", || {
        role(&cluster.servers[master]) == "slave"
    });
    traffic.goes_on();
    traffic.end();
}

#[test]
fn a_master_is_flushed() {
    let traffic = at_work(Cluster::start());
    let master = traffic.deployment.master_of("x");
    let before = traffic.greatest();
    traffic.deployment.servers[master].call::<()>(&["FLUSHALL"]);
    traffic.goes_on();
    assert!(traffic.greatest() > before);
    traffic.end();
}

#[test]
fn scripts_that_are_lost_stop_nobody() {
    let traffic = at_work(Cluster::start());
    for server in &traffic.deployment.servers {
        server.call::<()>(&["SCRIPT", "FLUSH"]);
    }
    traffic.goes_on();
    traffic.end_without_failures();
}

/// What it may have granted runs out first, and that is counted once for all slots.
#[test]
fn a_flushed_master_does_not_open_at_once() {
    let cluster = Cluster::start();
    let url = cluster.url("max_ttl=2s&timeout=500ms");
    let client = Client::open(&format!("{url}&fresh=yes"));
    let held = "{x}held";
    let master = cluster.master_of(held);
    let lease = client.take(held, TTL);
    // Nothing tells here that the Cluster is new.
    let client = Client::open(&url);
    cluster.servers[master].call::<()>(&["FLUSHALL"]);
    while Instant::now() < lease.deadline {
        assert!(!matches!(client.try_take(held, TTL), Ok(Some(_))));
        thread::sleep(Duration::from_millis(20));
    }
    until(
        "it can be had in the end",
        || matches!(client.try_take(held, TTL), Ok(Some(next)) if next.token > lease.token),
    );
    let second = cluster.name_on(master, "second-");
    until("another slot can be had", || {
        matches!(client.try_take(&second, TTL), Ok(Some(_)))
    });
    for number in 0..9 {
        // Each in a slot of its own, without a quarantine of its own.
        let name = cluster.name_on(master, &format!("other-{number}-"));
        client.take(&name, TTL);
    }
}

#[test]
fn a_cluster_that_was_never_used_is_watched_before_it_is_trusted() {
    let cluster = Cluster::start();
    let url = cluster.url("max_ttl=1s&timeout=500ms");
    let error = error_of(&url, "a", TTL).to_string();
    assert!(
        error.contains("fresh=yes") && error.contains("slot"),
        "{error}"
    );
    let client = Client::open(&url);
    until("it opens by itself", || client.try_take("a", TTL).is_ok());
    let unused = client.try_take("b", TTL);
    assert!(
        matches!(unused, Ok(Some(_))),
        "other slots as well: {unused:?}"
    );
}

/// Each hand-over costs a release and a place in the line, and nothing else: whoever
/// waits is told by the server, and does not ask again.
#[test]
fn waiters_are_told_and_not_left_to_poll() {
    const ROUNDS: u64 = 20;
    let cluster = Cluster::start();
    let url = cluster.url("max_ttl=60s&timeout=500ms&fresh=yes");
    let clients = [Client::open(&url), Client::open(&url)];
    let long = Duration::from_secs(30);
    let master = &cluster.servers[cluster.master_of("x")];
    let mut held = clients[0].take("x", long);
    clients[1].inspect("x");
    let before = scripts_run(master);
    for round in 0..ROUNDS as usize {
        let (holder, waiter) = (&clients[round % 2], &clients[(round + 1) % 2]);
        held = thread::scope(|scope| {
            let waits = scope.spawn(|| waiter.turn("x", long));
            until("it is in the line", || master.has("leasehold:{x}:line"));
            holder.give_back(&held).expect("the master is there");
            let next = waits.join().expect("it does not panic");
            let next = next.expect("it is its turn");
            assert!(next.token > held.token);
            next
        });
    }
    let each = scripts_run(master) - before;
    assert!(
        each < 2 * ROUNDS + ROUNDS / 2,
        "{each} calls for {ROUNDS} hand-overs"
    );
}

fn scripts_run(server: &Server) -> u64 {
    let info: String = server.call(&["INFO", "commandstats"]);
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    let calls = line.and_then(|line| line.split(',').next()?.parse().ok());
    calls.unwrap_or(0)
}

/// A connection that nobody used meanwhile is not taken for the server that it was.
#[test]
fn a_master_is_demoted_and_promoted_again_while_a_client_is_idle() {
    let cluster = Cluster::with_replicas();
    let url = cluster.url("max_ttl=60s&timeout=500ms");
    let (one, idle) = (
        Client::open(&format!("{url}&fresh=yes")),
        Client::open(&format!("{url}&fresh=yes")),
    );
    for client in [&one, &idle] {
        let lease = client.take("{x}a", TTL);
        client.give_back(&lease).expect("the master is there");
    }
    let place = cluster.master_of("x");
    let (master, replica) = (&cluster.servers[place], cluster.replica_of(place));
    until("the replica has the record", || {
        replica.keys().iter().any(|key| key.ends_with("}:node"))
    });
    cluster.hold_back_the_replica(place, MARK);
    let held = one.take("{x}a", Duration::from_secs(50));
    drop(one);

    master.freeze();
    replica.thaw();
    until("the replica is promoted", || role(replica) == "master");
    assert!(!replica.has(MARK), "the replica did not lag");
    master.thaw();
    until("the old master follows", || role(master) == "slave");
    until("it has what the new one has", || {
        let info: String = master.call(&["INFO", "replication"]);
        info.contains("master_link_status:up")
    });
    master.call::<()>(&["CLUSTER", "FAILOVER", "TAKEOVER"]);
    until("it is the master again", || role(master) == "master");
    // A replica answers that as well.
    idle.list("nothing-like-it");
    let taken = idle.try_take("{x}a", TTL);
    assert!(Instant::now() < held.deadline);
    assert!(
        !matches!(taken, Ok(Some(_))),
        "held as {}, and {taken:?}",
        held.token
    );
}
