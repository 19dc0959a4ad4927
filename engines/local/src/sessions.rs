//! Who is alive, and how to reach them.
//!
//! Each client has a FIFO, named by the identity of its session, which it keeps
//! open for reading as long as it lives. Others open it for writing without
//! waiting: if nobody reads, the client is dead. That needs no process id and no
//! lock, works between containers that share the folder, and cannot be mistaken,
//! since the kernel closes a dead process's files.
//!
//! Through the same FIFO a waiter is told that its turn has come: 16 bytes, its
//! nonce. A waiter whose grant shall not be tied to its process has no session;
//! it is reached by its nonce, as a second name of its client's FIFO.
//!
//! A FIFO that is not there says nothing. Then the TTL decides.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use leasehold_core::{Error, Nonce, SessionId};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::fail::{self, ENGINE};
use crate::paths::Paths;

/// How often a name may vanish between its making and its opening.
const TRIES: u32 = 8;

/// The FIFOs of one store.
#[derive(Debug)]
pub(crate) struct Sessions {
    folder: PathBuf,
    db: PathBuf,
    opened: OnceLock<OwnedFd>,
    own: OnceLock<Own>,
    /// Keeps two threads from making a session each.
    making: Mutex<()>,
    addresses: Mutex<HashSet<Nonce>>,
}

/// This client's own session.
#[derive(Debug)]
struct Own {
    id: SessionId,
    fifo: Arc<OwnedFd>,
}

/// Another client, as its FIFO tells.
#[derive(Debug)]
pub(crate) enum Peer {
    /// It lives, and can be written to.
    Alive(OwnedFd),
    /// It is dead.
    Dead,
    /// There is no telling.
    Unknown,
}

impl Sessions {
    pub(crate) fn new(paths: &Paths) -> Self {
        Self {
            folder: paths.sessions.clone(),
            db: paths.db.clone(),
            opened: OnceLock::new(),
            own: OnceLock::new(),
            making: Mutex::new(()),
            addresses: Mutex::new(HashSet::new()),
        }
    }

    /// This client's session, made now if there is none yet.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if the FIFO cannot be made; nothing else was done.
    pub(crate) fn own(&self) -> Result<SessionId, Error> {
        if let Some(own) = self.own.get() {
            return Ok(own.id);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = self.own.get() {
            return Ok(own.id);
        }
        let own = self.make().map_err(|error| {
            fail::file("making a FIFO in", &self.folder, &io::Error::from(error))
        })?;
        let id = own.id;
        let _ = self.own.set(own);
        Ok(id)
    }

    /// The session made before, if one was.
    pub(crate) fn current(&self) -> Option<SessionId> {
        self.own.get().map(|own| own.id)
    }

    /// The reading end of the own FIFO.
    pub(crate) fn fifo(&self) -> Option<Arc<OwnedFd>> {
        self.own.get().map(|own| Arc::clone(&own.fifo))
    }

    /// A copy of what keeps the own session alive.
    pub(crate) fn lifeline(&self) -> Option<OwnedFd> {
        self.own.get()?.fifo.try_clone().ok()
    }

    /// Whether a session is known to be dead.
    pub(crate) fn is_dead(&self, session: SessionId) -> bool {
        self.current() != Some(session) && matches!(self.find(session), Peer::Dead)
    }

    /// Another session's FIFO.
    pub(crate) fn find(&self, session: SessionId) -> Peer {
        self.open(&session.to_string())
    }

    /// Tells a waiter of another client to ask again. Whether it arrives or not,
    /// the waiter asks again by itself in time.
    pub(crate) fn tell(&self, session: Option<SessionId>, nonce: Nonce) {
        let name = session.map_or_else(|| nonce.to_string(), |session| session.to_string());
        if let Peer::Alive(fifo) = self.open(&name) {
            let _ = rustix::io::write(fifo, nonce.as_bytes());
        }
    }

    /// Makes a waiter without a session reachable by its nonce, if that can be.
    pub(crate) fn add_address(&self, nonce: Nonce) {
        let mut addresses = self.addresses();
        if addresses.contains(&nonce) {
            return;
        }
        let (Ok(own), Ok(folder)) = (self.own(), self.folder()) else {
            return;
        };
        let (own, address) = (own.to_string(), nonce.to_string());
        if rustix::fs::linkat(folder, own, folder, address, AtFlags::empty()).is_ok() {
            addresses.insert(nonce);
        }
    }

    /// Takes that back.
    pub(crate) fn remove_address(&self, nonce: Nonce) {
        if self.addresses().remove(&nonce) {
            self.unlink(&nonce.to_string());
        }
    }

    /// Removes the own names; that of the session only if nothing in the store
    /// refers to it any more.
    pub(crate) fn close(&self, free_of_ties: bool) {
        for nonce in self.addresses().drain() {
            self.unlink(&nonce.to_string());
        }
        if let Some(own) = self.own.get().filter(|_| free_of_ties) {
            self.unlink(&own.id.to_string());
        }
    }

    /// Removes a name, if it is there.
    pub(crate) fn unlink(&self, name: &str) {
        if let Ok(folder) = self.folder() {
            // Left over, it is swept up later.
            let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
        }
    }

    /// Opens a FIFO by name, for writing.
    pub(crate) fn open(&self, name: &str) -> Peer {
        let Ok(folder) = self.folder() else {
            return Peer::Unknown;
        };
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(folder, name, flags, Mode::empty()) {
            Ok(fifo) => Peer::Alive(fifo),
            Err(Errno::NXIO) => Peer::Dead,
            Err(_) => Peer::Unknown,
        }
    }

    fn make(&self) -> rustix::io::Result<Own> {
        let mode = self.mode();
        match rustix::fs::mkdirat(CWD, &self.folder, folder_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        let folder = self.folder()?;
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut bytes = [0; 16];
        let mut tries = 0;
        loop {
            getrandom::fill(&mut bytes).map_err(|_| Errno::IO)?;
            let id = SessionId::from_bytes(bytes);
            let name = id.to_string();
            rustix::fs::mkfifoat(folder, &name, mode)?;
            match rustix::fs::openat(folder, &name, flags, Mode::empty()) {
                Ok(fifo) => {
                    let fifo = Arc::new(fifo);
                    return Ok(Own { id, fifo });
                }
                // Swept up as dead before it was opened, by a process whose clock
                // was changed.
                Err(Errno::NOENT) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Whoever may use the database may use the FIFOs.
    fn mode(&self) -> Mode {
        let mode = fs::metadata(&self.db).map_or(0o600, |db| db.mode());
        Mode::from_raw_mode(mode & 0o666)
    }

    fn folder(&self) -> rustix::io::Result<&OwnedFd> {
        if let Some(folder) = self.opened.get() {
            return Ok(folder);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(CWD, &self.folder, flags, Mode::empty())?;
        Ok(self.opened.get_or_init(|| folder))
    }

    fn addresses(&self) -> MutexGuard<'_, HashSet<Nonce>> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The names in the folder.
    pub(crate) fn names(&self) -> Result<Vec<fs::DirEntry>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail::file("reading", &self.folder, &error)),
        };
        entries.collect::<Result<_, _>>().map_err(|error| {
            Error::unavailable(
                ENGINE,
                format!("reading {}: {error}", self.folder.display()),
                "check its file system",
            )
        })
    }
}

/// A folder can be searched by whoever can read it.
fn folder_mode(mode: Mode) -> Mode {
    let mode = mode.as_raw_mode();
    Mode::from_raw_mode(mode | 0o700 | (mode & 0o444) >> 2)
}
