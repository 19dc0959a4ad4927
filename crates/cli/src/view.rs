//! What is shown while a lock is waited for: a spinner on a terminal, one plain
//! line elsewhere.

use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use leasehold::Queued;

use crate::context::Context;
use crate::output::{brief, shorten};
use crate::sync::lock;

/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(120);

/// What is shown while a lock is waited for. Nothing until there is a wait.
pub(crate) struct WaitingView {
    context: Context,
    wait: Wait,
    /// The last known place in the line, and when it was learnt.
    place: Option<Arc<Mutex<(Queued, Instant)>>>,
    spinner: Option<ProgressBar>,
}

/// What is waited for.
#[derive(Clone)]
struct Wait {
    name: String,
    ordered: bool,
}

impl WaitingView {
    /// `ordered` says whether the engine keeps a line.
    pub(crate) fn new(context: &Context, name: &str, ordered: bool) -> Self {
        let name = name.to_owned();
        Self {
            context: context.clone(),
            wait: Wait { name, ordered },
            place: None,
            spinner: None,
        }
    }

    /// Shows a new place in the line.
    pub(crate) fn update(&mut self, queued: &Queued) {
        if let Some(place) = &self.place {
            *lock(place) = (queued.clone(), Instant::now());
            return;
        }
        let place = Arc::new(Mutex::new((queued.clone(), Instant::now())));
        if !self.context.is_quiet() {
            match is_ours_to_draw_on() && !self.context.json() {
                true => self.spinner = spinner(self.wait.clone(), Arc::clone(&place)),
                false => {
                    let said = self.wait.describe(queued, Duration::ZERO);
                    self.context.notice("waiting", &said);
                }
            }
        }
        self.place = Some(place);
    }

    /// Takes the spinner away, and says whether there was a wait.
    pub(crate) fn clear(&mut self) -> bool {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
        self.place.is_some()
    }
}

/// Whether standard error is a terminal that can show a spinner and that we are in
/// the foreground of; that of a background job would be in other people's way.
fn is_ours_to_draw_on() -> bool {
    io::stderr().is_terminal()
        && columns() > 0
        && std::env::var_os("TERM").is_some_and(|kind| kind != "dumb")
        && rustix::termios::tcgetpgrp(io::stderr())
            .is_ok_and(|group| group == rustix::process::getpgrp())
}

fn spinner(wait: Wait, place: Arc<Mutex<(Queued, Instant)>>) -> Option<ProgressBar> {
    let text = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
        let (queued, since) = &*lock(&place);
        let said = wait.describe(queued, since.elapsed());
        // One column for the spinner, one for the gap, one against wrapping.
        let _ = out.write_str(&shorten(&said, columns().saturating_sub(3)));
    };
    let style = ProgressStyle::with_template("{spinner} {text}").ok()?;
    let spinner = ProgressBar::new_spinner().with_style(style.with_key("text", text));
    spinner.enable_steady_tick(TURN);
    Some(spinner)
}

/// The width of the terminal; 0 if it has none.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    size.map_or(0, |size| size.ws_col.into())
}

impl Wait {
    /// Who holds the lock, for how long, and how many are ahead.
    fn describe(&self, queued: &Queued, since: Duration) -> String {
        let mut said = format!("waiting for lock {:?}", self.name);
        if let Some(first) = queued.holders.first() {
            let held_for = brief(first.held_for + since);
            said.push_str(&format!(", held by {} for {held_for}", first.owner));
            if queued.holders.len() > 1 {
                said.push_str(&format!(" and {} more", queued.holders.len() - 1));
            }
        }
        match queued.ahead {
            // Without a line, whoever is quickest is next.
            _ if !self.ordered => {}
            0 => said.push_str("; next in line"),
            ahead => said.push_str(&format!("; {ahead} ahead in line")),
        }
        said
    }
}
