//! What a run and those who watch and disturb it share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::now_us;
use crate::history::Band;

/// What a run and those who watch and disturb it share.
#[derive(Debug, Default)]
pub struct Monitor {
    stop: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    progress: Progress,
    bands: Vec<Band>,
    done: Vec<Band>,
    workers: Vec<Option<u32>>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Locks granted so far.
    pub grants: u64,
    /// Writes that the fence refused so far.
    pub refused: u64,
    /// Calls that failed or whose outcome is not known so far.
    pub failures: u64,
    /// When the first client began, in microseconds of [`clock`](crate::clock); 0
    /// before that.
    pub begun_us: u64,
}

/// A fault under way.
#[derive(Debug)]
#[must_use = "a fault goes on until it is ended"]
pub struct Ongoing(usize);

impl Monitor {
    /// Ends the run: clients finish what they are at.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// How far the run is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.state().progress
    }

    /// The process ids of the workers, in order; `None` for one that is away.
    #[must_use]
    pub fn workers(&self) -> Vec<Option<u32>> {
        self.state().workers.clone()
    }

    /// Writes down that a fault begins now. Call it before the fault is made.
    pub fn begin(&self, band: Band) -> Ongoing {
        let mut state = self.state();
        let from_us = now_us();
        state.bands.push(Band {
            from_us,
            to_us: u64::MAX,
            ..band
        });
        Ongoing(state.bands.len() - 1)
    }

    /// Writes down that a fault ends now. Call it after the fault is over.
    pub fn end(&self, fault: &Ongoing) {
        let mut state = self.state();
        let band = &mut state.bands[fault.0];
        band.to_us = now_us();
        let band = band.clone();
        state.done.push(band);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// The faults that ended since this was last called.
    pub(super) fn ended(&self) -> Vec<Band> {
        std::mem::take(&mut self.state().done)
    }

    /// The faults that are still going on, as if they ended now.
    pub(super) fn unended(&self) -> Vec<Band> {
        let mut state = self.state();
        let mut bands = std::mem::take(&mut state.bands);
        bands.retain(|band| band.to_us == u64::MAX);
        for band in &mut bands {
            band.to_us = now_us();
        }
        bands
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.state().progress);
    }

    pub(super) fn set_worker(&self, process: usize, pid: Option<u32>) {
        let mut state = self.state();
        if state.workers.len() <= process {
            state.workers.resize(process + 1, None);
        }
        state.workers[process] = pid;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
