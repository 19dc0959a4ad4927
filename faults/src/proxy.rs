//! What stands before a server: passes bytes, late, or not at all.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

use crate::server::free_port;

/// A TCP proxy before one server. Dropping it ends its connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    gate: Arc<Gate>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the proxy does with what comes.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// Keeps what clients say, until it passes again.
    holds_asks: bool,
    /// Keeps what the server says, until it passes again.
    holds_answers: bool,
    /// Passes everything so much later.
    late: Duration,
    /// Hangs up on whoever comes.
    refuses: bool,
}

#[derive(Debug, Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    way: Way,
    streams: Vec<TcpStream>,
}

impl Proxy {
    /// A proxy on a port of its own before the server on this port.
    ///
    /// # Errors
    ///
    /// If no port is to be had.
    pub fn to(server: u16) -> Result<Self> {
        let port = free_port()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let (gate, over) = (Arc::<Gate>::default(), Arc::new(AtomicBool::new(false)));
        let (shared, ended) = (Arc::clone(&gate), Arc::clone(&over));
        let thread = thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                if shared.state().way.refuses {
                    continue;
                }
                // Hung up on if the server is away.
                if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) {
                    join(&shared, client, server);
                }
            }
        });
        Ok(Self {
            port,
            gate,
            over,
            thread: Some(thread),
        })
    }

    /// As a URL names it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Passes everything again, be it what it has kept.
    pub fn pass(&self) {
        self.set(Way::default());
    }

    /// Takes connections and bytes and passes nothing.
    pub fn hold(&self) {
        self.set(Way {
            holds_asks: true,
            holds_answers: true,
            ..Way::default()
        });
    }

    /// Passes what clients say, but no answer.
    pub fn hold_answers(&self) {
        self.set(Way {
            holds_answers: true,
            ..Way::default()
        });
    }

    /// Passes everything so much later, each way.
    pub fn slow(&self, by: Duration) {
        self.set(Way {
            late: by,
            ..Way::default()
        });
    }

    /// Breaks all connections, and new ones at once.
    pub fn cut(&self) {
        self.set(Way {
            refuses: true,
            ..Way::default()
        });
        self.gate.hang_up();
    }

    fn set(&self, way: Way) {
        self.gate.state().way = way;
        self.gate.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.pass();
        // Wakes the thread that takes connections.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.gate.hang_up();
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hang_up(&self) {
        for stream in self.state().streams.drain(..) {
            // Fails only if the other side was faster.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits until bytes may pass, and says how much later they are to.
    fn wait(&self, asks: bool) -> Duration {
        let mut state = self.state();
        loop {
            let way = state.way;
            if !(if asks {
                way.holds_asks
            } else {
                way.holds_answers
            }) {
                return way.late;
            }
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Carries bytes from one side to the other until either hangs up.
    fn carry(&self, mut from: &TcpStream, mut to: &TcpStream, asks: bool) {
        let mut bytes = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            let late = self.wait(asks);
            if !late.is_zero() {
                thread::sleep(late);
            }
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
        thread::spawn(move || gate.carry(&pair[from], &pair[to], from == 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// A server that says back what it is told, and counts it.
    fn echo() -> (u16, Arc<Mutex<usize>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::<Mutex<usize>>::default();
        let count = Arc::clone(&heard);
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let count = Arc::clone(&count);
                thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() {
                        *count.lock().unwrap() += 1;
                        let _ = stream.write_all(&byte);
                    }
                });
            }
        });
        (port, heard)
    }

    fn client(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.host()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    fn answers(stream: &mut TcpStream) -> bool {
        let mut byte = [0];
        stream.read_exact(&mut byte).is_ok() && byte == [7]
    }

    #[test]
    fn what_is_held_passes_later_and_what_is_cut_is_gone() {
        let (port, heard) = echo();
        let proxy = Proxy::to(port).unwrap();
        let mut stream = client(&proxy);
        stream.write_all(&[7]).unwrap();
        assert!(answers(&mut stream));
        proxy.hold();
        stream.write_all(&[7]).unwrap();
        assert_eq!(*heard.lock().unwrap(), 1, "a held ask arrived");
        proxy.hold_answers();
        while *heard.lock().unwrap() < 2 {
            thread::yield_now();
        }
        stream.set_nonblocking(true).unwrap();
        assert!(!answers(&mut stream), "a held answer arrived");
        stream.set_nonblocking(false).unwrap();
        proxy.pass();
        assert!(answers(&mut stream));
        proxy.cut();
        assert!(!answers(&mut stream), "the connection outlived the cut");
        proxy.pass();
        let mut stream = client(&proxy);
        proxy.slow(Duration::from_millis(5));
        stream.write_all(&[7]).unwrap();
        assert!(answers(&mut stream));
    }
}
