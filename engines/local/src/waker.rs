//! The thread that hears: hints in the own FIFO, deaths of those waited for, and
//! changes while somebody watches. Started at the first need.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use leasehold_core::{Nonce, SessionId, WakeBoard};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::reader::Reader;
use crate::sessions::{Peer, Sessions};
use crate::watch::{self, Watch};

/// The thread, from outside.
#[derive(Debug)]
pub(crate) struct Waker {
    inside: Arc<Inside>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Inside {
    /// Makes the thread look at what it listens to again.
    bell: OwnedFd,
    board: Arc<WakeBoard>,
    sessions: Arc<Sessions>,
    watch: Arc<Watch>,
    reader: Arc<Reader>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    monitors: HashMap<SessionId, Monitor>,
    /// Whose death each waiter waits for.
    awaited: HashMap<Nonce, Vec<SessionId>>,
    closing: bool,
}

/// The writing end of a holder's FIFO, which reports an error once the holder is
/// dead, and who waits for that.
#[derive(Debug)]
struct Monitor {
    fifo: Arc<OwnedFd>,
    waiters: HashSet<Nonce>,
}

impl Waker {
    pub(crate) fn new(
        board: Arc<WakeBoard>,
        sessions: Arc<Sessions>,
        watch: Arc<Watch>,
        reader: Arc<Reader>,
    ) -> io::Result<Self> {
        Ok(Self {
            inside: Arc::new(Inside {
                bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
                board,
                sessions,
                watch,
                reader,
                state: Mutex::default(),
            }),
            thread: Mutex::new(None),
        })
    }

    /// Starts the thread unless it runs.
    pub(crate) fn start(&self) -> io::Result<()> {
        let mut running = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() {
            let inside = Arc::clone(&self.inside);
            let thread = thread::Builder::new().name("leasehold-wake".to_owned());
            *running = Some(thread.spawn(move || inside.listen())?);
        }
        Ok(())
    }

    /// Makes the thread look again.
    pub(crate) fn ring(&self) {
        self.inside.ring();
    }

    /// Wakes the waiter when one of these sessions dies, instead of those named
    /// before; at once if one is dead already.
    pub(crate) fn await_deaths(&self, nonce: Nonce, sessions: &[SessionId]) {
        let mut dead = false;
        {
            let mut state = self.inside.state();
            if state
                .awaited
                .get(&nonce)
                .is_some_and(|known| known == sessions)
            {
                return;
            }
            state.forget(nonce);
            for &session in sessions {
                if let Some(monitor) = state.monitors.get_mut(&session) {
                    monitor.waiters.insert(nonce);
                    continue;
                }
                match self.inside.sessions.find(session) {
                    Peer::Alive(fifo) => {
                        let monitor = Monitor {
                            fifo: Arc::new(fifo),
                            waiters: HashSet::from([nonce]),
                        };
                        state.monitors.insert(session, monitor);
                    }
                    Peer::Dead => dead = true,
                    Peer::Unknown => {}
                }
            }
            state.awaited.insert(nonce, sessions.to_vec());
        }
        if dead {
            self.inside.board.hint(nonce);
        }
        // Without the thread the waiter polls, as it does anyway.
        if self.start().is_ok() {
            self.ring();
        }
    }

    /// The waiter waits no longer.
    pub(crate) fn forget(&self, nonce: Nonce) {
        self.inside.state().forget(nonce);
    }

    /// Ends the thread.
    pub(crate) fn close(&self) {
        self.inside.state().closing = true;
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            self.ring();
            // If it panicked, waiters have been polling.
            let _ = thread.join();
        }
    }
}

impl State {
    fn forget(&mut self, nonce: Nonce) {
        for session in self.awaited.remove(&nonce).unwrap_or_default() {
            if let Some(monitor) = self.monitors.get_mut(&session) {
                monitor.waiters.remove(&nonce);
                if monitor.waiters.is_empty() {
                    self.monitors.remove(&session);
                }
            }
        }
    }

    /// A session has died; whom to wake.
    fn died(&mut self, session: SessionId) -> HashSet<Nonce> {
        let Some(monitor) = self.monitors.remove(&session) else {
            return HashSet::new();
        };
        for nonce in &monitor.waiters {
            self.forget(*nonce);
        }
        monitor.waiters
    }
}

impl Inside {
    fn listen(&self) {
        loop {
            let own = self.sessions.fifo();
            let monitored: Vec<(SessionId, Arc<OwnedFd>)> = {
                let state = self.state();
                if state.closing {
                    return;
                }
                let monitors = state.monitors.iter();
                monitors
                    .map(|(session, monitor)| (*session, Arc::clone(&monitor.fifo)))
                    .collect()
            };
            let dead = self.wait(own.as_deref(), &monitored);
            for session in dead {
                let waiters = self.state().died(session);
                waiters.into_iter().for_each(|nonce| self.board.hint(nonce));
            }
            drain(&self.bell, |_| ());
            if let Some(own) = own {
                drain(&own, |bytes| self.heard(bytes));
            }
            if self.watch.is_watched() {
                match self.reader.version() {
                    Ok(version) => self.watch.saw(version),
                    // The watcher lists, and learns what is wrong.
                    Err(_) => self.watch.changed(),
                }
            }
        }
    }

    /// Waits until there is something to do; which of these sessions have died.
    fn wait(
        &self,
        own: Option<&OwnedFd>,
        monitored: &[(SessionId, Arc<OwnedFd>)],
    ) -> Vec<SessionId> {
        // An error is always reported, asked for or not.
        let fifos = monitored.iter().map(|(_, fifo)| fifo);
        let mut fds: Vec<PollFd<'_>> = fifos
            .map(|fifo| PollFd::new(fifo, PollFlags::empty()))
            .collect();
        fds.push(PollFd::new(&self.bell, PollFlags::IN));
        if let Some(own) = own {
            fds.push(PollFd::new(own, PollFlags::IN));
        }
        let look = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(watch::LOOK.subsec_nanos()),
        };
        let timeout = self.watch.is_watched().then_some(&look);
        if poll(&mut fds, timeout).is_err() {
            return Vec::new();
        }
        let dead = monitored.iter().zip(&fds).filter(|(_, fd)| {
            fd.revents()
                .intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL)
        });
        dead.map(|((session, _), _)| *session).collect()
    }

    /// Nonces came in. Writes of 16 bytes do not mix, so a remainder is somebody
    /// else's doing; then nobody can be left out.
    fn heard(&self, bytes: &[u8]) {
        let (nonces, rest) = bytes.as_chunks::<16>();
        for nonce in nonces {
            self.board.hint(Nonce::from_bytes(*nonce));
        }
        if !rest.is_empty() {
            self.board.hint_all();
        }
    }

    fn ring(&self) {
        // A bell that rings already need not be rung.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads all there is, without waiting.
fn drain(from: &OwnedFd, mut each: impl FnMut(&[u8])) {
    let mut bytes = [0; 4096];
    while let Ok(length) = rustix::io::read(from, &mut bytes) {
        each(&bytes[..length]);
        if length < bytes.len() {
            return;
        }
    }
}
