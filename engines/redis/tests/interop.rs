//! Plain Redlock clients and ours exclude each other.

#![allow(unused_crate_dependencies)]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use leasehold_core::Released;
use support::{Client, Deployment, PlainRedlock};

const KEYS: &str = "max_ttl=10s&fresh=yes";
const TTL: Duration = Duration::from_secs(10);
const INCREMENTS: u32 = 100;

#[test]
fn a_plain_clients_lock_is_busy_for_us() {
    let deployment = Deployment::of(5);
    let client = Client::open(&deployment.url(KEYS));
    let mut plain = PlainRedlock::new(&deployment.servers, "plain");
    let value = plain.lock("a", TTL);
    assert!(client.try_take("a", TTL).expect("all are there").is_none());
    assert!(plain.unlock("a", &value), "its keys were touched");
    let lease = client.take("a", TTL);
    assert_eq!(client.give_back(&lease).unwrap(), Released::Released);
}

#[test]
fn our_lock_is_busy_for_a_plain_client() {
    let deployment = Deployment::of(5);
    let client = Client::open(&deployment.url(KEYS));
    let mut plain = PlainRedlock::new(&deployment.servers, "plain");
    let lease = client.take("a", TTL);
    assert_eq!(plain.try_lock("a", TTL), None);
    assert_eq!(client.give_back(&lease).unwrap(), Released::Released);
    let value = plain.lock("a", TTL);
    assert!(plain.unlock("a", &value));
}

/// The value is what another program may compare and delete by.
#[test]
fn the_lock_is_a_string_with_the_nonce_under_its_own_name() {
    let deployment = Deployment::of(1);
    let client = Client::open(&deployment.url(KEYS));
    let lease = client.take("orders:7", TTL);
    let value: String = deployment.servers[0].call(&["GET", "orders:7"]);
    assert_eq!(value, lease.nonce.to_string());
    let left: u64 = deployment.servers[0].call(&["PTTL", "orders:7"]);
    assert!((1..=10_000).contains(&left), "{left}");
}

/// Values as other clients write them: of their own form, of ours (32 hex digits,
/// as `redlock` and node-redlock do), and bytes that are no text (as rslock does).
#[test]
fn a_plain_holder_is_shown_as_a_stranger() {
    let values: [&[u8]; 3] = [
        b"k3Jh/2+a",
        b"00112233445566778899aabbccddeeff",
        &[0xff, 0x00, 0xc3, 0x28],
    ];
    let deployment = Deployment::of(3);
    let client = Client::open(&deployment.url(KEYS));
    for (number, value) in values.into_iter().enumerate() {
        let name = format!("lock-{number}");
        for server in &deployment.servers {
            let mut set = redis::cmd("SET");
            set.arg(&name).arg(value).arg("PX").arg(10_000);
            set.exec(&mut server.connect()).unwrap();
        }
        assert!(
            client
                .try_take(&name, TTL)
                .expect("all are there")
                .is_none()
        );
        let status = client.inspect(&name);
        let [holder] = &status.holders[..] else {
            panic!("one holds it: {status:?}");
        };
        let owner = holder.owner.to_string();
        assert!(owner.contains("foreign"), "{owner}");
        let broken = client.break_lock(&name);
        assert!(broken.is_err(), "a stranger's lock was broken: {broken:?}");
        assert!(deployment.servers.iter().all(|server| server.has(&name)));
        let broken = client.break_by_force(&name).expect("all are there");
        assert!(broken.ended[0].owner.contains("foreign"), "{broken:?}");
        assert!(!deployment.servers.iter().any(|server| server.has(&name)));
        let lease = client.take(&name, TTL);
        assert!(lease.token >= broken.floor, "{lease:?}, {broken:?}");
        client.give_back(&lease).expect("all are there");
    }
}

/// Some clients set no end unless they are told to.
#[test]
fn a_key_without_an_end_is_busy() {
    let deployment = Deployment::of(1);
    let client = Client::open(&deployment.url(KEYS));
    let server = &deployment.servers[0];
    server.call::<()>(&["SET", "a", "00112233445566778899aabbccddeeff"]);
    assert!(client.try_take("a", TTL).expect("it is there").is_none());
    assert_eq!(client.inspect("a").holders.len(), 1);
    // A waiter finds out that it is free without having been told.
    thread::scope(|scope| {
        let waiter = scope.spawn(|| client.turn("a", TTL).expect("it is there"));
        server.call::<u64>(&["DEL", "a"]);
        waiter.join().expect("the waiter has its turn");
    });
}

/// A counter that only the lock protects: a read, a pause, a write.
#[test]
fn four_of_each_lose_no_increment() {
    let deployment = Deployment::of(5);
    deployment.first_use("max_ttl=10s");
    let url = deployment.url("max_ttl=10s");
    let counter = AtomicU32::new(0);
    let increment = || {
        let value = counter.load(Ordering::SeqCst);
        thread::sleep(Duration::from_micros(200));
        counter.store(value + 1, Ordering::SeqCst);
    };
    thread::scope(|scope| {
        for number in 0..4 {
            let (deployment, url, increment) = (&deployment, &url, &increment);
            scope.spawn(move || {
                let mut plain = PlainRedlock::new(&deployment.servers, &format!("plain-{number}"));
                for _ in 0..INCREMENTS {
                    let value = plain.lock("counter", TTL);
                    increment();
                    assert!(plain.unlock("counter", &value), "a plain lock was lost");
                }
            });
            scope.spawn(move || {
                let client = Client::open(url);
                for _ in 0..INCREMENTS {
                    let lease = client.turn("counter", TTL).expect("all are there");
                    increment();
                    let released = client.give_back(&lease).expect("all are there");
                    assert_eq!(released, Released::Released, "our lock was lost");
                }
            });
        }
    });
    assert_eq!(counter.into_inner(), 8 * INCREMENTS);
}
