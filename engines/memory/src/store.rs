//! The map that all clients of one store share.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use leasehold_core::record::{Reading, Record, Swap, View};
use leasehold_core::{Error, LockName, SessionId, Token, WakeBoard};

use crate::watch::{TICK, Watchers};
use crate::{Clock, MemoryEngine};

/// How many names may be kept before idle ones are collected.
const COLLECT_ABOVE: usize = 10_000;

/// A store in this process's memory. Clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Shared>);

#[derive(Debug, Default)]
pub(crate) struct Shared {
    clock: Clock,
    state: Mutex<State>,
    ticking: OnceLock<()>,
    pub(crate) board: WakeBoard,
    pub(crate) watchers: Watchers,
}

#[derive(Debug, Default)]
struct State {
    /// Encoded, as on any other store, with the write that made them.
    records: BTreeMap<LockName, (u64, Vec<u8>)>,
    /// The number of the last write. One count for all names, so that a record
    /// made anew after a collection does not look like the one before.
    writes: u64,
    floor: Token,
    /// At how many names to collect next.
    collect_at: usize,
    dead: HashSet<SessionId>,
    sessions: u64,
    late: Vec<LateSwap>,
}

/// A swap whose answer is lost, and which is still on its way.
#[derive(Debug)]
struct LateSwap {
    name: LockName,
    expected: u64,
    bytes: Vec<u8>,
}

impl MemoryStore {
    /// An empty store on the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store on this clock.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self(Arc::new(Shared {
            clock,
            ..Shared::default()
        }))
    }

    /// The store of this name, the same for everybody in this process.
    #[must_use]
    pub fn named(name: &str) -> Self {
        // Kept until the process ends, since tokens must not go back.
        static NAMED: LazyLock<Mutex<HashMap<String, MemoryStore>>> = LazyLock::new(Mutex::default);
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        named.entry(name.to_owned()).or_default().clone()
    }

    /// A new client, with a session of its own.
    #[must_use]
    pub fn client(&self) -> MemoryEngine {
        MemoryEngine::of(self)
    }

    /// Forgets every name that nobody holds or waits for. Their tokens do not come
    /// again: they are folded into the store's floor.
    ///
    /// Happens by itself when there are very many names.
    pub fn collect_idle(&self) {
        self.0.collect_idle(&mut self.0.state());
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Shared {
    pub(crate) fn new_session(&self) -> SessionId {
        let mut state = self.state();
        state.sessions += 1;
        SessionId::from_bytes(u128::from(state.sessions).to_be_bytes())
    }

    pub(crate) fn is_dead(&self, session: SessionId) -> bool {
        self.state().dead.contains(&session)
    }

    /// Declares a session dead and tells everybody who may gain by it.
    pub(crate) fn kill(&self, session: SessionId) {
        self.state().dead.insert(session);
        self.board.hint_all();
        self.watchers.tick();
    }

    pub(crate) fn read(&self, name: &LockName) -> Result<Reading<u64>, Error> {
        let state = self.state();
        match state.records.get(name) {
            Some(stored) => self.reading(&state, name, stored),
            None => Ok(Reading {
                record: Record::new(),
                version: 0,
                now: self.clock.now(),
                floor: state.floor,
            }),
        }
    }

    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<(LockName, Reading<u64>)>, Error> {
        let state = self.state();
        under(&state.records, prefix)
            .map(|(name, stored)| Ok((name.clone(), self.reading(&state, name, stored)?)))
            .collect()
    }

    pub(crate) fn swap(&self, name: &LockName, expected: u64, record: &Record) -> Swap {
        let mut state = self.state();
        let late = std::mem::take(&mut state.late);
        let (due, rest) = late.into_iter().partition(|swap| swap.name == *name);
        state.late = rest;
        let due: Vec<LateSwap> = due;
        for swap in due {
            state.swap(&swap.name, swap.expected, swap.bytes);
        }
        let swapped = state.swap(name, expected, record.encode());
        if state.records.len() > state.collect_at.max(COLLECT_ABOVE) {
            self.collect_idle(&mut state);
        }
        drop(state);
        self.watchers.wake();
        swapped
    }

    /// Keeps a swap back until the next one of its name.
    pub(crate) fn swap_late(&self, name: &LockName, expected: u64, record: &Record) {
        self.state().late.push(LateSwap {
            name: name.clone(),
            expected,
            bytes: record.encode(),
        });
    }

    /// The number of the last write of a name under `prefix`; 0 for none.
    pub(crate) fn last_write(&self, prefix: &str) -> u64 {
        let state = self.state();
        let writes = under(&state.records, prefix).map(|(_, (write, _))| *write);
        writes.max().unwrap_or(0)
    }

    /// Sees to it that watchers look every now and then even if nothing is
    /// written.
    pub(crate) fn start_ticking(self: &Arc<Self>) {
        self.ticking.get_or_init(|| {
            let store = Arc::downgrade(self);
            thread::spawn(move || {
                while let Some(store) = store.upgrade() {
                    store.watchers.tick();
                    drop(store);
                    thread::sleep(TICK);
                }
            });
        });
    }

    fn collect_idle(&self, state: &mut State) {
        let (now, mut floor) = (self.clock.now(), state.floor);
        let dead = &state.dead;
        state.records.retain(|_, (_, bytes)| {
            // One that cannot be read is kept, for the next reader to complain of.
            let Ok(mut record) = Record::decode(bytes) else {
                return true;
            };
            record.settle(&View {
                now,
                floor,
                session: None,
                is_dead: &|session| dead.contains(&session),
            });
            if record.is_idle() {
                floor = record.folded_into(floor);
            }
            !record.is_idle()
        });
        state.floor = floor;
        state.collect_at = 2 * state.records.len();
    }

    fn reading(
        &self,
        state: &State,
        name: &LockName,
        (version, bytes): &(u64, Vec<u8>),
    ) -> Result<Reading<u64>, Error> {
        let record = Record::decode(bytes).map_err(|detail| {
            Error::damaged(
                format!("the record of lock {name:?} in memory"),
                detail,
                "start the process anew",
            )
        })?;
        Ok(Reading {
            record,
            version: *version,
            now: self.clock.now(),
            floor: state.floor,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn swap(&mut self, name: &LockName, expected: u64, bytes: Vec<u8>) -> Swap {
        let current = self.records.get(name).map_or(0, |(version, _)| *version);
        if current != expected {
            return Swap::Conflict;
        }
        self.writes += 1;
        self.records.insert(name.clone(), (self.writes, bytes));
        Swap::Swapped
    }
}

fn under<'a, T>(
    records: &'a BTreeMap<LockName, T>,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a LockName, &'a T)> {
    records
        .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(move |(name, _)| name.as_str().starts_with(prefix))
}
