//! Round trips, counted on the wire: what is sent before an answer is awaited.

#![allow(unused_crate_dependencies)]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use support::{Client, Server, url_of};

const TTL: Duration = Duration::from_secs(60);

/// A proxy that counts what asks the server for an answer.
struct Counting {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Counting {
    /// Ends with the test's process.
    fn before(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server));
                let server = server.expect("the server listens");
                let (from, to) = (clone(&client), clone(&server));
                let counter = Arc::clone(&counter);
                thread::spawn(move || count(from, to, &counter));
                thread::spawn(move || copy(server, client));
            }
        });
        Self { port, asked }
    }

    /// How many round trips something takes.
    fn trips<T>(&self, run: impl FnOnce() -> T) -> (usize, T) {
        let before = self.asked.load(Ordering::SeqCst);
        let value = run();
        (self.asked.load(Ordering::SeqCst) - before, value)
    }
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a socket can be cloned")
}

/// Passes on what a client sends, message by message. The first has no type; an
/// answer is awaited after Sync and after a simple Query.
fn count(mut from: TcpStream, mut to: TcpStream, asked: &AtomicUsize) {
    let mut head = vec![0; 4];
    while from.read_exact(&mut head).is_ok() {
        let (kind, length) = head.split_at(head.len() - 4);
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        if matches!(kind, b"S" | b"Q") {
            asked.fetch_add(1, Ordering::SeqCst);
        }
        let mut body = vec![0; length - 4];
        if from.read_exact(&mut body).is_err()
            || to.write_all(&[&head[..], &body].concat()).is_err()
        {
            break;
        }
        head = vec![0; 5];
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..length]).is_err() {
            return;
        }
    }
}

#[test]
fn a_known_lock_takes_one_and_another_two() {
    let server = Server::start(&[]);
    let proxy = Counting::before(server.port());
    let url = url_of(
        &format!("127.0.0.1:{}", proxy.port),
        "wake=poll&connections=1",
    );
    let client = Client::open(&url);
    let other = Client::open(&server.url(""));
    let theirs = other.take("theirs", TTL);
    other.give_back(&theirs).expect("the server is there");

    let (trips, lease) = proxy.trips(|| client.take("new", TTL));
    assert_eq!(trips, 1, "a name that nobody used");
    let (trips, extended) = proxy.trips(|| client.extend(&lease, TTL));
    assert_eq!(trips, 1, "an extend");
    extended.expect("the server is there");
    let (trips, released) = proxy.trips(|| client.give_back(&lease));
    assert_eq!(trips, 1, "a release");
    released.expect("the server is there");
    for _ in 0..10 {
        let (trips, lease) = proxy.trips(|| client.take("new", TTL));
        assert_eq!(trips, 1, "a lock that this client knows");
        client.give_back(&lease).expect("the server is there");
    }
    let (trips, lease) = proxy.trips(|| client.take("theirs", TTL));
    assert_eq!(trips, 2, "a lock that another client used");
    client.give_back(&lease).expect("the server is there");

    let theirs = other.take("theirs", TTL);
    assert!(theirs.token > lease.token);
    let (trips, busy) = proxy.trips(|| client.try_take("theirs", TTL));
    assert_eq!(trips, 1, "a lock that turns out to be busy");
    assert!(busy.expect("the server is there").is_none());
    other.give_back(&theirs).expect("the server is there");
}
