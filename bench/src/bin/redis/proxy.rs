//! A TCP proxy before one server, which can fall silent or refuse.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::Result;

use crate::servers::free_port;

/// A proxy. It refuses connections once dropped.
pub(crate) struct Proxy {
    port: u16,
    server: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What its threads share.
#[derive(Default)]
struct Shared {
    closed: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    silent: bool,
    streams: Vec<TcpStream>,
}

impl Proxy {
    /// A proxy before the server on this port, which passes everything.
    pub(crate) fn to(server: u16) -> Result<Self> {
        let mut proxy = Self {
            port: free_port()?,
            server,
            shared: Arc::default(),
            accepting: None,
        };
        proxy.accept()?;
        Ok(proxy)
    }

    /// As a URL names it.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on accepts connections and bytes, and passes none on; or passes
    /// again, with what it kept.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.shared.state().silent = silent;
        self.shared.changed.notify_all();
    }

    /// Breaks all connections and refuses new ones.
    pub(crate) fn refuse(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.hang_up();
        if let Some(accepting) = self.accepting.take() {
            // Wakes the thread, which then closes the port.
            let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
            let _ = accepting.join();
        }
    }

    /// Accepts connections, be it again.
    pub(crate) fn accept(&mut self) -> Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))?;
        self.shared = Arc::default();
        let (shared, server) = (Arc::clone(&self.shared), self.server);
        self.accepting = Some(thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                // Dropped at once if the server is away.
                if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) {
                    join(&shared, client, server);
                }
            }
        }));
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hang_up(&self) {
        let mut state = self.state();
        state.silent = false;
        for stream in state.streams.drain(..) {
            // Fails only if the other side was faster.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
    }

    /// Carries bytes one way until either side hangs up.
    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            let waited = self.changed.wait_while(self.state(), |state| state.silent);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            if to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        // Fails only if the other side was faster.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// Joins a client and the server by two threads.
fn join(shared: &Arc<Shared>, client: TcpStream, server: TcpStream) {
    for (from, to) in [(&client, &server), (&server, &client)] {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
            return;
        };
        // Small messages at once, as a network without a proxy would.
        let _ = from.set_nodelay(true);
        shared.state().streams.extend(from.try_clone());
        let shared = Arc::clone(shared);
        thread::spawn(move || shared.carry(from, to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends everything back.
    fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                thread::spawn(move || {
                    let mut reader = stream.try_clone().unwrap();
                    std::io::copy(&mut reader, &mut &stream)
                });
            }
        });
        port
    }

    fn ask(stream: &mut TcpStream) -> std::io::Result<u8> {
        stream.write_all(b"a")?;
        let mut answer = [0];
        stream.read_exact(&mut answer).map(|()| answer[0])
    }

    #[test]
    fn a_proxy_passes_falls_silent_refuses_and_accepts_again() {
        let mut proxy = Proxy::to(echo()).unwrap();
        let mut stream = TcpStream::connect(proxy.host()).unwrap();
        assert_eq!(ask(&mut stream).unwrap(), b'a');
        proxy.set_silent(true);
        stream
            .set_read_timeout(Some(std::time::Duration::from_millis(50)))
            .unwrap();
        assert!(ask(&mut stream).is_err());
        proxy.set_silent(false);
        stream.set_read_timeout(None).unwrap();
        let mut kept = [0];
        stream.read_exact(&mut kept).unwrap();
        assert_eq!(kept, *b"a");
        assert_eq!(ask(&mut stream).unwrap(), b'a');
        proxy.refuse();
        assert!(ask(&mut stream).is_err());
        assert!(TcpStream::connect(proxy.host()).is_err());
        proxy.accept().unwrap();
        let mut stream = TcpStream::connect(proxy.host()).unwrap();
        assert_eq!(ask(&mut stream).unwrap(), b'a');
    }
}
