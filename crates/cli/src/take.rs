//! What `run` and `acquire` ask for, checked.

use std::time::Duration;

use leasehold::{LockRequest, Locks, Ttl, parse_duration};

use crate::args::TakeArgs;
use crate::failure::{Failure, code};

/// A request for a lock, checked as far as that goes without the engine.
#[derive(Debug)]
pub(crate) struct Take {
    pub(crate) name: String,
    pub(crate) ttl: Duration,
    pub(crate) grace: Duration,
    pub(crate) busy_code: u8,
    wait: Wait,
    shared: bool,
    permits: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Wait {
    No,
    Within(Duration),
    Forever,
}

impl Take {
    /// Reads the durations and checks the name, so that a mistake costs nothing.
    pub(crate) fn new(args: &TakeArgs) -> Result<Self, Failure> {
        leasehold::LockName::new(&args.name)?;
        let wait = match (&args.wait, args.no_wait) {
            (_, true) => Wait::No,
            (None, false) => Wait::Forever,
            (Some(wait), false) => match parse_duration("wait", wait)? {
                Duration::ZERO => Wait::No,
                limit => Wait::Within(limit),
            },
        };
        Ok(Self {
            name: args.name.clone(),
            ttl: ttl(&args.ttl)?,
            grace: parse_duration("grace", &args.grace)?,
            busy_code: args.busy_code,
            wait,
            shared: args.shared,
            permits: args.permits,
        })
    }

    /// The request, without what only one of the commands asks for.
    pub(crate) fn request(&self, locks: &Locks) -> LockRequest {
        let mut request = locks.lock(&self.name).ttl(self.ttl).grace(self.grace);
        request = match self.wait {
            Wait::No => request.no_wait(),
            Wait::Within(limit) => request.wait(limit),
            Wait::Forever => request,
        };
        if self.shared {
            request = request.shared();
        }
        if let Some(permits) = self.permits {
            request = request.permits(permits);
        }
        request
    }

    /// The failure to get the lock, with the exit code that was asked for.
    pub(crate) fn failure(&self, error: leasehold::Error) -> Failure {
        let mut failure = Failure::from(error);
        if failure.code == code::BUSY {
            failure.code = self.busy_code;
        }
        failure
    }
}

/// Reads a TTL and checks its bounds.
pub(crate) fn ttl(text: &str) -> Result<Duration, Failure> {
    Ok(Ttl::new(parse_duration("ttl", text)?)?.get())
}
