//! `leasehold status`: one lock as it stands.

use std::fmt::Write as _;

use leasehold::{BreakStatus, HolderStatus, LockName, LockStatus, Token};
use pollster::block_on;

use crate::args::StatusArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{
    ALERT, Column, FAINT, FREE, HEADING, HELD, Table, ago, brief, columns, print, print_json,
    shorten, styled, wrap,
};
use crate::owner;

use anstyle::Style;

pub(super) fn status(context: &Context, args: StatusArgs) -> Result<(), Failure> {
    let name = LockName::new(&args.name)?;
    let opened = context.open(owner::of_this_process("status"))?;
    let status = block_on(opened.locks.inspect(name.as_str()))?;
    if context.json() {
        print_json(&status)?;
    } else {
        print(&page(&status, columns()))?;
    }
    Ok(())
}

/// The lock for people to read, in lines of at most `room` columns.
fn page(status: &LockStatus, room: usize) -> String {
    let mut page = title(status, room);
    if !status.holders.is_empty() {
        page.push('\n');
        page.push_str(&holders(status).render(room));
    }
    if !status.waiters.is_empty() {
        page.push('\n');
        page.push_str(&waiters(status).render(room));
    }
    if status.holders.is_empty() && status.token > Token::NONE {
        let _ = writeln!(page, "last token {}", status.token);
    }
    if let Some(last) = &status.last_break {
        page.push('\n');
        page.push_str(&last_break(last, room));
    }
    page
}

fn title(status: &LockStatus, room: usize) -> String {
    let (word, style) = match (status.holders.len(), status.waiters.len()) {
        (0, 0) => ("free", FREE),
        // Handed over to a waiter that has not called for it yet.
        (0, _) => ("free, about to be taken", FREE),
        _ => ("held", HELD),
    };
    let name = shorten(status.name.as_str(), room.saturating_sub(word.len() + 2));
    format!("{}: {}\n", styled(HEADING, name), styled(style, word))
}

fn holders(status: &LockStatus) -> Table {
    let mut table = Table::new(
        2,
        [
            Column::text("HELD BY", 12),
            Column::whole("MODE"),
            Column::whole("SINCE"),
            Column::whole("LEFT"),
            Column::number("TOKEN"),
        ],
    );
    for holder in &status.holders {
        let (left, style) = left(holder);
        table.row([
            (holder.owner.to_string(), Style::new()),
            (holder.mode.to_string(), Style::new()),
            (format!("{} ago", brief(holder.held_for)), Style::new()),
            (left, style),
            (holder.token.to_string(), Style::new()),
        ]);
    }
    table
}

/// How long a holder has left; it shows when its TTL is over and only the grace
/// keeps others out.
pub(super) fn left(holder: &HolderStatus) -> (String, Style) {
    match holder.remaining.is_zero() {
        true => (format!("grace {}", brief(holder.free_in)), ALERT),
        false => (brief(holder.remaining), Style::new()),
    }
}

fn waiters(status: &LockStatus) -> Table {
    let mut table = Table::new(
        2,
        [
            Column::number("#"),
            Column::text("WAITING", 12),
            Column::whole("MODE"),
            Column::whole("FOR"),
        ],
    );
    for (at, waiter) in status.waiters.iter().enumerate() {
        table.row([
            ((at + 1).to_string(), FAINT),
            (waiter.owner.to_string(), Style::new()),
            (waiter.mode.to_string(), Style::new()),
            (brief(waiter.waited), Style::new()),
        ]);
    }
    table
}

fn last_break(last: &BreakStatus, room: usize) -> String {
    let ended = match &last.ended[..] {
        [] => "the lock was free".to_owned(),
        [one] => format!("it ended token {one}"),
        many => {
            let tokens: Vec<_> = many.iter().map(Token::to_string).collect();
            format!("it ended tokens {}", tokens.join(", "))
        }
    };
    let what = format!(
        "last broken {} by {}, because: {} ({ended})",
        ago(last.unix_seconds),
        last.by,
        last.reason
    );
    let mut text = String::new();
    for line in wrap(&what, room) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold::{Mode, Nonce, WaiterStatus};
    use std::time::Duration;

    fn crowded() -> LockStatus {
        let token = |n| Token::new(n).unwrap();
        let mut status = LockStatus::free(
            LockName::new("n".repeat(512)).unwrap(),
            token((1 << 53) - 1),
            token(1),
        );
        let permit = Mode::permit_of(u32::MAX).unwrap();
        let nonce = Nonce::from_bytes([7; 16]);
        for n in 0..3 {
            let owner = "a-long-host-name.example.com pid 4194304 (nightly-backup)".into();
            let mut holder = HolderStatus::new(owner, permit, token((1 << 53) - 1 - n), nonce);
            holder.held_for = Duration::from_secs(200 * 86_400);
            holder.remaining = Duration::from_secs(30 * 86_400);
            status.holders.push(holder);
            let mut waiter = WaiterStatus::new("錠".repeat(80).into(), permit, nonce);
            waiter.waited = Duration::from_secs(59 * 60 + 59);
            status.waiters.push(waiter);
        }
        status.last_break = Some(BreakStatus::new(
            "root".into(),
            "x".repeat(300),
            0,
            vec![token(5), token(6)],
        ));
        status
    }

    #[test]
    fn the_page_fits_80_columns_whatever_is_in_it() {
        let page = anstream::adapter::strip_str(&page(&crowded(), 80)).to_string();
        for line in page.lines() {
            assert!(crate::output::width(line) <= 80, "{line}");
        }
        let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in ["9007199254740991", "ended tokens 5, 6"] {
            assert!(words.contains(part), "no {part} in {words}");
        }
    }

    #[test]
    fn a_free_lock_says_so() {
        let status = LockStatus::free("x".parse().unwrap(), Token::NONE, Token::NONE);
        let page = anstream::adapter::strip_str(&page(&status, 80)).to_string();
        assert_eq!(page, "x: free\n");
    }
}
