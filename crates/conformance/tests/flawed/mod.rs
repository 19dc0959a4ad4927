//! The memory engine, with one promise broken.

mod engine;

use std::sync::Arc;

use leasehold_conformance::{Extras, Fixture, Pace, Store};
use leasehold_core::{Engine, Error};
use leasehold_memory::MemoryStore;

pub(crate) use engine::FlawedEngine;

/// The promise that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    TokenResets,
    CollectionForgets,
    ExtendRevives,
    ExtendDoesNothing,
    ReleaseIgnoresNonce,
    ReleaseAlwaysSucceeds,
    ReleaseStopsWhenDropped,
    ExclusiveIsShared,
    SharedIsExclusive,
    OnePermitMore,
    NamesIgnoreCase,
    NoOrder,
    NoHints,
    HintsNotKept,
    PlacesLastForEver,
    NoExpiry,
    NoGrace,
    RepeatsAreStrangers,
    DroppedAcquireComesLater,
    BusyWaits,
    BreakUnrecorded,
    BreakKeepsFloor,
    PrefixIsPattern,
    ListsFreeLocks,
    NeverChanges,
    HidesShared,
    RefusesShared,
}

pub(crate) struct Flawed {
    pub(crate) flaw: Flaw,
    pub(crate) pace: Pace,
}

impl Fixture for Flawed {
    fn store(&self) -> Result<Box<dyn Store>, Error> {
        Ok(Box::new(FlawedStore {
            flaw: self.flaw,
            store: MemoryStore::new(),
            shared: Arc::default(),
        }))
    }

    fn pace(&self) -> Pace {
        self.pace
    }
}

struct FlawedStore {
    flaw: Flaw,
    store: MemoryStore,
    shared: Arc<engine::Shared>,
}

impl Store for FlawedStore {
    fn client(&self) -> Result<Arc<dyn Engine>, Error> {
        Ok(Arc::new(FlawedEngine::new(
            self.flaw,
            &self.store,
            &self.shared,
        )))
    }

    fn extras(&self) -> Extras {
        Extras {
            collect_idle: true,
            ..Extras::default()
        }
    }

    fn collect_idle(&self) -> Result<(), Error> {
        self.store.collect_idle();
        self.shared.collected();
        Ok(())
    }
}
