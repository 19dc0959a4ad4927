//! What people and programs read: tables, durations, colours, JSON.

mod duration;
mod table;
mod text;

pub(crate) use duration::{ago, brief};
pub(crate) use table::{Column, Table};
pub(crate) use text::{shorten, width, wrap};

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// A heading.
pub(crate) const HEADING: Style = Style::new().bold();
/// Something held.
pub(crate) const HELD: Style = AnsiColor::Yellow.on_default();
/// Something free or well.
pub(crate) const FREE: Style = AnsiColor::Green.on_default();
/// Something that needs attention.
pub(crate) const ALERT: Style = AnsiColor::Red.on_default();
/// Something of less weight.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Text in a style. The stream it is written to takes the colours out where they
/// do not belong.
pub(crate) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Writes text to standard output, with colours only where a terminal shows them
/// and `NO_COLOR` does not forbid them.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = anstream::AutoStream::auto(io::stdout()).lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes one value as one line of JSON, at once.
pub(crate) fn print_json(value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}

/// How wide a table may be: the terminal's width, at least 80; 80 if the output is
/// not a terminal.
pub(crate) fn columns() -> usize {
    const USUAL: usize = 80;
    let terminal = io::stdout()
        .is_terminal()
        .then(|| rustix::termios::tcgetwinsize(io::stdout()).ok())
        .flatten();
    terminal.map_or(USUAL, |size| match size.ws_col {
        0 => USUAL,
        columns => usize::from(columns).clamp(40, 140),
    })
}
