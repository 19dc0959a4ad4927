//! The cases of one engine, and how they are run.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::kit::Lab;
use crate::{Fixture, agent, cases};

/// How many cases run at once unless the command line says otherwise. Most of
/// their time is spent waiting for something to run out.
const THREADS: usize = 8;

/// All cases, for one engine.
#[derive(Clone)]
pub struct Suite {
    fixture: Arc<dyn Fixture>,
}

/// One case, for one engine.
#[derive(Clone)]
pub struct Case {
    fixture: Arc<dyn Fixture>,
    definition: &'static cases::Definition,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The engine kept the promise.
    Kept,
    /// The engine does not make the promise: what the case needs.
    NotApplicable(&'static str),
    /// The engine broke the promise: how that was seen.
    Broken(String),
}

impl Suite {
    /// The suite for the engine of this fixture.
    #[must_use]
    pub fn new(fixture: impl Fixture) -> Self {
        Self {
            fixture: Arc::new(fixture),
        }
    }

    /// The cases, by file.
    pub fn cases(&self) -> impl Iterator<Item = Case> {
        cases::all().map(|definition| Case {
            fixture: Arc::clone(&self.fixture),
            definition,
        })
    }
}

impl Case {
    /// The name: its file and what must be so.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.definition.name
    }

    /// The promise of the contract that it is about.
    #[must_use]
    pub const fn promise(&self) -> &'static str {
        self.definition.promise
    }

    /// Runs the case on a store of its own.
    #[must_use]
    pub fn run(&self) -> Outcome {
        let mut outcome = None;
        self.fixture.enter(&mut || {
            let run = catch_unwind(AssertUnwindSafe(|| {
                let lab = Lab::new(Arc::clone(&self.fixture));
                if let Some(need) = self.definition.needs.iter().find(|need| !(need.met)(&lab)) {
                    return Outcome::NotApplicable(need.what);
                }
                (self.definition.run)(&lab);
                Outcome::Kept
            }));
            outcome = Some(run.unwrap_or_else(|panic| Outcome::Broken(message(&*panic))));
        });
        outcome.unwrap_or_else(|| Outcome::Broken("Fixture::enter ran nothing".to_owned()))
    }

    fn trial(self) -> Trial {
        let (name, promise) = (self.name(), self.promise());
        let run = move || match self.run() {
            Outcome::Kept => Ok(Completion::Completed),
            Outcome::NotApplicable(needs) => {
                Ok(Completion::ignored_with(format!("it needs {needs}")))
            }
            Outcome::Broken(how) => Err(Failed::from(how)),
        };
        Trial::ignorable_test(name, run).with_kind(promise)
    }
}

/// Runs the suite as the program's command line says, and ends the process.
///
/// In a process that the suite itself started, does as that process is told.
pub fn main(fixture: impl Fixture) -> ! {
    let suite = Suite::new(fixture);
    if let Some(address) = agent::address_given() {
        agent::serve(&*suite.fixture, &address);
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let trials = suite.cases().map(Case::trial).collect();
    libtest_mimic::run(&arguments, trials).exit()
}

fn message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else {
        "it panicked".to_owned()
    }
}
