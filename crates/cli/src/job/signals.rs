//! Every signal of this process, taken by one thread from start to end.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use super::running::Running;
use super::stop::{self, Who};

/// Taken by the thread. The first six are sent on to the command, or end the
/// wait for the lock; the others are job control.
const TAKEN: [Signal; 10] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCHLD,
    Signal::SIGTSTP,
    Signal::SIGCONT,
];

/// Blocked without being taken: handing over the terminal from the background
/// must not stop us, nor must a message to it while we hold a lease.
const BLOCKED: [Signal; 2] = [Signal::SIGTTIN, Signal::SIGTTOU];

/// The signals of this process, from before the lock is asked for.
///
/// While a command runs, its job handles them. Before and after that, the
/// first of INT, TERM, HUP, QUIT, USR1 and USR2 is kept for
/// [`Signals::received`] and [`Signals::wait`], so that the caller can give up
/// in order; a second one ends the process by itself, so that a caller that
/// hangs can be ended too.
///
/// Ctrl-Z stops the process as usual.
pub(crate) struct Signals {
    shared: Arc<Shared>,
}

impl Signals {
    /// Blocks the signals in the calling thread, and so in all threads it will
    /// start, and takes them on a thread of its own.
    ///
    /// To be called once, in `main`, before any other thread exists: a thread
    /// that does not block a signal would be ended by it.
    ///
    /// # Errors
    ///
    /// The system has no room for a thread or a handler.
    pub(crate) fn install() -> io::Result<Signals> {
        let taken = SigSet::from_iter(TAKEN);
        let mut blocked = taken;
        blocked.extend(BLOCKED);
        // Sets the mask instead of adding to it: a mask that we were started
        // with is nearly always an accident of the process that started us.
        blocked.thread_set_mask()?;
        // An ignored SIGCHLD, inherited, would make the kernel throw the
        // command's exit status away. Any handler undoes that; being blocked,
        // this one is never run.
        signal_hook::flag::register(Signal::SIGCHLD as i32, Arc::new(AtomicBool::new(false)))?;
        let shared = Arc::new(Shared::default());
        let thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || take_signals(&taken, &thread))?;
        Ok(Signals { shared })
    }

    /// The signal that arrived while no command ran, if any.
    pub(crate) fn received(&self) -> Option<i32> {
        self.shared.lock().interrupted.map(|signal| signal as i32)
    }

    /// Waits for a signal that arrives while no command runs. Cancel-safe: the
    /// signal stays known to [`Signals::received`]. One caller at a time.
    pub(crate) async fn wait(&self) -> i32 {
        poll_fn(|context| {
            let mut state = self.shared.lock();
            match state.interrupted {
                Some(signal) => Poll::Ready(signal as i32),
                None => {
                    state.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// What the signal thread and the job share.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    /// The first signal that arrived while no command ran.
    pub(super) interrupted: Option<Signal>,
    /// Who waits for `interrupted`.
    waker: Option<Waker>,
    /// The job, from its start to its end.
    pub(super) running: Option<Running>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // The state is good after each step; a panic elsewhere must not keep
        // the group from being ended.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, for at most `pause` if there is one.
    pub(super) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        pause: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        match pause {
            Some(pause) => {
                self.changed
                    .wait_timeout(state, pause)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
            None => self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Wakes those who wait for a change.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }
}

fn take_signals(taken: &SigSet, shared: &Shared) {
    loop {
        let Ok(signal) = taken.wait() else { continue };
        let mut state = shared.lock();
        match state.running.as_mut() {
            Some(running) => running.on_signal(signal),
            None => state.on_signal_without_job(signal),
        }
        shared.notify();
    }
}

impl State {
    fn on_signal_without_job(&mut self, signal: Signal) {
        match signal {
            Signal::SIGWINCH | Signal::SIGCHLD | Signal::SIGCONT => {}
            Signal::SIGTSTP => {
                stop::stop(signal, Who::Alone);
            }
            _ if stop::is_ignored(signal) => {}
            _ if self.interrupted.is_some() => stop::die_of(signal),
            _ => {
                self.interrupted = Some(signal);
                if let Some(waker) = self.waker.take() {
                    waker.wake();
                }
            }
        }
    }
}
