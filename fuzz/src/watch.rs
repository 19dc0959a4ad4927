//! Panics on any thread, cases that do not end, and memory.

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use peak_alloc::PeakAlloc;

/// Counts what is allocated, now and at most.
#[global_allocator]
pub static HEAP: PeakAlloc = PeakAlloc;

/// How long a case may take. Far more than any needs: beyond it, it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How many cases are under way.
static CASES: AtomicUsize = AtomicUsize::new(0);

/// A case is under way until this is dropped: panics are kept.
#[derive(Debug)]
pub struct Case(());

impl Case {
    /// Begins one.
    #[must_use]
    pub fn begin() -> Self {
        CASES.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        CASES.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Has every panic during a case kept instead of printed, whatever thread it is on.
pub fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CASES.load(Ordering::SeqCst) == 0 {
                return usual(info);
            }
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("a thread without a name");
            let said = format!("panic on {name}: {info}");
            PANICS
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(said);
        }));
    });
}

/// Takes the panics since the last time.
#[must_use]
pub fn take_panics() -> Vec<String> {
    std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner))
}
