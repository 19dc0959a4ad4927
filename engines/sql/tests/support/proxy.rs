//! A TCP proxy that can be told to misbehave.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::free_port;

/// A proxy before one server. Dropping it ends its connections.
pub struct Proxy {
    port: u16,
    server: u16,
    gate: Arc<Gate>,
    accepting: Option<Accepting>,
}

impl Proxy {
    /// A proxy before the server on this port, which passes everything.
    pub fn to(server: u16) -> Self {
        let mut proxy = Self {
            port: free_port(),
            server,
            gate: Arc::default(),
            accepting: None,
        };
        proxy.pass();
        proxy
    }

    /// As a URL names it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Passes everything, be it what was swallowed before.
    pub fn pass(&mut self) {
        self.gate.set_shut(false);
        if self.accepting.is_none() {
            self.accepting = Some(Accepting::start(self.port, self.server, &self.gate));
        }
    }

    /// Takes connections and bytes, and answers nothing.
    pub fn swallow(&self) {
        self.gate.set_shut(true);
    }

    /// Breaks all connections and refuses new ones.
    pub fn refuse(&mut self) {
        self.accepting = None;
        self.gate.hang_up();
        self.gate.set_shut(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
    }
}

/// What the proxy's threads share.
#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    shut: bool,
    streams: Vec<TcpStream>,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_shut(&self, shut: bool) {
        self.state().shut = shut;
        self.changed.notify_all();
    }

    fn wait_until_open(&self) {
        let mut state = self.state();
        while state.shut {
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn hang_up(&self) {
        for stream in self.state().streams.drain(..) {
            // Fails only if the other side was faster.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Carries bytes from one side to the other until either hangs up.
    fn carry(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut bytes = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            self.wait_until_open();
            if to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        for stream in [from, to] {
            // Fails only if the other side was faster.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// The thread that takes connections. Dropping it closes the port.
struct Accepting {
    port: u16,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Accepting {
    fn start(port: u16, server: u16, gate: &Arc<Gate>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        let over = Arc::new(AtomicBool::new(false));
        let (gate, ended) = (Arc::clone(gate), Arc::clone(&over));
        let thread = thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                // Dropped at once if the server is away.
                if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) {
                    join(&gate, client, server);
                }
            }
        });
        Self {
            port,
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the thread, which then closes the port.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Joins a client and the server by two threads.
fn join(gate: &Arc<Gate>, client: TcpStream, server: TcpStream) {
    let pair = Arc::new([client, server]);
    for stream in &*pair {
        // Small messages at once, as a network without a proxy would.
        let _ = stream.set_nodelay(true);
        gate.state().streams.extend(stream.try_clone());
    }
    for (from, to) in [(0, 1), (1, 0)] {
        let (gate, pair) = (Arc::clone(gate), Arc::clone(&pair));
        thread::spawn(move || gate.carry(&pair[from], &pair[to]));
    }
}
