//! The lines, as docs/torture.md has them.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A line from the parent.
#[derive(Debug, Deserialize)]
pub(crate) struct Ask {
    #[serde(default)]
    pub(crate) id: u64,
    #[serde(flatten)]
    pub(crate) what: What,
}

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum What {
    Acquire {
        name: String,
        ttl_ms: u64,
        wait_ms: u64,
    },
    Use {
        lease: u64,
        #[serde(default)]
        pause_ms: u64,
    },
    Extend {
        lease: u64,
        ttl_ms: u64,
    },
    Release {
        lease: u64,
    },
    Quit,
}

/// An answer.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    pub(crate) id: u64,
    pub(crate) ok: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) valid_ms: Option<f64>,
    pub(crate) sent_us: u64,
    pub(crate) got_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// Writes a line.
pub(crate) fn say(line: &impl Serialize) {
    // A line at once, whatever else is written. If nobody reads it, nobody needs it.
    if let Ok(line) = serde_json::to_string(line) {
        println!("{line}");
    }
}

/// Now, in microseconds of `CLOCK_BOOTTIME`.
pub(crate) fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1000
}
